//! The engine: requests in, tokens, vectors and log-probabilities out; knows no datasets.

pub mod chat;
pub mod hub;
mod model_json;
mod request;
pub mod special_tokens;
pub mod tokenizer;

pub use request::{
    CaseKey, Classification, Embedding, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request, Response,
    Sampling, Scored, TextInput,
};
