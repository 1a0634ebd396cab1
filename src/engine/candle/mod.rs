//! The arithmetic of the engine on candle tensors. Nothing above this module sees a tensor.

mod activation;
pub mod arch;
mod attention;
mod cache;
mod decoder;
mod device;
mod encoder;
mod encoder_weights;
mod gguf;
pub mod linear;
mod norm;
mod ops;
mod pooling;
mod relative;
mod rotary;
#[cfg(test)]
mod sweep;
mod weights;

pub use activation::Activation;
pub use cache::{CacheShape, PAGE};
pub use decoder::{Decoder, DecoderSpec};
pub use device::{Fingerprint, NUMERICS_VERSION, available_memory, fingerprint};
pub use encoder::{Encoder, EncoderSpec};
pub use encoder_weights::{HeadKind, StageSpec};
pub use pooling::unit_length;
pub use weights::{count_weights, gguf_config, weight_files};
