//! Decoders and encoders of the backend and on the device that were chosen.

use super::{alike, available_memory, kv_blocks, resolve};
use crate::cpu::{Decoder, Encoder, separate_head};
use crate::error::Result;
use crate::models::EncoderSpec;
use crate::models::families::{self, Config};
use crate::models::model_folder::ModelFolder;
use crate::models::{DecoderSpec, HeadKind};
use crate::options::{BackendChoice, DeviceChoice, DtypeChoice, EngineOptions};
use crate::scheduler::backend::{Backend, EncoderBackend};
use crate::{cuda, reference};

/// A decoder as its folder describes it to the backend that computes it, before its weights are loaded.
pub enum DecoderPlan {
    /// The engine's own.
    Fast(Box<DecoderSpec>, Vec<String>),
    /// candle-transformers'.
    Reference(Box<reference::Plan>),
}

impl DecoderPlan {
    /// Reads what a folder says of its model.
    ///
    /// # Errors
    /// The backend does not know the family, or a value is missing or out of range.
    pub fn read(folder: &ModelFolder, config: &Config, backend: BackendChoice) -> Result<Self> {
        if backend == BackendChoice::Reference {
            return Ok(Self::Reference(Box::new(reference::Plan::read(folder, config)?)));
        }
        let (mut spec, mut notes) = (Box::new(families::decoder(config)?), Vec::new());
        if let Some(head) = separate_head(folder, &spec)? {
            spec.tied = false;
            notes.push(format!("{head} differs from the tied embedding: the separate head is used"));
        }
        Ok(Self::Fast(spec, notes))
    }

    /// Number of token ids.
    pub fn vocab(&self) -> usize {
        match self {
            Self::Fast(spec, _) => spec.vocab,
            Self::Reference(plan) => plan.vocab(),
        }
    }

    /// What a user should know of the model, a line each.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Fast(_, notes) => notes,
            Self::Reference(plan) => plan.notes(),
        }
    }

    /// The decoder with its weights for each of the chosen devices.
    ///
    /// # Errors
    /// As for [`decoders`].
    pub fn load(&self, folder: &ModelFolder, options: &EngineOptions) -> Result<Vec<Box<dyn Backend>>> {
        match self {
            Self::Fast(spec, _) => decoders(folder, spec, options),
            Self::Reference(plan) => Ok(vec![plan.load(folder)?]),
        }
    }
}

/// A decoder with its weights and KV blocks for each of the chosen devices.
///
/// # Errors
/// Weights that are missing, broken, do not fit the specification or the device; a device that cannot be used.
pub fn decoders(folder: &ModelFolder, spec: &DecoderSpec, options: &EngineOptions) -> Result<Vec<Box<dyn Backend>>> {
    match resolve(options.device)?.0 {
        DeviceChoice::Cuda(gpus) => cuda::decoders(&alike(gpus)?, folder, spec, options),
        _ => {
            let block = spec.cache_shape(options.dtype).block_bytes() as u64;
            let blocks =
                kv_blocks(options, spec.context, block, || available_memory().map_or(4 << 30, |free| free / 2));
            Ok(vec![Box::new(Decoder::load(folder, spec.clone(), options.dtype, blocks)?)])
        }
    }
}

/// An encoder with its weights.
///
/// # Errors
/// As for [`decoders`].
pub fn encoder(
    folder: &ModelFolder,
    config: &Config,
    spec: EncoderSpec,
    head: HeadKind,
    options: &EngineOptions,
) -> Result<Box<dyn EncoderBackend>> {
    if options.backend == BackendChoice::Reference {
        return reference::encoder(folder, config, &spec, head);
    }
    let load = |spec, dtype| Encoder::load(folder, spec, dtype, head);
    match resolve(options.device)?.0 {
        // The first of several: encoders are small, and their work is not shared.
        DeviceChoice::Cuda(gpus) => {
            // Their heads stay on the host, in f32.
            let host = load(spec, DtypeChoice::F32)?;
            cuda::encoder(&alike(gpus)?.swap_remove(0), host, options)
        }
        _ => Ok(Box::new(load(spec, options.dtype)?)),
    }
}

/// How an encoder is computed that was asked for with these options: on the processor where GPUs do not compute its kind.
pub fn encoder_options(spec: &EncoderSpec, options: &EngineOptions) -> EngineOptions {
    let own = options.backend == BackendChoice::Fast;
    if !own || options.device == DeviceChoice::Cpu || cuda::computes(spec) {
        return *options;
    }
    let dtype = if options.dtype == DtypeChoice::F16 { DtypeChoice::F32 } else { options.dtype };
    EngineOptions { device: DeviceChoice::Cpu, dtype, ..*options }
}
