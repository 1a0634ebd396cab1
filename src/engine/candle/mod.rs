//! The arithmetic of the engine on candle tensors. Nothing above this module sees a tensor.

mod activation;
pub mod arch;
mod attention;
mod cache;
mod decoder;
mod device;
mod encoder;
mod gguf;
pub mod linear;
mod norm;
mod ops;
mod rotary;
#[cfg(test)]
mod sweep;
mod weights;

pub use cache::{CacheShape, PAGE};
pub use decoder::{Decoder, DecoderSpec};
pub use device::{Fingerprint, NUMERICS_VERSION, available_memory, fingerprint};
pub use encoder::{Encoder, EncoderSpec, HeadKind};
pub use weights::{count_weights, gguf_config, gguf_metadata, weight_files};
