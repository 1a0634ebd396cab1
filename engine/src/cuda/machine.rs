//! Which of a machine's GPUs karat can compute on, and what is missing where it cannot. Plain data; `driver` asks the machine.

use super::gpu::{Gpu, version};
use crate::error::{Error, Result};

/// What a machine has, as far as it could be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// There is no driver library.
    NoDriver,
    /// The driver library does not start; what it says.
    Broken(String),
    /// The driver serves this CUDA version (13000 is 13.0) and has these GPUs; cuBLASLt is there, or not.
    Gpus {
        /// CUDA version.
        serves: u32,
        /// GPUs by their number.
        gpus: Vec<Gpu>,
        /// Whether cuBLASLt is there.
        cublas: bool,
    },
}

/// What this build needs of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// CUDA version of the compiler that wrote its kernels.
    pub cuda: u32,
    /// Compute capability of its kernels: 80 is 8.0.
    pub capability: u32,
}

/// The GPU with a number, if karat can compute on it.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn choose(index: usize, machine: Machine, needs: Needs) -> Result<Gpu> {
    let fail = |what: String, hint: &str| {
        Err(Error::environment(format!("failed to use cuda:{index}: {what}")).with_hint(hint))
    };
    let (serves, mut gpus, cublas) = match machine {
        Machine::NoDriver => {
            return fail(
                "there is no driver library libcuda.so.1".into(),
                "install NVIDIA's driver, or use `--device cpu`",
            );
        }
        Machine::Broken(why) => {
            return fail(
                format!("the driver does not start ({why})"),
                "`nvidia-smi` says more; `--device cpu` needs none",
            );
        }
        Machine::Gpus { serves, gpus, cublas } => (serves, gpus, cublas),
    };
    match gpus.len() {
        0 => fail(
            "the driver finds no GPU".into(),
            "CUDA_VISIBLE_DEVICES may hide GPUs, and a container must be given them; `--device cpu` needs none",
        ),
        count if index >= count => fail(
            format!(
                "there {} {count} {}",
                if count == 1 { "is" } else { "are" },
                if count == 1 { "GPU" } else { "GPUs" }
            ),
            "GPUs are counted from 0",
        ),
        _ if serves < needs.cuda => fail(
            format!("the driver serves CUDA {}, this build needs {}", version(serves), version(needs.cuda)),
            "install a newer driver, or build with an older nvcc",
        ),
        _ if !cublas => fail(
            "there is no library libcublasLt.so.13".into(),
            "install cuBLAS of CUDA 13, and put its folder into LD_LIBRARY_PATH (the wheel nvidia-cublas has it in nvidia/cu13/lib)",
        ),
        _ => {
            let gpu = gpus.swap_remove(index);
            let (major, minor) = gpu.capability;
            if 10 * major + minor < needs.capability {
                fail(
                    format!(
                        "{} has compute capability {major}.{minor}, this build needs {}.{}",
                        gpu.name,
                        needs.capability / 10,
                        needs.capability % 10
                    ),
                    "build with CUDA_COMPUTE_CAP=80 for the oldest GPUs that karat knows, or use `--device cpu`",
                )
            } else {
                Ok(gpu)
            }
        }
    }
}

/// The version in the name of a library that a process has mapped: `580.65.06` of `libcuda.so.580.65.06`. The driver's own
/// interface tells the CUDA version that it serves, not which driver it is, and the driver compiles the kernels.
pub fn mapped_version<'a>(maps: &'a str, library: &str) -> Option<&'a str> {
    let versions = maps.lines().filter_map(|line| line.rsplit_once('/')?.1.strip_prefix(library)?.strip_prefix(".so."));
    versions.map(|version| version.trim_end_matches(" (deleted)")).find(|version| version.contains('.'))
}

/// The version that the kernel's part of the driver tells in `/proc/driver/nvidia/version`, which is the driver's.
pub fn module_version(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    first.split_whitespace().find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { cuda: 13_000, capability: 80 };

    fn gpu(index: usize, capability: (u32, u32)) -> Gpu {
        Gpu {
            index,
            name: "NVIDIA H100 80GB HBM3".into(),
            capability,
            multiprocessors: 132,
            memory: 80 << 30,
            driver: "580.65.06".into(),
            cublas: 130_002,
            kernels: (13_000, 80),
        }
    }

    fn machine(gpus: Vec<Gpu>) -> Machine {
        Machine::Gpus { serves: 13_000, gpus, cublas: true }
    }

    #[track_caller]
    fn refused(index: usize, machine: Machine, what: &str) {
        let error = choose(index, machine, NEEDS).unwrap_err();
        assert_eq!(error.message(), format!("failed to use cuda:{index}: {what}"));
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_gpu_that_is_there_is_chosen() {
        let chosen = choose(1, machine(vec![gpu(0, (8, 0)), gpu(1, (9, 0))]), NEEDS).unwrap();
        assert_eq!(chosen, gpu(1, (9, 0)));
        assert_eq!(
            chosen.to_string(),
            "cuda 9.0, 132 multiprocessors, NVIDIA H100 80GB HBM3, driver 580.65.06, cublaslt 130002, nvcc 13.0 for 8.0"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        refused(0, Machine::NoDriver, "there is no driver library libcuda.so.1");
        refused(0, Machine::Broken("CUDA_ERROR_X".into()), "the driver does not start (CUDA_ERROR_X)");
        refused(0, machine(Vec::new()), "the driver finds no GPU");
        refused(1, machine(vec![gpu(0, (9, 0))]), "there is 1 GPU");
        refused(7, machine(vec![gpu(0, (9, 0)), gpu(1, (9, 0))]), "there are 2 GPUs");
        let old = "NVIDIA H100 80GB HBM3 has compute capability 7.5, this build needs 8.0";
        refused(0, machine(vec![gpu(0, (7, 5))]), old);
        let old = Machine::Gpus { serves: 12_080, gpus: vec![gpu(0, (9, 0))], cublas: true };
        refused(0, old, "the driver serves CUDA 12.8, this build needs 13.0");
        let bare = Machine::Gpus { serves: 13_000, gpus: vec![gpu(0, (9, 0))], cublas: false };
        refused(0, bare, "there is no library libcublasLt.so.13");
    }

    #[test]
    fn the_driver_is_told_by_its_library_or_its_module() {
        let maps = "7f0 r--p 0 08:01 1 /usr/lib/libc.so.6\n\
                    7f1 r-xp 0 08:01 2 /usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06\n";
        assert_eq!(mapped_version(maps, "libcuda"), Some("580.65.06"));
        assert_eq!(mapped_version(maps, "libc"), None, "a soname alone is no version");
        assert_eq!(mapped_version("", "libcuda"), None);
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version:  gcc 14.2.0\n";
        assert_eq!(module_version(text), Some("580.65.06"));
        assert_eq!(module_version("NVRM version: none"), None);
    }
}
