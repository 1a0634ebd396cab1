//! Reference answers of Hugging Face transformers, of published tools and of candle-transformers.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and says what it skips")]

mod reference;

mod decoders;
mod encoders;
mod minilm;
#[cfg(feature = "reference")]
mod second_opinion;
mod stories;
