//! The saved run: a versioned folder of plain files, written so that a crash leaves nothing half-written.
//!
//! `runs/<suite>/<run-id>/` holds `manifest.json` (what ran: plan, hashes, numerics fingerprint, SHA-256 of every file of the
//! record), `results.jsonl` (a line per case, sorted by dataset and id, equal bytes for equal runs), `prompts.jsonl` (what was
//! asked, where a generator ran), `summary.json` (counts and intervals) and `performance.json` (everything that may differ between two equal runs).
//! Run id and time stand in the manifest, never in `results.jsonl`. These files are committed before anything is compared, and never change.
//! `verdict.json` and `report.md` are made from them and put beside them: the manifest does not list these two, and they can be made again.
//!
//! Until a run is recorded, what it has computed stands in its journal, `runs/<suite>/.<run-id>.journal`, and its files are made in
//! `.<run-id>.partial`, of which nothing is needed after a crash. `.order` is a line for each run in the order of recording.
//!
//! This module holds data and its files. It does not score, compare, judge or decide where runs live.

mod answer_outcome;
mod batch;
mod beside;
mod dependence;
mod early;
mod files;
mod journal;
mod likelihood_figures;
mod line;
mod lines;
mod manifest;
mod order;
mod packed;
mod performance;
mod prompts;
mod reader;
mod run_id;
mod seal;
mod sort;
mod sum;
mod summary;
mod unfinished;
mod verdict;
mod verdict_file;
mod writer;

pub use answer_outcome::{AnswerOutcome, AnswerOutcomes, ThoughtEnd};
pub use batch::Batch;
pub use dependence::{Repeats, summarise};
pub use files::{FileEntry, MANIFEST, PERFORMANCE, PROMPTS, REPORT, RESULTS, SUMMARY, VERDICT};
pub use journal::{About, Journal, Key, Models, Place, Work, difference, refused, resumable};
pub use likelihood_figures::{Bin, Calibration, ChoiceFigures, LikelihoodFigures};
pub use line::{ResultLine, round};
pub use lines::Lines;
pub use manifest::{FORMAT, Hashes, Manifest, Selected};
pub use order::{ORDER, is_recorded, recorded_lines, recorded_manifest, recorded_order};
pub use packed::Plain;
pub use performance::{BASELINE_DRAFTS, CACHED, Hashing, Performance, Phase, Probe, ProbedCase, RESUMED};
pub use prompts::{PromptCursor, PromptLine, Prompts};
pub use reader::RunReader;
pub use run_id::{RunId, check_name};
pub use summary::{DatasetSummary, LISTED_IDS, ScorerSummary, Summary, SummaryBuilder, Totals};
pub use unfinished::{Unfinished, leftovers, prune, unfinished};
pub use verdict::{CaseRef, Decision, Evidence, Outcome, RuleResult, Verdict};
pub use verdict_file::{VERDICT_FORMAT, VerdictFile};
pub use writer::{RunWriter, SealedRun};

pub(crate) use beside::{beside, folder, settle};
pub(crate) use files::{FileHasher, sync_folder, write_atomically};
pub(crate) use order::append_line;
pub(crate) use packed::{compress, packed};
pub(crate) use seal::is_sealed;

#[cfg(test)]
pub(crate) mod tests_support {
    pub(crate) use super::line::tests::line;
    pub(crate) use super::writer::tests::saved;
}
