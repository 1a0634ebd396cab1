//! The engine: requests in, tokens, vectors and log-probabilities out; knows no datasets.

pub mod answer;
pub mod backend;
pub mod candle;
pub mod chat;
mod chat_notes;
pub mod draft;
mod encode;
pub mod error;
mod fleet;
pub mod generation_config;
mod generator;
pub mod guard;
pub mod hash_memo;
pub mod hashed_file;
pub mod hub;
pub mod identity;
pub mod log;
mod model_json;
pub mod model_kind;
mod model_ref;
pub mod options;
mod pages;
pub mod plan;
mod private;
pub mod processors;
mod reading;
pub mod registry;
pub mod render;
mod request;
pub mod response_cache;
pub mod sampler;
pub mod scheduler;
#[cfg(test)]
mod scheduler_tests;
mod sentence;
mod sequence;
pub mod simd;
pub mod special_tokens;
pub mod stand_in;
mod texts;
pub mod thought;
pub mod tokenizer;
pub mod workload;
pub mod yaml;

pub use encode::{Classifier, Embedder, EncodeTotals};
pub use generation_config::FileUse;
pub use generator::{Generator, hash_ids};
pub use model_ref::ModelRef;
pub use processors::ProcessorOptions;
pub use reading::{Length, Long, Part, Reading, Span, Unread, Windows};
pub use request::{
    CaseKey, ChatOptions, Classification, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request,
    Response, Sampling, Scored, TextInput, Turn,
};
pub use sentence::PromptChoice;
