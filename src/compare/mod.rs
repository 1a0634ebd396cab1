//! Two saved runs to a [`Comparison`]; a policy over it to a gate [`Verdict`].
//!
//! Cases pair by dataset and id in one pass over two sorted streams. Change (did anything differ), direction (better or
//! worse), significance (could it be chance) and magnitude (how much) are four separate questions with a function each.
//! Cases that were added, removed or errored never count as passing. Memory holds counts, the differences that are not
//! zero, and changed cases up to a stated cap; all counts are exact.
//!
//! Nothing is shown here (that is `report`'s) and nothing is read from disk but through `record`.

mod baseline;
#[cfg(test)]
mod baseline_tests;
mod bounds;
mod case_list;
mod cases;
mod causes;
mod change;
mod comparison;
mod complete;
mod danger;
mod danger_changes;
mod effect;
mod gate;
mod gate_causes;
mod gate_expression;
#[cfg(test)]
mod gate_tests;
mod kept;
mod metric;
mod operational;
mod outcome_scores;
#[cfg(test)]
mod outcome_tests;
mod pair;
mod paired_counts;
mod ranking;
mod results;
mod slice;
mod subject;
mod tally;
mod units;
mod view;
mod words;

pub use case_list::{CaseList, LISTED_CASES};
pub use cases::{CaseLines, Cases};
pub use causes::{Cause, CauseKind, Effect, causes};
pub use change::{CaseChange, CaseView, ChangeKind, Direction, ScorerChange, change, direction};
pub use comparison::{CompareOptions, Comparison, RunRef, Side, TokenSums, Tokens, compare};
pub use danger_changes::DangerChanges;
pub use effect::{Detectable, Magnitude, Method, Sample, Significance, TestKind};
pub use gate::judge;
pub use metric::MetricValue;
pub use pair::{Pair, pairs};
pub use paired_counts::PairedCounts;
pub use ranking::{Candidate, Cost, Costs, First, RankedRun, Ranking, rank};
pub use slice::{Slice, SliceComparison};
pub use subject::{GatePolicy, Subject, Unreadable, Without};
pub use tally::{DatasetComparison, Extreme, MetricComparison, MetricSide, WHOLE};
pub use units::{UnitCounts, UnitKind};
pub use words::{Piece, Side as TextSide, bounded, bounded_pair, word_diff};

#[cfg(test)]
pub(crate) use comparison::tests as tests_support;

pub use crate::record::{CaseRef, Decision, Evidence, Outcome, RuleResult, Verdict};
pub use crate::rule::{Gate, Metric, Statistic, Tier};
