//! The arithmetic of the engine on the processor: kernels whose bits do not depend on the batch, and decoders and encoders made of them.

pub mod simd;

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod cache;
#[cfg(test)]
mod contained;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod experts;
pub(crate) mod feed_forward;
pub(crate) mod layer;
pub mod linear;
pub(crate) mod norm;
pub(crate) mod pooling;
pub(crate) mod relative;
pub(crate) mod rotary;
pub(crate) mod rows;
#[cfg(test)]
mod sweep;

pub use activation::Activation;
pub use cache::{BLOCK_SIZE, CacheShape};
pub use decoder::{Decoder, check_weights, separate_head};
pub use encoder::Encoder;
pub use pooling::unit_length;
pub use rows::Rows;
