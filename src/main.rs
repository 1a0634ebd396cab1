//! The karat binary: everything is in the library's `cli`.

/// The steps of a model allocate and free the same large buffers over and over. The C library's allocator gives them back
/// to the system each time and pays with page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    karat::cli::main()
}
