//! Options that shape how the engine computes, never what it answers (the device and the type aside).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA card by number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    /// `cpu`, `cuda` or `cuda:N`.
    fn from_str(text: &str) -> Result<Self> {
        let index = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
        };
        index
            .map(Self::Cuda)
            .ok_or_else(|| Error::input(format!("use device `{text}`")).with_hint("known are `cpu`, `cuda`, `cuda:N`"))
    }
}

/// The type to compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// The device's default: f32 on the CPU.
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
            Error::input(format!("use type `{text}`")).with_hint("known are `auto`, `f32`, `bf16`, `f16`")
        })
    }
}

/// How the engine computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineOptions {
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
            device: DeviceChoice::Cpu,
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
        let fail = |what: &str| Err(Error::input(format!("use {what}")));
        if self.batch_tokens < 2 {
            return fail("--batch-tokens below 2");
        }
        if self.prefill_chunk == Some(0) {
            return fail("--prefill-chunk 0");
        }
        if self.max_seqs == 0 {
            return fail("--max-seqs 0");
        }
        if self.window == 0 {
            return fail("--window 0");
        }
        match self.kv_gib {
            Some(gib) if !(gib > 0.0 && gib.is_finite()) => fail("--kv-gib that is not a positive number"),
            _ => Ok(()),
        }
    }
}
