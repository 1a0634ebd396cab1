//! Cases as the page keeps them: short keys, names by number, texts bounded.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::Histogram;
use super::{Prompts, Shown};
use crate::compare::{CaseChange, ChangeKind, Pair, TextSide, change, word_diff};
use crate::dataset::Kind;
use crate::record::ResultLine;
use crate::score::Score;

/// Cases of a page; unchanged ones give way to changed ones.
pub(super) const MOST: usize = 20_000;
/// Characters of one text.
const LONGEST: usize = 20_000;
/// Bytes of texts after which those of further unchanged cases are cut short.
const BYTES: usize = 48 << 20;
/// Characters of such a text.
const SHORT: usize = 160;
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
    left_out: usize,
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

impl Text {
    fn bytes(&self) -> usize {
        match self {
            Self::Same(text) => text.len(),
            Self::Changed(pieces) => pieces.iter().map(|(_, text)| text.len()).sum(),
        }
    }
}

/// Names in the order in which they were first seen.
#[derive(Default)]
struct Names {
    places: BTreeMap<String, usize>,
}

impl Names {
    fn place(&mut self, name: &str) -> usize {
        match self.places.get(name) {
            Some(place) => *place,
            None => {
                let place = self.places.len();
                self.places.insert(name.to_owned(), place);
                place
            }
        }
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

/// Cases on their way into the page.
#[derive(Default)]
pub(super) struct CaseBlock {
    datasets: Names,
    tags: Names,
    scorers: Names,
    values: BTreeMap<(usize, usize), Values>,
    transitions: BTreeMap<usize, [u64; 4]>,
    changed: Vec<Case>,
    unchanged: Vec<Case>,
    bytes: usize,
    left_out: usize,
    compared: bool,
}

impl CaseBlock {
    /// Takes in a case.
    pub fn add(&mut self, shown: Shown, prompts: Prompts) {
        let (base, candidate, kind, v) = match shown {
            Shown::Alone(line) => {
                let v = alone(&line);
                (None, Some(line), None, v)
            }
            Shown::Compared(pair) => {
                self.compared = true;
                let kind = change(&pair);
                let v = kind.map_or(u8::MAX, |kind| CaseChange::place(kind, &pair));
                match pair {
                    Pair::Both(base, candidate) => (Some(base), Some(candidate), kind, v),
                    Pair::Removed(base) => (Some(base), None, kind, v),
                    Pair::Added(candidate) => (None, Some(candidate), kind, v),
                }
            }
        };
        let Some(line) = candidate.as_ref().or(base.as_ref()) else { return };
        let d = self.datasets.place(&line.dataset);
        if let (Some(base), Some(candidate)) = (&base, &candidate) {
            let at = usize::from(!base.passed) * 2 + usize::from(!candidate.passed);
            self.transitions.entry(d).or_default()[at] += 1;
        }
        let s = self.scores(d, base.as_ref(), candidate.as_ref());
        let quiet = kind.is_none() && self.compared;
        // Memory stays bounded: of changed cases twice as many are taken in, so that the worst of them can come first.
        if self.changed.len() >= 2 * MOST || (quiet && self.unchanged.len() + self.changed.len() >= MOST) {
            self.left_out += 1;
            return;
        }
        let most = if kind.is_none() && self.bytes > BYTES { SHORT } else { LONGEST };
        let kept = |text: &str| bounded(text, most);
        let output = |line: &Option<ResultLine>| line.as_ref().and_then(|line| line.output.as_deref().map(kept));
        let (o, w) = match (output(&base), output(&candidate)) {
            (Some(before), Some(after)) => (Some(both(before, after)), None),
            (None, after) => (after.map(Text::Same), None),
            // With nothing to hold it against: a case that is gone, or that errs now.
            (before @ Some(_), None) => (None, before),
        };
        let p = match prompts {
            (Some(before), Some(after)) => Some(both(kept(&before), kept(&after))),
            (before, after) => after.or(before).map(|prompt| Text::Same(kept(&prompt))),
        };
        let error = |line: &Option<ResultLine>| {
            line.as_ref().and_then(|line| line.error.as_deref().map(kept)).unwrap_or_default()
        };
        let case = Case {
            d,
            i: line.id.clone(),
            r: line.repeat,
            c: kind.map_or(-1, index),
            v,
            b: state(base.as_ref()),
            a: state(candidate.as_ref()),
            t: line.tags.iter().map(|tag| self.tags.place(tag)).collect(),
            n: [passed(base.as_ref()), passed(candidate.as_ref())],
            e: [error(&base), error(&candidate)],
            m: line.metadata.clone(),
            p,
            o,
            w,
            s,
        };
        self.bytes += case.p.as_ref().map_or(0, Text::bytes) + case.o.as_ref().map_or(0, Text::bytes);
        match kind.is_some() || !self.compared {
            true => self.changed.push(case),
            false => self.unchanged.push(case),
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
        let said = |score: &Score| (score.passed, score.value, bounded(&score.explanation, LONGEST));
        let mut all = Vec::new();
        for (name, score) in &after {
            let old = before.remove(name);
            all.push((self.scorers.place(name), old.as_ref().map(said), Some(said(score))));
        }
        for (name, score) in &before {
            all.push((self.scorers.place(name), Some(said(score)), None));
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
            mut unchanged,
            mut left_out,
            compared,
            ..
        } = self;
        let (datasets, tags, scorers) = (datasets.list(), tags.list(), scorers.list());
        changed.sort_by_key(|case| case.v);
        left_out += changed.len().saturating_sub(MOST);
        changed.truncate(MOST);
        left_out += unchanged.len().saturating_sub(MOST - changed.len());
        unchanged.truncate(MOST - changed.len());
        let mut cases = changed;
        cases.append(&mut unchanged);
        let head = take_head(&mut cases);
        let histogram = |((dataset, scorer), Values { before, after }): ((usize, usize), Values)| {
            let title = format!("{} · {}", datasets[dataset], scorers[scorer]);
            Histogram::of_scores(title, compared.then_some(&before[..]), &after)
        };
        let scores = values.into_iter().filter_map(histogram).collect();
        let transitions = transitions.into_iter().map(|(dataset, counts)| Transitions { dataset, counts }).collect();
        (scores, Document { datasets, tags, scorers, transitions, head, cases, left_out })
    }
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

/// A text of at most so many characters, which says how many are missing.
fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let more = text[end..].chars().count();
            format!("{}… ({more} more characters)", &text[..end])
        }
    }
}

/// A text that stayed, or what changed.
fn both(before: String, after: String) -> Text {
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
