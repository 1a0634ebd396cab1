//! The changed cases that a comparison keeps whole: bounded in number and in bytes, whatever models answer.

use std::collections::BTreeMap;

use super::words::{bounded, bounded_pair};
use super::{CaseChange, CaseView};

/// Characters of a text; equal ones stay equal, and others differ still.
const LONGEST: usize = 20_000;
/// Characters of a text once [`BUDGET`] is taken.
const SHORT: usize = 160;
/// Characters of an explanation.
const EXPLANATION: usize = 1_000;
/// Bytes of texts after which further ones are cut short. After twice as many no further case is kept.
const BUDGET: usize = 64 << 20;

/// Changed cases by their place in lists, the worst first.
pub(super) struct Kept {
    /// Cases of a place.
    cap: usize,
    budget: usize,
    bytes: usize,
    places: BTreeMap<u8, Vec<CaseChange>>,
}

impl Kept {
    /// So many cases for each place.
    pub fn new(cap: usize) -> Self {
        Self { cap, budget: BUDGET, bytes: 0, places: BTreeMap::new() }
    }

    /// Whether a case would be kept.
    pub fn has_room(&self, place: u8) -> bool {
        self.bytes < 2 * self.budget && self.places.get(&place).map_or(0, Vec::len) < self.cap
    }

    /// Keeps a case.
    pub fn push(&mut self, place: u8, mut case: CaseChange) {
        cut(&mut case, if self.bytes < self.budget { LONGEST } else { SHORT });
        self.bytes += bytes(&case);
        self.places.entry(place).or_default().push(case);
    }

    /// All of them in order.
    pub fn finish(self) -> Vec<CaseChange> {
        self.places.into_values().flatten().collect()
    }
}

fn cut(case: &mut CaseChange, most: usize) {
    for score in case.scorers.iter_mut().flat_map(|scorer| [&mut scorer.base, &mut scorer.candidate]).flatten() {
        score.explanation = bounded(&score.explanation, EXPLANATION);
    }
    let parts: [fn(&mut CaseView) -> &mut Option<String>; 3] =
        [|view| &mut view.prompt, |view| &mut view.output, |view| &mut view.error];
    for part in parts {
        match (case.base.as_mut().map(part), case.candidate.as_mut().map(part)) {
            (Some(Some(before)), Some(Some(after))) => (*before, *after) = bounded_pair(before, after, most),
            (before, after) => {
                let alone = [before, after].into_iter().flatten().flatten();
                alone.for_each(|text| *text = bounded(text, most));
            }
        }
    }
}

fn bytes(case: &CaseChange) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let views = [&case.base, &case.candidate].into_iter().flatten();
    let views: usize = views.map(|view| text(&view.prompt) + text(&view.output) + text(&view.error)).sum();
    let scores = case.scorers.iter().flat_map(|scorer| [&scorer.base, &scorer.candidate]).flatten();
    let scores: usize = scores.map(|score| score.explanation.len() + size_of_val(score)).sum();
    case.dataset.len() + case.id.len() + views + scores + size_of_val(case)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::line;
    use crate::compare::{ChangeKind, Pair};

    fn case(id: usize, output: &str) -> CaseChange {
        let (mut before, mut after) = (line("a", &id.to_string(), true), line("a", &id.to_string(), false));
        (before.output, after.output) = (Some(output.into()), Some(format!("{output}!")));
        CaseChange::new(ChangeKind::Regressed, Pair::Both(before, after))
    }

    #[test]
    fn texts_are_bounded_and_still_differ() {
        let mut kept = Kept::new(9);
        kept.push(0, case(1, &"ä".repeat(3 * LONGEST)));
        let [found] = &kept.finish()[..] else { panic!("a case") };
        let output = |view: &Option<CaseView>| view.as_ref().unwrap().output.clone().unwrap();
        let (before, after) = (output(&found.base), output(&found.candidate));
        assert_ne!(before, after);
        assert!([before, after].iter().all(|text| text.chars().count() < LONGEST + 100));
    }

    #[test]
    fn cases_are_bounded_in_number_and_bytes() {
        let mut kept = Kept { budget: 10_000, ..Kept::new(50) };
        let mut pushed = 0;
        for id in 0..100 {
            for place in [3, 1] {
                if kept.has_room(place) {
                    kept.push(place, case(id, &"x".repeat(3_000)));
                    pushed += 1;
                }
            }
        }
        assert!(kept.bytes < 2 * kept.budget + 10_000 && (4..60).contains(&pushed), "{} in {pushed}", kept.bytes);
        let found = kept.finish();
        assert_eq!((found.len(), found[0].id.as_str()), (pushed, "0"));
        let mut few = Kept::new(2);
        (0..9).for_each(|id| {
            if few.has_room(0) {
                few.push(0, case(id, "x"))
            }
        });
        assert_eq!(few.finish().len(), 2);
    }
}
