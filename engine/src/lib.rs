//! The engine: requests in, tokens, vectors and log-probabilities out; knows no datasets.

pub mod answer;
pub mod chat;
pub mod cpu;
pub mod cuda;
pub mod device;
mod encode;
pub mod error;
mod generator;
pub mod guard;
pub mod hub;
pub mod log;
pub mod models;
pub mod options;
mod private;
mod reading;
pub mod render;
mod request;
pub mod response_cache;
pub mod sampling;
pub mod scheduler;
mod sentence;
pub mod stand_in;
mod texts;
pub mod thought;
pub mod tokenizer;
pub mod yaml;

pub use encode::{Classifier, Embedder, EncodeTotals};
pub use generator::{Generator, hash_ids};
pub use hub::model_ref::ModelRef;
pub use models::generation_config::FileUse;
pub use reading::{Length, Long, Part, Reading, Span, Unread, Windows};
pub use request::{
    CaseKey, ChatOptions, Classification, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request,
    Response, Sampling, Scored, TextInput, Turn,
};
pub use sampling::processors::ProcessorOptions;
pub use sentence::PromptChoice;
