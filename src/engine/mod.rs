//! The engine: requests in, tokens, vectors and log-probabilities out; knows no datasets.

mod request;

pub use request::{
    CaseKey, Classification, Embedding, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request, Response,
    Sampling, Scored, TextInput,
};
