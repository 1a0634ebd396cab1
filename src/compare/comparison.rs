//! The whole comparison of two runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::change::{CaseChange, ChangeKind, change, class, severity};
use super::danger_changes::DangerChanges;
use super::effect::Method;
use super::kept::Kept;
use super::slice::{self, SliceComparison, SliceTallies};
use super::tally::{DatasetComparison, DatasetTally};
use super::{Cause, CauseKind, Pair, causes, pairs};
use crate::dataset::Kind;
use crate::error::Result;
use crate::record::{Manifest, PromptCursor, Prompts, ResultLine};

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompareOptions {
    /// How many changed cases to keep whole for each kind of change and each class (golden, danger). Counts are exact
    /// beyond it; the first by dataset and id are kept.
    pub cap: usize,
    /// Which methods decide.
    pub method: Method,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { cap: 5_000, method: Method::default() }
    }
}

/// One run as a comparison sees it: its manifest and its sorted cases.
pub struct Side<'a, L> {
    /// What ran.
    pub manifest: &'a Manifest,
    /// The cases in order ([`crate::record::Lines`]).
    pub lines: L,
    /// What was asked, where the run kept it.
    pub prompts: Option<Prompts>,
}

/// What changed between two runs, whether it is real, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run compared against.
    pub base: RunRef,
    /// The run in question.
    pub candidate: RunRef,
    /// What was not the same before the first token, the numerics fingerprint first.
    pub causes: Vec<Cause>,
    /// By dataset, sorted by name.
    pub datasets: Vec<DatasetComparison>,
    /// By class, all its datasets together: `golden` and `danger`, as far as there are cases.
    pub classes: Vec<DatasetComparison>,
    /// The same by tag and metadata, corrected for the number of slices, the least likely change first.
    pub slices: Vec<SliceComparison>,
    /// There are more slices than are followed.
    pub slices_left_out: bool,
    /// Tokens of both sides.
    pub tokens: Tokens,
    /// Number of cases by kind of change; kinds without cases are absent.
    pub counts: BTreeMap<ChangeKind, u64>,
    /// Cases in which nothing differs that both runs kept.
    pub unchanged: u64,
    /// Cases that one run lacks because its call did not select them: neither compared nor missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub unselected: u64,
    /// Some cases have several answers: the counts of changes are of answers.
    #[serde(skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// What became of the danger cases.
    pub danger: DangerChanges,
    /// Changed cases by severity, dataset and id, at most `cap` for each kind of change and class, and of a bounded number of
    /// bytes: long texts are cut where they say so.
    pub changes: Vec<CaseChange>,
    /// The cap.
    pub cap: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A run by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRef {
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
}

/// Tokens of two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of the base run.
    pub base: TokenSums,
    /// Of the candidate.
    pub candidate: TokenSums,
}

/// Tokens of the cases whose record knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenSums {
    /// Cases with known tokens.
    pub cases: u64,
    /// Their prompts' tokens.
    pub prompt: u64,
    /// Their answers' tokens.
    pub generated: u64,
}

impl TokenSums {
    pub(super) fn add(&mut self, line: &ResultLine) {
        if let (Some(prompt), Some(ids)) = (line.prompt_tokens, &line.output_ids) {
            self.cases += 1;
            self.prompt += prompt;
            self.generated += ids.len() as u64;
        }
    }

    /// Tokens of prompt and answer per case; none where no case knows them.
    pub fn per_case(&self) -> Option<f64> {
        (self.cases > 0).then(|| (self.prompt + self.generated) as f64 / self.cases as f64)
    }
}

impl Tokens {
    fn add(&mut self, pair: &Pair) {
        match pair {
            Pair::Both(base, candidate) => {
                self.base.add(base);
                self.candidate.add(candidate);
            }
            Pair::Removed(base) => self.base.add(base),
            Pair::Added(candidate) => self.candidate.add(candidate),
        }
    }
}

impl Comparison {
    /// Number of cases with this change.
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// All datasets of a class, where they have cases.
    pub fn class(&self, name: &str) -> Option<&DatasetComparison> {
        self.classes.iter().find(|class| class.dataset == name)
    }

    /// Number of changed cases of all kinds.
    pub fn changed(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Changed cases in which this scorer went from pass to fail, as far as they are listed.
    pub(super) fn regressed<'a>(&'a self, dataset: &'a str, scorer: &'a str) -> impl Iterator<Item = &'a CaseChange> {
        self.changes.iter().filter(move |case| case.dataset == dataset && case.regressed(Some(scorer)))
    }

    /// The runs were computed by different numerics: bits may differ without any other cause.
    pub fn numerics_differ(&self) -> bool {
        self.causes.iter().any(|cause| cause.kind == CauseKind::Fingerprint)
    }

    /// Something changed and nothing that the manifests hold explains it: the promise of equal bytes is broken, or a
    /// file was exchanged behind karat's back.
    pub fn unexplained(&self) -> bool {
        let explained = self.causes.iter().any(|cause| cause.kind.explains_results());
        !explained && self.counts.iter().any(|(kind, n)| *n > 0 && *kind != ChangeKind::Errored)
    }
}

/// Compares two runs in one pass over both.
pub fn compare<B, C>(base: Side<'_, B>, candidate: Side<'_, C>, options: CompareOptions) -> Result<Comparison>
where
    B: Iterator<Item = Result<ResultLine>>,
    C: Iterator<Item = Result<ResultLine>>,
{
    let manifests = (base.manifest, candidate.manifest);
    let prompts = (base.prompts, candidate.prompts);
    compare_pairs(manifests, prompts, pairs(base.lines, candidate.lines), options)
}

/// Compares two runs by some of their pairs, which come in order.
pub(super) fn compare_pairs(
    manifests: (&Manifest, &Manifest),
    prompts: (Option<Prompts>, Option<Prompts>),
    pairs: impl Iterator<Item = Result<Pair>>,
    options: CompareOptions,
) -> Result<Comparison> {
    let mut comparing = Comparing::new(prompts, options);
    for pair in pairs {
        comparing.add(pair?, manifests)?;
    }
    Ok(comparing.finish(manifests))
}

/// What is known of two runs after some of their pairs.
struct Comparing {
    options: CompareOptions,
    datasets: BTreeMap<String, (DatasetTally, SliceTallies)>,
    classes: BTreeMap<Kind, DatasetTally>,
    tokens: Tokens,
    /// Cases so far, and the last one by dataset and id.
    case: u64,
    last: (String, String),
    counts: BTreeMap<ChangeKind, u64>,
    danger: DangerChanges,
    kept: Kept,
    unchanged: u64,
    unselected: u64,
    repeated: bool,
    prompts: (PromptCursor, PromptCursor),
}

impl Comparing {
    fn new(prompts: (Option<Prompts>, Option<Prompts>), options: CompareOptions) -> Self {
        Self {
            options,
            datasets: BTreeMap::new(),
            classes: BTreeMap::new(),
            tokens: Tokens::default(),
            case: 0,
            last: <(String, String)>::default(),
            counts: BTreeMap::new(),
            danger: DangerChanges::default(),
            kept: Kept::new(options.cap),
            unchanged: 0,
            unselected: 0,
            repeated: false,
            prompts: (PromptCursor::new(prompts.0), PromptCursor::new(prompts.1)),
        }
    }

    fn add(&mut self, pair: Pair, (base, candidate): (&Manifest, &Manifest)) -> Result<()> {
        let (Pair::Both(line, _) | Pair::Removed(line) | Pair::Added(line)) = &pair;
        self.repeated |= line.repeat > 0;
        if pair.unasked(base, candidate) {
            self.unselected += 1;
            if matches!(pair, Pair::Added(_)) {
                // Nothing to compare with; a danger case that errs fails all the same.
                self.danger.add(&pair);
            }
            return Ok(());
        }
        self.count(&pair);
        let Some(kind) = change(&pair) else {
            self.unchanged += 1;
            return Ok(());
        };
        *self.counts.entry(kind).or_insert(0) += 1;
        let place = severity(kind, class(&pair));
        if self.kept.has_room(place) {
            let mut case = CaseChange::new(kind, pair);
            if case.prompt_changed == Some(true) {
                let name = (case.dataset.as_str(), case.id.as_str());
                let (before, after) = (self.prompts.0.find(name)?, self.prompts.1.find(name)?);
                case = case.with_prompts(before, after);
            }
            self.kept.push(place, case);
        }
        Ok(())
    }

    fn count(&mut self, pair: &Pair) {
        // Several answers to one case come one behind the other.
        let (dataset, id) = pair.case();
        if self.last.0 != dataset || self.last.1 != id {
            self.case += 1;
            dataset.clone_into(&mut self.last.0);
            id.clone_into(&mut self.last.1);
        }
        let (tally, slices) = match self.datasets.get_mut(dataset) {
            Some(tallies) => tallies,
            None => self
                .datasets
                .entry(dataset.to_owned())
                .or_insert_with(|| (DatasetTally::new(), SliceTallies::default())),
        };
        tally.add(pair, self.case);
        slices.add(pair, self.case);
        self.tokens.add(pair);
        self.classes.entry(class(pair)).or_insert_with(DatasetTally::new).add(pair, self.case);
        self.danger.add(pair);
    }

    fn finish(self, (base, candidate): (&Manifest, &Manifest)) -> Comparison {
        let name = |manifest: &Manifest| RunRef { suite: manifest.suite.clone(), run_id: manifest.run_id.to_string() };
        let method = self.options.method;
        let (mut compared, mut slices, mut slices_left_out) = (Vec::new(), Vec::new(), false);
        let mut sizes = Vec::new();
        for (name, (tally, tallies)) in self.datasets {
            sizes.push(tally.pairs());
            let (found, left_out) = tallies.finish(&name, method);
            slices.extend(found);
            slices_left_out |= left_out;
            compared.push(tally.finish(name, method));
        }
        let classes = self.classes.into_iter().map(|(kind, tally)| {
            // Drawing signs is most of the work: a class of one dataset has its figures.
            let whole =
                compared.iter().zip(&sizes).find(|(dataset, pairs)| dataset.kind == kind && **pairs == tally.pairs());
            match whole {
                Some((dataset, _)) => DatasetComparison { dataset: kind.name().into(), ..dataset.clone() },
                None => tally.finish(kind.name().into(), method),
            }
        });
        let classes = classes.collect();
        Comparison {
            base: name(base),
            candidate: name(candidate),
            causes: causes(base, candidate),
            datasets: compared,
            classes,
            slices: slice::corrected(slices),
            slices_left_out,
            tokens: self.tokens,
            counts: self.counts,
            unchanged: self.unchanged,
            unselected: self.unselected,
            repeated: self.repeated,
            danger: self.danger,
            // Those of a place are in order of dataset and id already, because the pairs came so.
            changes: self.kept.finish(),
            cap: self.options.cap,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
