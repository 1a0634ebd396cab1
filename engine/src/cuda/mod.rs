//! CUDA cards: finding them, and products of matrices on them.
//!
//! | file | what |
//! |---|---|
//! | `card` | what is known of a card; plain data |
//! | `machine` | which of a machine's cards karat can compute on; plain data |
//! | `driver` | asks driver and libraries; opens a card |
//! | `algorithm` | the rule by which one algorithm is chosen for a weight; plain data |
//! | `cublaslt` | what cuBLASLt gives and takes, owned and safe |
//! | `matmul` | `y = x · wᵀ` on a card, the same bits for a row whatever its company |
//! | `kernels` | kernels of our own, compiled by `build.rs` |
//! | `launch` | them as safe functions |
//! | `weight` | a matrix on a card with its product |
//! | `decoder`, `decoder_weights`, `layer`, `experts` | the parametric decoder there, and its steps |
//! | `encoder` | the parametric encoder there |
//! | `pass`, `stage` | what a step knows of its tokens; how it is told to the card, plain data |
//! | `plan` | how attention is shared out over a card; plain data |
//! | `reference` | what they compute, in plain Rust, for tests |
//!
//! Without the feature `cuda` there is [`usable`] alone, which says so. With it the program still starts where there is neither
//! card nor driver: libraries are looked for at their first call.

#[cfg(any(feature = "cuda", test))]
mod algorithm;
mod card;
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

pub use card::Card;
#[cfg(feature = "cuda")]
pub use driver::usable;

use crate::cpu::encoder::{Encoder, EncoderSpec};
use crate::cpu::relative::Relative;
use crate::error::Result;
use crate::models::identity::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::options::{DtypeChoice, EngineOptions};
use crate::scheduler::backend::{Backend, EncoderBackend};

/// Whether this build knows cards.
pub const BUILT: bool = cfg!(feature = "cuda");

/// The card with this number, if karat can compute on it.
///
/// # Errors
/// Always: this build knows no cards.
#[cfg(not(feature = "cuda"))]
pub fn usable(index: usize) -> crate::error::Result<Card> {
    Err(crate::error::Error::input(format!(
        "failed to use cuda:{index}: this karat was built without the feature `cuda`"
    ))
    .with_hint("`cargo build --release --features cuda` builds one with it (docs/cuda.md); `--device cpu` needs none"))
}

/// The type that a card computes in where this one was asked for.
pub fn dtype(choice: DtypeChoice) -> DtypeChoice {
    if choice == DtypeChoice::Auto { DtypeChoice::Bf16 } else { choice }
}

/// A decoder with its weights and KV pages on every one of these cards, which are alike.
///
/// # Errors
/// Weights that are missing or broken, or more than fits a card.
#[cfg(feature = "cuda")]
pub fn decoders(
    cards: &[Card],
    folder: &ModelFolder,
    spec: &DecoderSpec,
    options: &EngineOptions,
) -> Result<Vec<Box<dyn Backend>>> {
    fn boxed<T: weight::Stored>(decoders: Vec<decoder::Decoder<T>>) -> Vec<Box<dyn Backend>> {
        decoders.into_iter().map(|decoder| Box::new(decoder) as Box<dyn Backend>).collect()
    }
    Ok(match dtype(options.dtype) {
        DtypeChoice::F32 => boxed(decoder::load::<f32>(cards, folder, spec, options)?),
        DtypeChoice::F16 => boxed(decoder::load::<half::f16>(cards, folder, spec, options)?),
        DtypeChoice::Bf16 | DtypeChoice::Auto => boxed(decoder::load::<half::bf16>(cards, folder, spec, options)?),
    })
}

/// Never called: this build has no cards.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn decoders(
    _cards: &[Card],
    _folder: &ModelFolder,
    _spec: &DecoderSpec,
    _options: &EngineOptions,
) -> Result<Vec<Box<dyn Backend>>> {
    usable(0).map(|_| Vec::new())
}

/// Whether cards compute an encoder. The processor computes those with summands of their scores, a convolution, or a product
/// behind the word vectors.
pub fn computes(spec: &EncoderSpec) -> bool {
    let plain = spec.relative == Relative::None && spec.convolution.is_none();
    plain && spec.embedding == spec.hidden && spec.head_size() <= 256
}

/// An encoder on a card, which takes the layers of one of the host, and room for batches.
///
/// # Errors
/// More than fits the card.
#[cfg(feature = "cuda")]
pub fn encoder(card: &Card, host: Encoder, options: &EngineOptions) -> Result<Box<dyn EncoderBackend>> {
    let tokens = options.batch_tokens;
    Ok(match dtype(options.dtype) {
        DtypeChoice::F32 => Box::new(encoder::Encoder::<f32>::new(card, host, tokens)?),
        DtypeChoice::F16 => Box::new(encoder::Encoder::<half::f16>::new(card, host, tokens)?),
        DtypeChoice::Bf16 | DtypeChoice::Auto => Box::new(encoder::Encoder::<half::bf16>::new(card, host, tokens)?),
    })
}

/// Never called: this build has no cards.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn encoder(_card: &Card, host: Encoder, _options: &EngineOptions) -> Result<Box<dyn EncoderBackend>> {
    usable(0).map(|_| Box::new(host) as Box<dyn EncoderBackend>)
}
