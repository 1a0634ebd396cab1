//! The karat binary as a user meets it: one integration binary, a temporary folder per test, real processes.
//!
//! `project` runs commands, `power` takes their power away, `checkpoint`, `random_model` and `to_gguf` write model folders,
//! `reference` reads what transformers answered; the other modules hold the tests, one subject each.

mod checkpoint;
mod comparison;
mod default_suite;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod power;
mod project;
mod random_model;
mod reference;
mod to_gguf;

mod answers;
#[cfg(feature = "reference")]
mod backends;
mod bad_input;
mod bad_model;
mod baselines;
mod cache;
mod chat;
mod commits;
mod compatibility;
mod devices;
mod encoders;
mod engine;
mod escapes;
mod exit_codes;
mod generation;
mod gguf;
mod gguf_alone;
mod headers;
mod inputs;
mod invariance;
// Signals, tmpfs and the system calls of one platform.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kills;
mod limits;
mod line_keys;
mod logprob;
mod long_texts;
mod main_job;
mod model_kinds;
mod preflight;
mod progress;
mod projects;
mod registry;
mod requests;
mod resume;
mod scorers;
mod stopping;
mod streams;
mod swapped;
mod tampering;
mod verdicts;
