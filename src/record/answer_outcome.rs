//! What became of an answer beside its scores: cut off, empty, never given, not understood, not read to its end.

use serde::{Deserialize, Serialize};

use super::ResultLine;
use crate::engine::Finish;
use crate::score::{Lacking, is_blank};
use crate::stats::format::percent;

/// Whether the thoughts of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThoughtEnd {
    /// All of them ended.
    Closed,
    /// The last one was cut off: there is no answer behind it.
    Cut,
}

/// What may have become of an answer. Each is the name of a rate that gates can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerOutcome {
    /// It ended because `max_new_tokens` or the context was used up.
    FinishLength,
    /// It is blank.
    Empty,
    /// It ended within a thought.
    NoAnswer,
    /// A scorer found nothing in it of what it extracts.
    NotExtracted,
    /// A scorer's model did not read all of a text.
    Truncated,
}

impl AnswerOutcome {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::FinishLength, Self::Empty, Self::NoAnswer, Self::NotExtracted, Self::Truncated];

    /// Its name in gates, before `_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FinishLength => "finish_length",
            Self::Empty => "empty",
            Self::NoAnswer => "no_answer",
            Self::NotExtracted => "not_extracted",
            Self::Truncated => "truncated",
        }
    }

    /// What reports call answers of this kind.
    pub fn words(self) -> &'static str {
        match self {
            Self::FinishLength => "cut off at max_new_tokens",
            Self::Empty => "empty",
            Self::NoAnswer => "cut off within a thought (no answer)",
            Self::NotExtracted => "nothing extracted",
            Self::Truncated => "not read to the end by a scorer's model",
        }
    }
}

impl ResultLine {
    /// Whether this became of the answer; `None` where the line does not tell.
    pub fn shows(&self, outcome: AnswerOutcome) -> Option<bool> {
        if self.error.is_some() {
            return None;
        }
        let lacks = |lacking| Some(self.scores.values().any(|score| score.outcome == Some(lacking)));
        match outcome {
            AnswerOutcome::FinishLength => self.finish.map(|finish| finish == Finish::Length),
            AnswerOutcome::Empty => self.empty.or_else(|| self.output.as_ref().map(|output| is_blank(output))),
            AnswerOutcome::NoAnswer => Some(self.thought == Some(ThoughtEnd::Cut)),
            AnswerOutcome::NotExtracted => lacks(Lacking::NotExtracted),
            AnswerOutcome::Truncated => lacks(Lacking::Truncated),
        }
    }

    /// Whether the line has keys that formats before the fourth do not know.
    pub(super) fn has_outcomes(&self) -> bool {
        self.thought.is_some()
            || self.thought_opened
            || self.empty.is_some()
            || self.scores.values().any(|score| score.outcome.is_some())
    }
}

/// How many answers of a dataset each of these became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerOutcomes {
    /// Ended by `max_new_tokens` or the context.
    #[serde(skip_serializing_if = "is_zero")]
    pub finish_length: u64,
    /// Blank.
    #[serde(skip_serializing_if = "is_zero")]
    pub empty: u64,
    /// With thoughts that ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub thoughts: u64,
    /// Ended within a thought.
    #[serde(skip_serializing_if = "is_zero")]
    pub no_answer: u64,
    /// Of which a scorer extracted nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_extracted: u64,
    /// Of which a scorer's model did not read all.
    #[serde(skip_serializing_if = "is_zero")]
    pub truncated: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl AnswerOutcomes {
    /// Counts an answer.
    pub fn add(&mut self, line: &ResultLine) {
        for outcome in AnswerOutcome::ALL {
            *self.count_mut(outcome) += u64::from(line.shows(outcome) == Some(true));
        }
        self.thoughts += u64::from(line.error.is_none() && line.thought == Some(ThoughtEnd::Closed));
    }

    /// Adds counts of other answers.
    pub fn merge(&mut self, other: &Self) {
        for outcome in AnswerOutcome::ALL {
            *self.count_mut(outcome) += other.count(outcome);
        }
        self.thoughts += other.thoughts;
    }

    /// How many answers became this.
    pub fn count(&self, outcome: AnswerOutcome) -> u64 {
        match outcome {
            AnswerOutcome::FinishLength => self.finish_length,
            AnswerOutcome::Empty => self.empty,
            AnswerOutcome::NoAnswer => self.no_answer,
            AnswerOutcome::NotExtracted => self.not_extracted,
            AnswerOutcome::Truncated => self.truncated,
        }
    }

    fn count_mut(&mut self, outcome: AnswerOutcome) -> &mut u64 {
        match outcome {
            AnswerOutcome::FinishLength => &mut self.finish_length,
            AnswerOutcome::Empty => &mut self.empty,
            AnswerOutcome::NoAnswer => &mut self.no_answer,
            AnswerOutcome::NotExtracted => &mut self.not_extracted,
            AnswerOutcome::Truncated => &mut self.truncated,
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What reports say of `cases` answers: `12 cut off at max_new_tokens (6.0 %)` and so on, the most telling first.
    pub fn told(&self, cases: u64) -> Vec<(AnswerOutcome, u64, String)> {
        let share = |n: u64| percent(100.0 * n as f64 / cases.max(1) as f64);
        let found = AnswerOutcome::ALL.into_iter().map(|outcome| (outcome, self.count(outcome)));
        let found = found.filter(|(_, n)| *n > 0);
        found.map(|(outcome, n)| (outcome, n, format!("{n} {} ({})", outcome.words(), share(n)))).collect()
    }
}
