//! Which instruction sets this processor has.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Chooses an instruction set below the best; for tests and comparisons.
const VARIABLE: &str = "KARAT_INSTRUCTIONS";

/// An instruction set that the kernels know and that this processor has: there is no other way to one than detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionSet(pub(super) Set);

/// Instruction sets that the kernels know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// AVX-512 with VNNI and BF16.
    Avx512Bf16,
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl InstructionSet {
    /// Plain Rust, which every processor runs.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The best of this machine, or the one that `KARAT_INSTRUCTIONS` names if this machine has it; asked once.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let wanted = std::env::var(VARIABLE).unwrap_or_default();
            let chosen = Self::available().find(|set| set.name() == wanted);
            chosen.or_else(|| Self::available().next()).unwrap_or(Self::PORTABLE)
        })
    }

    /// Checks that `KARAT_INSTRUCTIONS`, if it is set, names a set of this machine.
    ///
    /// # Errors
    /// It does not.
    pub fn check() -> Result<()> {
        let wanted = std::env::var(VARIABLE).unwrap_or_default();
        if wanted.is_empty() || Self::available().any(|set| set.name() == wanted) {
            return Ok(());
        }
        let names: Vec<&str> = Self::available().map(Self::name).collect();
        Err(Error::input(format!("{VARIABLE}=`{wanted}` is not supported here"))
            .with_hint(format!("this machine has {}", names.join(", "))))
    }

    /// The sets of this machine, best first.
    pub fn available() -> impl Iterator<Item = Self> + Clone {
        Set::ALL.into_iter().filter(|set| set.is_available()).map(Self)
    }

    /// The name in `KARAT_INSTRUCTIONS` and `performance.json`.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl Set {
    /// Best first.
    const ALL: [Self; 5] = [Self::Avx512Bf16, Self::Avx512Vnni, Self::Avx512, Self::Avx2, Self::Portable];

    fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = || {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            };
            let vnni = || avx512() && is_x86_feature_detected!("avx512vnni");
            match self {
                Self::Avx512Bf16 => vnni() && is_x86_feature_detected!("avx512bf16"),
                Self::Avx512Vnni => vnni(),
                Self::Avx512 => avx512(),
                Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
                Self::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }
}
