//! Options that shape how the engine computes, never what it answers (the device and the type aside).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Whose model code computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The engine's own.
    #[default]
    Fast,
    /// candle-transformers', one sequence at a time: see [`crate::reference`].
    Reference,
}

impl BackendChoice {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Reference => "reference",
        }
    }
}

impl std::str::FromStr for BackendChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Fast, Self::Reference].into_iter().find(|backend| backend.name() == text).ok_or_else(|| {
            Error::input(format!("`{text}` is not a backend")).with_hint("known are `fast`, `reference`")
        })
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA GPU where this build can use one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// CUDA GPUs.
    Cuda(Gpus),
    /// All CUDA GPUs.
    AllGpus,
}

/// CUDA GPUs by their numbers: at least one, and none beyond 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpus(u64);

impl Gpus {
    /// The first GPU.
    pub const FIRST: Self = Self(1);

    /// GPUs with these numbers; `None` where there are none, or one of them twice or beyond 63.
    pub fn new(numbers: impl IntoIterator<Item = usize>) -> Option<Self> {
        let add = |set: u64, number: usize| {
            let bit = 1u64.checked_shl(u32::try_from(number).ok()?)?;
            (set & bit == 0).then_some(set | bit)
        };
        numbers.into_iter().try_fold(0, add).filter(|set| *set != 0).map(Self)
    }

    /// Their numbers, in order.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |number| self.0 >> number & 1 == 1)
    }
}

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    /// `auto`, `cpu`, `cuda`, `cuda:N`, `cuda:N,N…` or `cuda:all`.
    fn from_str(text: &str) -> Result<Self> {
        let gpus = match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda:all" => return Ok(Self::AllGpus),
            "cuda" => Some(Gpus::FIRST),
            other => other.strip_prefix("cuda:").and_then(|list| {
                let numbers: Option<Vec<usize>> = list.split(',').map(|number| number.parse().ok()).collect();
                Gpus::new(numbers?)
            }),
        };
        gpus.map(Self::Cuda).ok_or_else(|| {
            Error::input(format!("`{text}` is not a device"))
                .with_hint("known are `auto`, `cpu`, `cuda`, `cuda:N`, `cuda:N,N` for several GPUs, `cuda:all`")
        })
    }
}

impl std::fmt::Display for DeviceChoice {
    /// As it is parsed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::AllGpus => f.write_str("cuda:all"),
            Self::Cuda(gpus) => {
                let numbers: Vec<String> = gpus.numbers().map(|number| number.to_string()).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
        }
    }
}

/// The type to compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// The device's default: f32 on the CPU, or what a GGUF file holds; bfloat16 on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// 16-bit floats.
    F16,
}

impl DtypeChoice {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

impl std::str::FromStr for DtypeChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Auto, Self::F32, Self::Bf16, Self::F16].into_iter().find(|d| d.name() == text).ok_or_else(|| {
            Error::input(format!("`{text}` is not a type")).with_hint("known are `auto`, `f32`, `bf16`, `f16`")
        })
    }
}

/// How the engine computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineOptions {
    /// Whose model code.
    pub backend: BackendChoice,
    /// Where.
    pub device: DeviceChoice,
    /// In which type.
    pub dtype: DtypeChoice,
    /// Rows of a step; at least 2.
    pub batch_tokens: usize,
    /// Rows of one sequence's prefill in a step; `None` for no bound but `batch_tokens`.
    pub prefill_chunk: Option<usize>,
    /// Sequences in flight.
    pub max_seqs: usize,
    /// Requests that may be reordered: how far the newest read may be ahead of the oldest unanswered.
    pub window: usize,
    /// GiB for the KV cache; `None` takes half of the available memory after the weights are loaded.
    pub kv_gib: Option<f64>,
    /// Whether equal beginnings of prompts are computed once.
    pub prefix_sharing: bool,
    /// Whether guessed tokens are verified many at a time.
    pub drafts: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            backend: BackendChoice::Fast,
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            batch_tokens: 512,
            prefill_chunk: None,
            max_seqs: 128,
            window: 4096,
            kv_gib: None,
            prefix_sharing: true,
            drafts: true,
        }
    }
}

impl EngineOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// A bound that nothing could satisfy.
    pub fn check(&self) -> Result<()> {
        let fail = |what: &str| Err(Error::input(what));
        if self.batch_tokens < 2 {
            return fail("`--batch-tokens` is below 2");
        }
        if self.prefill_chunk == Some(0) {
            return fail("`--prefill-chunk` is 0");
        }
        if self.max_seqs == 0 {
            return fail("`--max-seqs` is 0");
        }
        if self.window == 0 {
            return fail("`--window` is 0");
        }
        if self.kv_gib.is_some_and(|gib| !(gib > 0.0 && gib.is_finite())) {
            return fail("`--kv-gib` is not a positive number");
        }
        if self.backend == BackendChoice::Fast { Ok(()) } else { self.check_reference() }
    }

    /// What the reference backend cannot do.
    fn check_reference(&self) -> Result<()> {
        let refuse = |what: &str, hint: &str| {
            Err(Error::input(format!("{what} does not go with `--backend reference`")).with_hint(hint))
        };
        if !matches!(self.device, DeviceChoice::Auto | DeviceChoice::Cpu) {
            return refuse(&format!("--device {}", self.device), "the reference backend computes on the CPU");
        }
        if !matches!(self.dtype, DtypeChoice::Auto | DtypeChoice::F32) {
            return refuse(&format!("--dtype {}", self.dtype.name()), "the reference backend computes in f32");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_backend_refuses_gpus_and_short_types() {
        let reference = EngineOptions { backend: "reference".parse().unwrap(), ..EngineOptions::default() };
        assert!(reference.check().is_ok());
        assert!(EngineOptions { device: DeviceChoice::Cpu, dtype: DtypeChoice::F32, ..reference }.check().is_ok());
        for device in [DeviceChoice::AllGpus, DeviceChoice::Cuda(Gpus::FIRST)] {
            assert!(EngineOptions { device, ..reference }.check().is_err(), "{device}");
        }
        for dtype in [DtypeChoice::Bf16, DtypeChoice::F16] {
            assert!(EngineOptions { dtype, ..reference }.check().is_err(), "{}", dtype.name());
        }
        assert!("slow".parse::<BackendChoice>().is_err());
    }

    #[test]
    fn devices_are_shown_as_they_are_parsed() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7", "cuda:0,1,63", "cuda:all"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(Gpus::FIRST));
        assert_eq!("cuda:2,0".parse::<DeviceChoice>().unwrap().to_string(), "cuda:0,2");
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:64", "cuda:1,", "cuda:1,1", "cuda:one", "CPU"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }
}
