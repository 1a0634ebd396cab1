//! Decoders and encoders on the device that was chosen.

use super::{alike, available_memory, pages, resolve};
use crate::cpu::{Decoder, Encoder, EncoderSpec};
use crate::cuda;
use crate::error::Result;
use crate::models::identity::ModelFolder;
use crate::models::{DecoderSpec, HeadKind};
use crate::options::{DeviceChoice, DtypeChoice, EngineOptions};
use crate::scheduler::backend::{Backend, EncoderBackend};

/// A decoder with its weights and KV pages for each of the chosen devices.
///
/// # Errors
/// Weights that are missing, broken, do not fit the specification or the device; a device that cannot be used.
pub fn decoders(folder: &ModelFolder, spec: &DecoderSpec, options: &EngineOptions) -> Result<Vec<Box<dyn Backend>>> {
    match resolve(options.device)?.0 {
        DeviceChoice::Cuda(cards) => cuda::decoders(&alike(cards)?, folder, spec, options),
        _ => {
            let page = spec.cache_shape(options.dtype).page_bytes() as u64;
            let pages = pages(options, spec.context, page, || available_memory().map_or(4 << 30, |free| free / 2));
            Ok(vec![Box::new(Decoder::load(folder, spec.clone(), options.dtype, pages)?)])
        }
    }
}

/// An encoder with its weights.
///
/// # Errors
/// As for [`decoders`].
pub fn encoder(
    folder: &ModelFolder,
    spec: EncoderSpec,
    head: HeadKind,
    options: &EngineOptions,
) -> Result<Box<dyn EncoderBackend>> {
    let load = |spec, dtype| Encoder::load(folder, spec, dtype, head);
    match resolve(options.device)?.0 {
        // The first of several: encoders are small, and their work is not shared.
        DeviceChoice::Cuda(cards) => {
            // Their heads stay on the host, in f32.
            let host = load(spec, DtypeChoice::F32)?;
            cuda::encoder(&alike(cards)?.swap_remove(0), host, options)
        }
        _ => Ok(Box::new(load(spec, options.dtype)?)),
    }
}

/// How an encoder is computed that was asked for with these options: on the processor where cards do not compute its kind.
pub fn encoder_options(spec: &EncoderSpec, options: &EngineOptions) -> EngineOptions {
    if options.device == DeviceChoice::Cpu || cuda::computes(spec) {
        return *options;
    }
    let dtype = if options.dtype == DtypeChoice::F16 { DtypeChoice::F32 } else { options.dtype };
    EngineOptions { device: DeviceChoice::Cpu, dtype, ..*options }
}
