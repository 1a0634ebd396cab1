//! CUDA GPUs: finding them, and products of matrices on them.
//!
//! | file | what |
//! |---|---|
//! | `gpu` | what is known of a GPU; plain data |
//! | `machine` | which of a machine's GPUs karat can compute on; plain data |
//! | `driver` | asks driver and libraries; opens a GPU |
//! | `algorithm` | the rule by which one algorithm is chosen for a weight; plain data |
//! | `cublaslt` | what cuBLASLt gives and takes, owned and safe |
//! | `matmul` | `y = x · wᵀ` on a GPU, batch-invariant |
//! | `kernels` | kernels of our own, compiled by `build.rs` |
//! | `launch` | them as safe functions |
//! | `weight` | a matrix on a GPU with its product |
//! | `decoder`, `decoder_weights`, `layer`, `feed_forward`, `experts` | the parametric decoder there, and its steps |
//! | `encoder` | the parametric encoder there |
//! | `pass`, `stage` | what a step knows of its tokens; how it is told to the GPU, plain data |
//! | `plan` | how attention is shared out over a GPU; plain data |
//! | `reference` | what they compute, in plain Rust, for tests |
//!
//! Without the feature `cuda` there is [`usable`] alone, which says so. With it the program still starts where there is neither
//! GPU nor driver: libraries are looked for at their first call.

#[cfg(any(feature = "cuda", test))]
mod algorithm;
#[cfg(feature = "cuda")]
mod cublaslt;
#[cfg(feature = "cuda")]
mod decoder;
#[cfg(feature = "cuda")]
mod decoder_weights;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(feature = "cuda")]
mod encoder;
#[cfg(feature = "cuda")]
mod experts;
#[cfg(feature = "cuda")]
mod feed_forward;
mod gpu;
#[cfg(feature = "cuda")]
mod launch;
#[cfg(feature = "cuda")]
mod layer;
#[cfg(any(feature = "cuda", test))]
mod machine;
#[cfg(feature = "cuda")]
pub mod matmul;
#[cfg(feature = "cuda")]
mod pass;
#[cfg(any(feature = "cuda", test))]
mod plan;
#[cfg(test)]
mod reference;
#[cfg(any(feature = "cuda", test))]
mod stage;
#[cfg(feature = "cuda")]
mod weight;

#[cfg(feature = "cuda")]
pub use driver::usable;
pub use gpu::Gpu;

use crate::cpu::encoder::Encoder;
use crate::cpu::relative::RelativeBias;
use crate::error::Result;
use crate::models::encoder_spec::EncoderSpec;
use crate::models::model_folder::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::options::{DtypeChoice, EngineOptions};
use crate::scheduler::backend::{Backend, EncoderBackend};

/// Whether this build knows GPUs.
pub const BUILT: bool = cfg!(feature = "cuda");

/// The GPU with this number, if karat can compute on it.
///
/// # Errors
/// Always: this build knows no GPUs.
#[cfg(not(feature = "cuda"))]
pub fn usable(index: usize) -> crate::error::Result<Gpu> {
    Err(crate::error::Error::input(format!(
        "failed to use cuda:{index}: this karat was built without the feature `cuda`"
    ))
    .with_hint("`cargo build --release --features cuda` builds one with it (docs/cuda.md); `--device cpu` needs none"))
}

/// The type that a GPU computes in where this one was asked for.
pub fn dtype(choice: DtypeChoice) -> DtypeChoice {
    if choice == DtypeChoice::Auto { DtypeChoice::Bf16 } else { choice }
}

/// A decoder with its weights and KV blocks on every one of these GPUs, which are alike.
///
/// # Errors
/// Weights that are missing or broken, or more than fits a GPU.
#[cfg(feature = "cuda")]
pub fn decoders(
    gpus: &[Gpu],
    folder: &ModelFolder,
    spec: &DecoderSpec,
    options: &EngineOptions,
) -> Result<Vec<Box<dyn Backend>>> {
    fn boxed<T: weight::Stored>(decoders: Vec<decoder::Decoder<T>>) -> Vec<Box<dyn Backend>> {
        decoders.into_iter().map(|decoder| Box::new(decoder) as Box<dyn Backend>).collect()
    }
    Ok(match dtype(options.dtype) {
        DtypeChoice::F32 => boxed(decoder::load::<f32>(gpus, folder, spec, options)?),
        DtypeChoice::F16 => boxed(decoder::load::<half::f16>(gpus, folder, spec, options)?),
        DtypeChoice::Bf16 | DtypeChoice::Auto => boxed(decoder::load::<half::bf16>(gpus, folder, spec, options)?),
    })
}

/// Never called: this build has no GPUs.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn decoders(
    _gpus: &[Gpu],
    _folder: &ModelFolder,
    _spec: &DecoderSpec,
    _options: &EngineOptions,
) -> Result<Vec<Box<dyn Backend>>> {
    usable(0).map(|_| Vec::new())
}

/// Whether GPUs compute an encoder. The processor computes those with relative-position biases, a convolution, or a product
/// behind the word vectors.
pub fn computes(spec: &EncoderSpec) -> bool {
    let plain = spec.relative == RelativeBias::None && spec.convolution.is_none();
    plain && spec.embedding == spec.hidden && spec.head_size() <= 256
}

/// An encoder on a GPU, which takes the layers of one of the host, and room for batches.
///
/// # Errors
/// More than fits the GPU.
#[cfg(feature = "cuda")]
pub fn encoder(gpu: &Gpu, host: Encoder, options: &EngineOptions) -> Result<Box<dyn EncoderBackend>> {
    let tokens = options.batch_tokens;
    Ok(match dtype(options.dtype) {
        DtypeChoice::F32 => Box::new(encoder::Encoder::<f32>::new(gpu, host, tokens)?),
        DtypeChoice::F16 => Box::new(encoder::Encoder::<half::f16>::new(gpu, host, tokens)?),
        DtypeChoice::Bf16 | DtypeChoice::Auto => Box::new(encoder::Encoder::<half::bf16>::new(gpu, host, tokens)?),
    })
}

/// Never called: this build has no GPUs.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn encoder(_gpu: &Gpu, host: Encoder, _options: &EngineOptions) -> Result<Box<dyn EncoderBackend>> {
    usable(0).map(|_| Box::new(host) as Box<dyn EncoderBackend>)
}
