//! What is judged, and by what.

use super::cases::Cases;
use super::{Comparison, Method};
use crate::record::{Manifest, Performance, Summary};
use crate::rule::{ErrorPolicy, Gate, Prices};

/// What a suite asks of a candidate, beside the danger rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatePolicy {
    /// In the order of the suite.
    pub gates: Vec<Gate>,
    /// Gates of a record that this version does not understand.
    pub unreadable: Vec<Unreadable>,
    /// What tokens and hours cost.
    pub prices: Option<Prices>,
    /// How many golden cases may err; none may where it is not said.
    pub errors: Option<ErrorPolicy>,
    /// Which methods decide.
    pub method: Method,
}

/// A gate that cannot be read: nothing is known of what it asks, so that it is inconclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The gate as the record spells it.
    pub gate: String,
    /// Why.
    pub reason: String,
}

/// Why there is no comparison with a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing was accepted yet: a first run, which absolute rules judge.
    NotYet,
    /// The call asked for none.
    NotAsked,
    /// The run is the accepted one: against itself nothing can change.
    Itself,
    /// The suite names none for the device: in words.
    Unnamed(String),
    /// There should be one: what is missing, or wrong with it.
    Missing(String),
}

/// The run that is judged, and what it is held against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What ran.
    pub manifest: &'a Manifest,
    /// The run in figures.
    pub summary: &'a Summary,
    /// The comparison with the baseline, where there is one.
    pub comparison: Option<&'a Comparison>,
    /// Where there is none, why.
    pub without: &'a Without,
    /// How the run went.
    pub performance: Option<&'a Performance>,
    /// What ran as the baseline.
    pub base_manifest: Option<&'a Manifest>,
    /// How the baseline went.
    pub base_performance: Option<&'a Performance>,
    /// The run's cases, for rules that need more than figures.
    pub cases: &'a dyn Cases,
    /// The baseline's cases.
    pub base_cases: Option<&'a dyn Cases>,
}
