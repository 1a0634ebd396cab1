//! All cases of a plan, dataset by dataset in the plan's order.

use super::check::Checked;
use crate::dataset::{Sample, Samples};
use crate::error::Result;

/// A case, the index of its dataset in the plan, and which of its answers is asked for.
pub(super) struct Case {
    pub dataset: usize,
    pub sample: Sample,
    pub repeat: u32,
}

/// Streams all cases, each as often as the plan repeats it. A dataset that is not what it was when it was checked ends the stream
/// with an error before a case of it that is another: the record would say something else than what ran.
pub(super) struct Cases<'a> {
    checked: &'a Checked,
    /// Whether datasets count whose answers are generated, or the others; none for all.
    generated: Option<bool>,
    dataset: usize,
    samples: Option<Samples>,
    /// The last case, where it is to be answered again, and which of its answers comes next.
    again: Option<(Sample, u32)>,
}

impl<'a> Cases<'a> {
    pub fn new(checked: &'a Checked) -> Self {
        Self { checked, generated: None, dataset: 0, samples: None, again: None }
    }

    /// The cases of datasets whose answers are generated, or of the others.
    pub fn asked(checked: &'a Checked, generated: bool) -> Self {
        Self { generated: Some(generated), ..Self::new(checked) }
    }

    /// Whether the cases of a dataset count.
    fn takes(&self, dataset: usize) -> bool {
        let is_generate = self.checked.prompts[dataset].request().is_generate();
        self.generated.is_none_or(|generated| generated == is_generate)
    }

    fn read(&mut self) -> Result<Option<Case>> {
        let repeats = self.checked.repeats();
        if let Some((sample, repeat)) = self.again.take() {
            if repeat + 1 < repeats {
                self.again = Some((sample.clone(), repeat + 1));
            }
            return Ok(Some(Case { dataset: self.dataset, sample, repeat }));
        }
        while self.dataset < self.checked.sources.len() {
            if !self.takes(self.dataset) {
                self.dataset += 1;
                continue;
            }
            let samples = match &mut self.samples {
                Some(samples) => samples,
                None => {
                    let digest = &self.checked.surveys[self.dataset].digest;
                    self.samples.insert(self.checked.sources[self.dataset].reopen(digest)?)
                }
            };
            if let Some(sample) = samples.next() {
                let sample = sample?;
                if repeats > 1 {
                    self.again = Some((sample.clone(), 1));
                }
                return Ok(Some(Case { dataset: self.dataset, sample, repeat: 0 }));
            }
            (self.dataset, self.samples) = (self.dataset + 1, None);
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
