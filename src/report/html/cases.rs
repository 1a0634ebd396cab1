//! Cases as the page keeps them: short keys, names by number, everything bounded.
//!
//! Memory is bounded while cases come: of changed ones the worst are kept, unchanged ones give way. What the page leaves out it
//! counts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::Histogram;
use super::{Prompts, Shown, harmless};
use crate::compare::{CaseChange, ChangeKind, Pair, TextSide, bounded, bounded_pair, change, word_diff};
use crate::dataset::Kind;
use crate::record::ResultLine;
use crate::score::Score;

/// Cases of a page; unchanged ones give way to changed ones.
pub(super) const MOST: usize = 20_000;
/// Characters of one text.
const LONGEST: usize = 20_000;
/// Characters of a text once the budget of all cases is spent.
const SHORT: usize = 160;
/// Characters of a name: an id, a dataset, a tag, a scorer.
const NAME: usize = 200;
/// Names of a kind.
const NAMES: usize = 1_000;
/// Tags, entries of metadata and scorers of a case.
const OF_A_CASE: usize = 100;
/// Characters of an explanation.
const EXPLANATION: usize = 1_000;
/// Bytes of a common beginning of all prompts that are worth writing once.
const HEAD: usize = 48;

/// What the page needs of all cases.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Document {
    datasets: Vec<String>,
    tags: Vec<String>,
    scorers: Vec<String>,
    transitions: Vec<Transitions>,
    /// What all prompts begin with.
    head: String,
    cases: Vec<Case>,
    /// Cases that are not among them, and how many of these changed.
    left_out: usize,
    left_out_changed: usize,
}

/// Cases of a dataset that both runs hold: passed both times, only before, only now, never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Transitions {
    dataset: usize,
    counts: [u64; 4],
}

#[derive(Debug, PartialEq, Serialize)]
struct Case {
    /// Dataset, id, repeat.
    d: usize,
    i: String,
    r: u32,
    /// Kind of change; -1 where nothing changed or nothing was compared.
    c: i8,
    /// Place in the order of bad news.
    v: u8,
    /// State before and after: 0 absent, 1 failed, 2 passed, 3 errored.
    b: u8,
    a: u8,
    /// Tags.
    t: Vec<usize>,
    /// How many scorers passed and how many there are, before and after; none on a side that erred or is absent. Values of
    /// different scorers have no common direction.
    n: [Option<(usize, usize)>; 2],
    /// Prompt and output: a text, or what changed.
    p: Option<Text>,
    o: Option<Text>,
    /// The output before, where there is none now.
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<String>,
    /// Errors before and after.
    e: [String; 2],
    /// By scorer, the score before and after.
    s: Vec<(usize, Option<Said>, Option<Said>)>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    m: BTreeMap<String, String>,
}

/// Passed, value, explanation.
type Said = (bool, f64, String);

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Text {
    Same(String),
    /// Pieces: 0 on both sides, 1 before only, 2 after only.
    Changed(Vec<(u8, String)>),
}

/// Names in the order in which they were first seen.
#[derive(Default)]
struct Names {
    places: BTreeMap<String, usize>,
}

impl Names {
    /// The place of a name; none where there are too many of them.
    fn place(&mut self, name: &str) -> Option<usize> {
        let name = bounded(name, NAME);
        if let Some(place) = self.places.get(&name) {
            return Some(*place);
        }
        let place = self.places.len();
        (place < NAMES).then(|| {
            self.places.insert(name, place);
            place
        })
    }

    fn list(self) -> Vec<String> {
        let mut names: Vec<(usize, String)> = self.places.into_iter().map(|(name, place)| (place, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }
}

/// Values of a scorer on a dataset, before and after.
#[derive(Default)]
struct Values {
    before: Vec<f32>,
    after: Vec<f32>,
}

/// A case on both sides.
struct Sides {
    base: Option<ResultLine>,
    candidate: Option<ResultLine>,
    kind: Option<ChangeKind>,
    /// Its place among all, the worst first.
    v: u8,
}

impl Sides {
    fn of(shown: Shown) -> Self {
        match shown {
            Shown::Alone(line) => {
                let v = alone(&line);
                Self { base: None, candidate: Some(line), kind: None, v }
            }
            Shown::Compared(pair) => {
                let kind = change(&pair);
                let v = kind.map_or(u8::MAX, |kind| CaseChange::place(kind, &pair));
                let (base, candidate) = match pair {
                    Pair::Both(base, candidate) => (Some(base), Some(candidate)),
                    Pair::Removed(base) => (Some(base), None),
                    Pair::Added(candidate) => (None, Some(candidate)),
                };
                Self { base, candidate, kind, v }
            }
        }
    }
}

/// Cases on their way into the page.
#[derive(Default)]
pub(super) struct CaseBlock {
    datasets: Names,
    tags: Names,
    scorers: Names,
    values: BTreeMap<(usize, usize), Values>,
    transitions: BTreeMap<usize, [u64; 4]>,
    /// Cases with the bytes that each takes in the page.
    changed: Vec<(usize, Case)>,
    unchanged: Vec<(usize, Case)>,
    /// What both take.
    bytes: [usize; 2],
    /// Cases that are not kept, changed and unchanged ones.
    left_out: [usize; 2],
    compared: bool,
    /// Bytes of all cases in the page.
    budget: usize,
}

impl CaseBlock {
    /// Cases that take so many bytes of the page.
    pub fn new(budget: usize) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Takes in a case.
    pub fn add(&mut self, shown: Shown, prompts: Prompts) {
        self.compared |= matches!(shown, Shown::Compared(_));
        let Sides { base, candidate, kind, v } = Sides::of(shown);
        let Some(line) = candidate.as_ref().or(base.as_ref()) else { return };
        let quiet = kind.is_none() && self.compared;
        let Some(d) = self.datasets.place(&line.dataset) else {
            self.left_out[usize::from(quiet)] += 1;
            return;
        };
        if let (Some(base), Some(candidate)) = (&base, &candidate) {
            let at = usize::from(!base.passed) * 2 + usize::from(!candidate.passed);
            self.transitions.entry(d).or_default()[at] += 1;
        }
        let s = self.scores(d, base.as_ref(), candidate.as_ref());
        let bytes: usize = self.bytes.iter().sum();
        if quiet && (bytes > self.budget || self.unchanged.len() + self.changed.len() >= MOST) {
            self.left_out[1] += 1;
            return;
        }
        let most = if bytes > self.budget { SHORT } else { LONGEST };
        let (o, w) = outputs(base.as_ref(), candidate.as_ref(), most);
        let p = match prompts {
            (Some(before), Some(after)) => Some(both(&before, &after, most)),
            (before, after) => after.or(before).map(|prompt| Text::Same(bounded(&prompt, most))),
        };
        let error = |line: &Option<ResultLine>| {
            line.as_ref().and_then(|line| Some(bounded(line.error.as_deref()?, most))).unwrap_or_default()
        };
        let case = Case {
            d,
            i: bounded(&line.id, NAME),
            r: line.repeat,
            c: kind.map_or(-1, index),
            v,
            b: state(base.as_ref()),
            a: state(candidate.as_ref()),
            t: line.tags.iter().take(OF_A_CASE).filter_map(|tag| self.tags.place(tag)).collect(),
            n: [passed(base.as_ref()), passed(candidate.as_ref())],
            e: [error(&base), error(&candidate)],
            m: line.metadata.iter().take(OF_A_CASE).map(|(k, v)| (bounded(k, NAME), bounded(v, NAME))).collect(),
            p,
            o,
            w,
            s,
        };
        self.keep(case, quiet);
    }

    /// Keeps a case. Of changed ones that take more than twice their budget, by number or bytes, the worst stay.
    fn keep(&mut self, case: Case, quiet: bool) {
        let size = size(&case);
        self.bytes[usize::from(quiet)] += size;
        if quiet {
            self.unchanged.push((size, case));
            return;
        }
        self.changed.push((size, case));
        if self.changed.len() > 2 * MOST || self.bytes[0] > 2 * self.budget {
            self.changed.sort_by_key(|(_, case)| case.v);
            let kept = fitting(&self.changed, MOST, self.budget);
            self.left_out[0] += self.changed.len() - kept;
            self.changed.truncate(kept);
            self.bytes[0] = self.changed.iter().map(|(size, _)| size).sum();
        }
    }

    /// The scores of both sides, which the histograms get too. On an errored side nothing was scored for sure.
    fn scores(
        &mut self,
        dataset: usize,
        base: Option<&ResultLine>,
        candidate: Option<&ResultLine>,
    ) -> Vec<(usize, Option<Said>, Option<Said>)> {
        let of = |line: Option<&ResultLine>| line.map(|line| line.scores.clone()).unwrap_or_default();
        let (mut before, after) = (of(base), of(candidate));
        let said = |score: &Score| (score.passed, score.value, bounded(&score.explanation, EXPLANATION));
        let mut all = Vec::new();
        for (name, score) in after.iter().take(OF_A_CASE) {
            let old = before.remove(name);
            let place = self.scorers.place(name);
            all.extend(place.map(|place| (place, old.as_ref().map(said), Some(said(score)))));
        }
        for (name, score) in before.iter().take(OF_A_CASE) {
            all.extend(self.scorers.place(name).map(|place| (place, Some(said(score)), None)));
        }
        let sound = |line: Option<&ResultLine>| line.is_some_and(|line| line.error.is_none());
        for (scorer, old, new) in &all {
            let values = self.values.entry((dataset, *scorer)).or_default();
            values.before.extend(old.iter().filter(|_| sound(base)).map(|(_, value, _)| *value as f32));
            values.after.extend(new.iter().filter(|_| sound(candidate)).map(|(_, value, _)| *value as f32));
        }
        all
    }

    /// Histograms of scores, and everything else.
    pub fn finish(self) -> (Vec<Histogram>, Document) {
        let Self {
            datasets,
            tags,
            scorers,
            values,
            transitions,
            mut changed,
            unchanged,
            left_out: [mut left_out_changed, mut left_out],
            compared,
            budget,
            ..
        } = self;
        let (datasets, tags, scorers) = (datasets.list(), tags.list(), scorers.list());
        changed.sort_by_key(|(_, case)| case.v);
        let count = changed.len();
        let mut cases = changed;
        cases.extend(unchanged);
        let kept = fitting(&cases, MOST, budget.saturating_sub(size(&(&datasets, &tags, &scorers))));
        left_out_changed += count.saturating_sub(kept);
        left_out += left_out_changed + cases.len() - kept - count.saturating_sub(kept);
        let mut cases: Vec<Case> = cases.into_iter().take(kept).map(|(_, case)| case).collect();
        let head = take_head(&mut cases);
        let histogram = |((dataset, scorer), Values { before, after }): ((usize, usize), Values)| {
            let title = format!("{} · {}", datasets[dataset], scorers[scorer]);
            Histogram::of_scores(title, compared.then_some(&before[..]), &after)
        };
        let scores = values.into_iter().filter_map(histogram).collect();
        let transitions = transitions.into_iter().map(|(dataset, counts)| Transitions { dataset, counts }).collect();
        (scores, Document { datasets, tags, scorers, transitions, head, cases, left_out, left_out_changed })
    }
}

/// The output, or what changed in it; behind it that of before, where there is none now.
fn outputs(base: Option<&ResultLine>, candidate: Option<&ResultLine>, most: usize) -> (Option<Text>, Option<String>) {
    let output = |line: Option<&ResultLine>| line.and_then(|line| line.output.clone());
    match (output(base), output(candidate)) {
        (Some(before), Some(after)) => (Some(both(&before, &after, most)), None),
        (None, after) => (after.map(|after| Text::Same(bounded(&after, most))), None),
        // With nothing to hold it against: a case that is gone, or that errs now.
        (Some(before), None) => (None, Some(bounded(&before, most))),
    }
}

/// How many of the cases, from the first on, fit.
fn fitting(cases: &[(usize, Case)], most: usize, budget: usize) -> usize {
    let mut bytes = 0;
    let fits = |(size, _): &&(usize, Case)| {
        bytes += size + 1;
        bytes <= budget
    };
    cases.iter().take(most).take_while(fits).count()
}

/// Bytes of a value in the page.
fn size(value: &impl Serialize) -> usize {
    // What cannot be written is told when the page is.
    serde_json::to_string(value).map_or(0, |json| harmless(&json).len())
}

/// Place of a case that is compared with nothing: errors, failed danger cases, failed golden ones, the rest.
fn alone(line: &ResultLine) -> u8 {
    match (line.error.is_some(), line.passed, line.kind) {
        (true, ..) => 0,
        (false, false, Kind::Danger) => 1,
        (false, false, Kind::Golden) => 2,
        (false, true, _) => 3,
    }
}

fn index(kind: ChangeKind) -> i8 {
    ChangeKind::ALL.iter().position(|other| *other == kind).map_or(-1, |at| at as i8)
}

fn state(line: Option<&ResultLine>) -> u8 {
    match line {
        None => 0,
        Some(line) if line.error.is_some() => 3,
        Some(line) => 1 + u8::from(line.passed),
    }
}

/// Scorers that passed, and all of them.
fn passed(line: Option<&ResultLine>) -> Option<(usize, usize)> {
    let line = line.filter(|line| line.error.is_none())?;
    Some((line.scores.values().filter(|score| score.passed).count(), line.scores.len()))
}

/// A text that stayed, or what changed; of long texts a part of so many characters, the one in which they begin to differ.
fn both(before: &str, after: &str, most: usize) -> Text {
    let (before, after) = bounded_pair(before, after, most);
    if before == after {
        return Text::Same(after);
    }
    let piece = |(side, text): (TextSide, &str)| {
        let side = match side {
            TextSide::Both => 0,
            TextSide::Before => 1,
            TextSide::After => 2,
        };
        (side, text.to_owned())
    };
    Text::Changed(word_diff(&before, &after).into_iter().map(piece).collect())
}

/// Takes away what all prompts begin with, where that is worth it.
fn take_head(cases: &mut [Case]) -> String {
    let same = |case: &Case| matches!(case.p, Some(Text::Same(_)));
    let mut head: Option<String> = None;
    for case in cases.iter() {
        if let Some(Text::Same(prompt)) = &case.p {
            match &mut head {
                None => head = Some(prompt.clone()),
                Some(head) => {
                    let mut shared = head.bytes().zip(prompt.bytes()).take_while(|(one, two)| one == two).count();
                    while !head.is_char_boundary(shared) {
                        shared -= 1;
                    }
                    head.truncate(shared);
                }
            }
        }
    }
    let head = head.filter(|head| head.len() >= HEAD && cases.iter().filter(|case| same(case)).count() > 1);
    let head = head.unwrap_or_default();
    for case in cases {
        if let Some(Text::Same(prompt)) = &mut case.p {
            prompt.drain(..head.len());
        }
    }
    head
}
