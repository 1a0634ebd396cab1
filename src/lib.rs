//! karat: batch evaluation of language models with local inference and diffs that can be trusted.
//!
//! ```text
//! suite.yaml ─> Plan ─> Sample stream ─> Request ─> Response ─> Scores ─> Record ─┬─> Comparison ─> Verdict ─> exit code
//!    suite       suite      dataset       prompt     engine      score    record  ├─> reports
//!                                                                                └─> history / baselines
//! ```
//!
//! The module map is the architecture; `tests/architecture.rs` holds every `crate::<module>` path of the sources against
//! this table. Readers of records (`compare`, `report`) name the types that a record is made of, and no more of their
//! modules:
//!
//! | module | responsibility | may import |
//! |---|---|---|
//! | `error` | of `karat-engine`: error kind, cause chain, location, hint | – |
//! | `git` | git, called so that it runs nothing that a repository names: what runs record of it, and references into it, are asked in one way | error |
//! | `hash` | of `karat-engine`: SHA-256 and hex | – |
//! | `stand_in` | of `karat-engine`: what lies in the place of a file: pointers, pages, archives, devices; models, datasets, suites, prompts and records are looked at alike | error |
//! | `stats` | pure numbers: means, intervals, paired tests; how they are written | – |
//! | `yaml` | of `karat-engine`: YAML that knows its places, and serde over it: suites, headers of datasets and registry entries are read with it | error |
//! | `dataset` | verified files -> stream of `Sample`, and the header that may lie beside a file | error, hash, stand_in, yaml |
//! | `engine` | the crate `karat-engine`. `Request` -> `Response`: tokens in, tokens, vectors, log-probabilities out; knows no datasets | error, yaml, stand_in |
//! | `rule` | what gates ask: metrics, bounds, filters, expressions, prices; data and its parsing | error |
//! | `prompt` | `Sample` + versioned template -> `Prompt`; the prompt linter | error, hash, stand_in, dataset, engine |
//! | `score` | `needs` and `score`, one file per scorer family | error, dataset, engine |
//! | `record` | the saved run and the journal of one that is not saved yet: versioned formats, data only; its summary holds intervals, hence `stats`, and rules' tiers | error, hash, stand_in, stats, dataset, engine, rule, score |
//! | `suite` | layered YAML -> one validated `Plan` | error, stand_in, yaml, dataset, engine, rule, prompt, score |
//! | `compare` | two records -> `Comparison`; policy -> gate `Verdict` | error, stats, dataset, engine, rule, score, record |
//! | `report` | record or comparison -> bytes, one file per format; never prints | error, stats, dataset, score, record, compare |
//! | `history` | where runs and baselines live: list, accept, show | error, git, hash, stand_in, record, stats |
//! | `run` | the driver: streams all stages, emits `Event`s | error, hash, git, stand_in, stats, dataset, engine, prompt, score, record, suite |
//! | `cli` | clap, terminal, progress, exit codes; one file per subcommand | error, hash, stand_in, stats, dataset, engine, rule, prompt, score, record, suite, compare, report, history, run |

pub use karat_engine as engine;
pub use karat_engine::error;
use karat_engine::{hash, stand_in, yaml};

pub mod compare;
pub mod dataset;
mod git;
pub mod history;
pub mod prompt;
pub mod record;
pub mod report;
pub mod rule;
pub mod run;
pub mod score;
pub mod stats;
pub mod suite;

pub mod cli;
