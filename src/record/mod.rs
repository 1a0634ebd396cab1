//! The saved run: a versioned folder of plain files, written so that a crash leaves nothing half-written.
//!
//! `runs/<suite>/<run-id>/` holds `manifest.json` (what ran: plan, hashes, numerics fingerprint, SHA-256 of every other
//! file), `results.jsonl` (a line per case, sorted by dataset and id, equal bytes for equal runs), `prompts.jsonl` (what was
//! asked, where a generator ran), `summary.json` (counts and intervals), `performance.json` (everything that may differ between two equal runs) and `report.md`. Run
//! id and time stand in the manifest, never in `results.jsonl`.
//!
//! This module holds data and its files. It does not score, compare, judge or decide where runs live.

mod batch;
mod dependence;
mod early;
mod files;
mod line;
mod lines;
mod manifest;
mod order;
mod packed;
mod performance;
mod prompts;
mod reader;
mod run_id;
mod sort;
mod summary;
mod verdict;
mod writer;

pub use batch::Batch;
pub use dependence::{Repeats, summarise};
pub use files::{MANIFEST, PERFORMANCE, PROMPTS, REPORT, RESULTS, SUMMARY, VERDICT};
pub use line::{ResultLine, round};
pub use lines::Lines;
pub use manifest::{FORMAT, FileEntry, Hashes, Manifest, Selected};
pub use order::{ORDER, recorded_order};
pub use packed::Plain;
pub use performance::{BASELINE_DRAFTS, CACHED, Performance, Phase, Probe, ProbedCase};
pub use prompts::{PromptCursor, PromptLine, Prompts};
pub use reader::RunReader;
pub use run_id::{RunId, check_name};
pub use summary::{DatasetSummary, LISTED_IDS, ScorerSummary, Summary, SummaryBuilder, Totals};
pub use verdict::{CaseRef, Decision, Evidence, Outcome, RuleResult, VERDICT_FORMAT, Verdict, VerdictFile};
pub use writer::{RunWriter, SealedRun};

pub(crate) use files::{FileHasher, sync_folder, write_atomically};
pub(crate) use order::append_line;
pub(crate) use packed::{compress, packed};

#[cfg(test)]
pub(crate) mod tests_support {
    pub(crate) use super::line::tests::line;
    pub(crate) use super::writer::tests::saved;
}
