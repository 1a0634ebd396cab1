//! What a run tells while it goes: the only link from running to showing.
//!
//! Nothing in `run` prints. Whoever shows progress (a bar, plain lines, a journal) gets every [`Event`] as data, from
//! several threads and in no promised order between them.

use crate::error::Result;

/// A part of a run; parts overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Datasets and recorded answers are read once and checked.
    Check,
    /// Models are loaded.
    Load,
    /// Cases are answered: generated, or looked up among recorded answers.
    Answer,
    /// Texts are embedded for scorers.
    Embed,
    /// Texts are classified for scorers.
    Classify,
    /// Answers are scored.
    Score,
    /// Result lines are sorted and added up.
    Sort,
    /// Some cases are answered once more, one at a time.
    Probe,
}

impl Phase {
    /// All phases, in the order in which they begin.
    pub const ALL: [Self; 8] =
        [Self::Check, Self::Load, Self::Answer, Self::Embed, Self::Classify, Self::Score, Self::Sort, Self::Probe];

    /// The name in words and in `performance.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Load => "load",
            Self::Answer => "answer",
            Self::Embed => "embed",
            Self::Classify => "classify",
            Self::Score => "score",
            Self::Probe => "probe",
            Self::Sort => "sort",
        }
    }
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A phase began, over this many cases where it goes case by case.
    Began {
        /// Which phase.
        phase: Phase,
        /// Number of cases, where it is known.
        cases: Option<u64>,
    },
    /// A phase ended.
    Ended {
        /// Which phase.
        phase: Phase,
        /// How long it took.
        seconds: f64,
        /// Whether it came to its end; an error or a signal ended it otherwise.
        complete: bool,
    },
    /// A model is about to be loaded.
    Loading {
        /// `generator`, `embedder` or `toxicity`.
        role: &'static str,
    },
    /// Cases whose answers stand in the journal of the interrupted run; told once, before [`Phase::Answer`] begins.
    Resumed {
        /// Cases. Those of [`Event::Answered`] do not count them.
        cases: u64,
    },
    /// Cases have been answered. All figures count from the start of the run.
    Answered {
        /// Cases.
        cases: u64,
        /// Of these, those whose answer was known from an earlier run.
        cached: u64,
        /// Prompt tokens computed; 0 for recorded answers.
        prompt_tokens: u64,
        /// Tokens generated; 0 for recorded answers.
        generated_tokens: u64,
    },
    /// Cases have been scored. All figures count from the start of the run.
    Scored {
        /// Cases, errored ones included.
        cases: u64,
        /// Of these, those that passed.
        passed: u64,
        /// Of these, those that could not be answered or scored.
        errored: u64,
    },
    /// The run stopped before its end, and can be resumed.
    Unfinished {
        /// Its id.
        run_id: String,
        /// Cases that are finished.
        finished: u64,
    },
    /// Something that a reader of the result should know; one line.
    Noted {
        /// The line.
        text: String,
    },
    /// Something that answers depend on and that a reader may not expect; one line, shown however quiet it is.
    Warned {
        /// The line.
        text: String,
    },
}

/// Who watches a run, and who may stop it. Both are called often and from several threads.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Gets every event.
    pub event: &'a (dyn Fn(Event) + Sync),
    /// An error ends the run: nothing is left of it but the error.
    pub stop: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Watch<'_> {
    /// Tells an event.
    pub fn tell(&self, event: Event) {
        (self.event)(event);
    }

    /// Asks whether to go on.
    ///
    /// # Errors
    /// The run has to stop.
    pub fn check(&self) -> Result<()> {
        (self.stop)()
    }
}
