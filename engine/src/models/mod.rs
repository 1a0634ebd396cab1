//! Models as files: what a folder or a GGUF file holds, which family it is of, its configuration and its weights.

pub(crate) mod encoder_weights;
pub mod families;
pub mod generation_config;
pub(crate) mod gguf;
pub mod hash_memo;
pub mod hashed_file;
pub mod identity;
pub mod kind;
pub(crate) mod model_json;
pub(crate) mod spec;
pub(crate) mod weights;

pub use encoder_weights::{HeadKind, StageSpec};
pub use spec::DecoderSpec;
pub use weights::{count_weights, gguf_config, gguf_metadata, has_tokenizer, weight_files};
