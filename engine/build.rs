//! With the feature `cuda`: compiles every kernel in `src/cuda/kernels` to PTX and writes `ptx.rs`, one constant
//! per file. Without it: nothing.
//!
//! PTX and no machine code: one build serves all GPUs of at least the compute capability in `CUDA_COMPUTE_CAP`, for which
//! `.cargo/config.toml` has a default, and the driver compiles a kernel for its GPU when it is first loaded. Which driver that
//! can be follows from nvcc: it must serve the CUDA version that nvcc is of.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const KERNELS: &str = "src/cuda/kernels";

/// The newest CUDA version that driver 580, the one promised, loads the PTX of.
const NEWEST: u32 = 13_000;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={KERNELS}");
    for name in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(what) = build() {
        for line in what.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), String> {
    let nvcc = nvcc();
    let version = cuda_version(&nvcc)?;
    if version > NEWEST {
        println!(
            "cargo::warning=nvcc of CUDA {}.{}: drivers of series 580 do not load its PTX",
            major(version),
            minor(version)
        );
    }
    let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    if !capability.parse().is_ok_and(|number: u32| number >= 80) {
        return Err(format!(
            "CUDA_COMPUTE_CAP is `{capability}`, and 80 is the least that karat's kernels know: 80, 90, 100, …"
        ));
    }
    println!("cargo::rustc-env=KARAT_CUDA_VERSION={version}");
    println!("cargo::rustc-env=KARAT_COMPUTE_CAPABILITY={capability}");

    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let compile = |source: PathBuf| start(&nvcc, &capability, &source, &out).map(|child| (source, child));
    // All at once; they are few.
    let started: Vec<(PathBuf, Child)> = sources()?.into_iter().map(compile).collect::<Result<_, _>>()?;
    let mut constants = String::new();
    for (source, child) in started {
        let output = child.wait_with_output().map_err(|e| format!("nvcc: {e}"))?;
        if !output.status.success() {
            return Err(format!(
                "nvcc does not compile {}:\n{}",
                source.display(),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let name = stem(&source);
        constants += &format!(
            "/// `{name}.cu` as PTX.\npub const {}: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/{name}.ptx\"));\n",
            name.to_uppercase()
        );
    }
    std::fs::write(out.join("ptx.rs"), constants).map_err(|e| format!("write ptx.rs: {e}"))
}

/// The compiler: `$NVCC`, that of `$CUDA_HOME`, or the one on the search path.
fn nvcc() -> PathBuf {
    let home =
        || std::env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin/nvcc")).filter(|path| path.is_file());
    std::env::var_os("NVCC").map(PathBuf::from).or_else(home).unwrap_or_else(|| "nvcc".into())
}

/// The CUDA version that a compiler is of, as the driver counts: 13000 is 13.0.
fn cuda_version(nvcc: &Path) -> Result<u32, String> {
    let output = Command::new(nvcc).arg("--version").output().map_err(|e| {
        format!(
            "the feature `cuda` needs nvcc, and `{}` does not start ({e}): run scripts/cuda_toolkit.sh, then `. \
             FOLDER/env.sh` as it says",
            nvcc.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let release = text.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    let numbers = release.and_then(|release| release.trim().split_once('.'));
    let numbers = numbers.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let (major, minor) = numbers.ok_or_else(|| format!("`{} --version` tells no release:\n{text}", nvcc.display()))?;
    Ok(1000 * major + 10 * minor)
}

fn major(version: u32) -> u32 {
    version / 1000
}

fn minor(version: u32) -> u32 {
    version % 1000 / 10
}

/// Every kernel, by name.
fn sources() -> Result<Vec<PathBuf>, String> {
    let folder = std::fs::read_dir(KERNELS).map_err(|e| format!("read {KERNELS}: {e}"))?;
    let paths: Result<Vec<PathBuf>, String> =
        folder.map(|entry| Ok(entry.map_err(|e| format!("read {KERNELS}: {e}"))?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    paths.sort();
    Ok(paths)
}

fn stem(source: &Path) -> String {
    source.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Starts a compilation. No fast mathematics: divisions, roots and denormal numbers as IEEE 754 has them.
fn start(nvcc: &Path, capability: &str, source: &Path, out: &Path) -> Result<Child, String> {
    let mut command = Command::new(nvcc);
    command.args(["--ptx", "-O3", "-std=c++17", "-I", KERNELS]).arg(format!("-arch=compute_{capability}"));
    command.arg("-o").arg(out.join(format!("{}.ptx", stem(source)))).arg(source);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|e| format!("start {}: {e}", nvcc.display()))
}
