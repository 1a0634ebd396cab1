//! The arithmetic of the engine on candle tensors. Nothing above this module sees a tensor.

mod activation;
pub mod arch;
mod attention;
mod cache;
#[cfg(test)]
mod contained;
pub mod cuda;
mod decoder;
mod device;
mod encoder;
mod encoder_weights;
mod experts;
mod gguf;
mod layer;
pub mod linear;
mod norm;
mod ops;
mod pooling;
mod relative;
mod rotary;
mod spec;
#[cfg(test)]
mod sweep;
mod weights;

pub use activation::Activation;
pub use cache::{CacheShape, PAGE};
pub use decoder::{Decoder, check_weights, separate_head};
pub use device::{Fingerprint, NUMERICS_VERSION, decoders, encoder, encoder_options, fingerprint, resolve};
pub use encoder::{Encoder, EncoderSpec};
pub use encoder_weights::{HeadKind, StageSpec};
pub use pooling::unit_length;
pub use spec::DecoderSpec;
pub use weights::{count_weights, gguf_config, gguf_metadata, has_tokenizer, weight_files};
