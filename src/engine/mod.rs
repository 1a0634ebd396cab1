//! The engine: requests in, tokens, vectors and log-probabilities out; knows no datasets.

pub mod backend;
pub mod candle;
pub mod options;
pub mod plan;
mod request;
pub mod sampler;
pub mod scheduler;
pub mod simd;

pub use request::{
    CaseKey, Classification, Embedding, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request, Response,
    Sampling, Scored, TextInput,
};
