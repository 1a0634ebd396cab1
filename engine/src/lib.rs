//! Batched inference of language models whose bits do not depend on the batch.
//!
//! Requests go in, tokens, vectors and log-probabilities come out. A result depends on the model, the request, the options and the
//! [`device::Fingerprint`], and on nothing else: not on batching, threads, order, chunks of a prefill, shared prefixes, drafts or the cache.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use karat_engine::chat::Clock;
//! use karat_engine::models::model_folder::ModelFolder;
//! use karat_engine::options::EngineOptions;
//! use karat_engine::render::Renderer;
//! use karat_engine::{CaseKey, GenerateOptions, Generator, Prompt, Request};
//!
//! # fn main() -> karat_engine::error::Result<()> {
//! let folder = ModelFolder::new("models/my-model");
//! let renderer = Arc::new(Renderer::open(&folder, Clock::default())?);
//! let mut generator = Generator::open(&folder, renderer, &EngineOptions::default())?;
//! let requests = ["One", "Two"].into_iter().map(|text| {
//!     let (options, key) = (GenerateOptions::default(), CaseKey { case: text.into(), ..CaseKey::default() });
//!     Ok(Request { prompt: Prompt::Text(text.into()), options, key, draft: Vec::new() })
//! });
//! let print = |number, response: karat_engine::Response| {
//!     println!("{number}: {}", response.text);
//!     Ok(())
//! };
//! generator.generate(requests, print, |_| Ok(()))?;
//! # Ok(())
//! # }
//! ```
//!
//! More in `examples/`: `generate`, `embed`, `log_probabilities`.
//!
//! | module | what |
//! |---|---|
//! | [`scheduler`] | continuous batching: admission, KV blocks, shared prefixes, drafts; the [`scheduler::backend::Backend`] trait |
//! | [`cpu`] | kernels, decoders and encoders on the processor |
//! | [`cuda`] | the same on CUDA GPUs (feature `cuda`) |
//! | [`mod@reference`] | candle-transformers' model code as a second backend (feature `reference`) |
//! | [`device`] | which of the two computes, and the fingerprint of its numerics |
//! | [`models`] | families, configurations, safetensors and GGUF, what a folder holds, hashes of it |
//! | [`hub`] | models by name: the Hugging Face hub (feature `hub`) and registries |
//! | [`tokenizer`], [`chat`], [`render`] | from text and conversations to token ids and back |
//! | [`sampling`] | how the next token is chosen |
//! | [`response_cache`], [`log`] | answers that were computed before, in files that survive a crash |

#![deny(missing_docs)]

pub mod answer;
pub mod chat;
pub mod cpu;
pub mod cuda;
pub mod device;
mod encode;
pub mod error;
mod generator;
pub mod guard;
pub mod hash;
pub mod hub;
pub mod log;
mod loglikelihood;
pub mod models;
pub mod options;
mod private;
mod reading;
pub mod reference;
pub mod render;
mod request;
mod request_queue;
pub mod response_cache;
pub mod sampling;
pub mod scheduler;
mod sentence;
pub mod stand_in;
mod texts;
pub mod thought;
mod thought_markers;
pub mod tokenizer;
pub mod yaml;

pub use encode::{Classifier, Embedder, EncodeTotals};
pub use generator::{Generator, hash_ids};
pub use hub::model_ref::ModelRef;
pub use reading::{Length, Long, Part, Reading, Span, Unread, Windows};
pub use request::{
    CaseKey, ChatOptions, Classification, FileUse, Finish, GenerateOptions, LogProb, Message, Pooling, Prompt, Request,
    Response, Sampling, Scored, TextInput, Turn,
};
pub use sampling::processors::ProcessorOptions;
pub use sentence::PromptChoice;
