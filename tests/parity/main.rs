//! Reference answers of Hugging Face transformers, of published tools and of candle-transformers.

mod reference;

mod decoders;
mod encoders;
mod minilm;
mod second_opinion;
mod stories;
