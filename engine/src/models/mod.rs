//! Models as files: what a folder or a GGUF file holds, which family it is of, its configuration and its weights.

pub mod encoder_spec;
pub(crate) mod encoder_weights;
pub mod families;
pub mod generation_config;
pub(crate) mod gguf;
pub mod hash_memo;
pub mod hashed_file;
pub mod identity;
pub mod kind;
pub mod model_folder;
pub(crate) mod model_json;
pub(crate) mod spec;
pub(crate) mod weights;

pub use encoder_spec::{EncoderSpec, HeadKind, StageSpec};
pub use spec::DecoderSpec;
pub use weights::{count_weights, gguf_config, gguf_metadata, weight_files};
