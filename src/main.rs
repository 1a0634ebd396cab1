//! The karat binary: everything is in the library's `cli`.

fn main() -> std::process::ExitCode {
    karat::cli::main()
}
