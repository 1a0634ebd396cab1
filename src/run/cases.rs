//! All cases of a plan, dataset by dataset in the plan's order.

use super::check::Checked;
use crate::dataset::{Sample, Samples};
use crate::error::{Error, Result};

/// A case and the index of its dataset in the plan.
pub(super) struct Case {
    pub dataset: usize,
    pub sample: Sample,
}

/// Streams all cases. A dataset that no longer has as many cases as when it was checked ends the stream with an error:
/// the record would say something else than what ran. An id that came up twice meanwhile fails when the record is sorted.
pub(super) struct Cases<'a> {
    checked: &'a Checked,
    dataset: usize,
    samples: Option<Samples>,
    seen: usize,
}

impl<'a> Cases<'a> {
    pub fn new(checked: &'a Checked) -> Self {
        Self { checked, dataset: 0, samples: None, seen: 0 }
    }

    fn read(&mut self) -> Result<Option<Case>> {
        while self.dataset < self.checked.sources.len() {
            let source = &self.checked.sources[self.dataset];
            let samples = match &mut self.samples {
                Some(samples) => samples,
                None => self.samples.insert(source.reopen()?),
            };
            if let Some(sample) = samples.next() {
                self.seen += 1;
                return Ok(Some(Case { dataset: self.dataset, sample: sample? }));
            }
            let expected = self.checked.surveys[self.dataset].cases;
            if self.seen != expected {
                let fragment = format!("read {expected} cases: there are {} now", self.seen);
                return Err(Error::input(fragment).at(&source.path).with_hint("the file was changed during the run"));
            }
            (self.dataset, self.samples, self.seen) = (self.dataset + 1, None, 0);
        }
        Ok(None)
    }
}

impl Iterator for Cases<'_> {
    type Item = Result<Case>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read().transpose();
        if matches!(next, Some(Err(_))) {
            self.dataset = usize::MAX;
        }
        next
    }
}
