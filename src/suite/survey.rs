//! One pass over a suite's datasets before anything loads: every case is read and every check of a case is parsed.

use std::collections::HashSet;

use super::load::{Suite, parse_check};
use super::plan::DatasetPlan;
use crate::dataset::{FileDigest, Header, HeaderId, Sample, Source};
use crate::error::{Error, Result};
use crate::score::ScorerSpec;

/// What one pass over a dataset tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Number of cases that a run will have.
    pub cases: usize,
    /// The call selected only some of the suite's cases of this dataset.
    pub partial: bool,
    /// The whole file as it was read.
    pub digest: FileDigest,
    /// The header beside it, which says of the file what it is; none where there is none.
    pub header: Option<HeaderId>,
    /// Whether a case's own checks need the embedder.
    pub needs_embedder: bool,
    /// Whether a case's own checks need the toxicity model.
    pub needs_toxicity: bool,
}

impl Suite {
    /// Reads every dataset once; memory as for streaming. In the plan's order.
    ///
    /// # Errors
    /// The first header, case or check that is wrong.
    pub fn survey(&self) -> Result<Vec<Survey>> {
        let prompts = self.prompts()?;
        let datasets = self.plan.datasets.iter().zip(&prompts);
        datasets.map(|(dataset, prompt)| self.survey_one(dataset, &self.source(dataset, prompt)?, |_| Ok(()))).collect()
    }

    /// Reads one dataset once and shows every case to `visit`.
    ///
    /// # Errors
    /// A header that is wrong or not the file's; the first case or check that is wrong, or that `visit` refuses.
    pub fn survey_one(
        &self,
        dataset: &DatasetPlan,
        source: &Source,
        mut visit: impl FnMut(&Sample) -> Result<()>,
    ) -> Result<Survey> {
        let header = Header::beside(&source.path)?;
        let mut samples = source.open()?;
        let (mut cases, mut needs_embedder, mut needs_toxicity) = (0, false, false);
        for sample in &mut samples {
            let sample = sample?;
            cases += 1;
            for spec in self.checks(dataset, &sample).map_err(|error| error.at_line(&source.path, sample.line))? {
                needs_embedder |= spec.needs_embedder();
                needs_toxicity |= spec.needs_toxicity();
            }
            visit(&sample)?;
        }
        let cut = samples.leaves_out();
        let partial = cut && self.is_limited_by_call(dataset);
        let digest = samples.finish()?;
        let faults = header.iter().flat_map(|header| header.faults((!cut).then_some(cases as u64), &digest));
        match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => {
                let header = header.as_ref().map(Header::id);
                Ok(Survey { cases, partial, digest, header, needs_embedder, needs_toxicity })
            }
        }
    }

    /// A case's own scorers, checked against the dataset's and against the models there are.
    ///
    /// # Errors
    /// A check that does not parse, has the name of another scorer of the case, or needs a model the suite lacks. The
    /// error has no place.
    pub fn checks(&self, dataset: &DatasetPlan, sample: &Sample) -> Result<Vec<ScorerSpec>> {
        if sample.checks.is_empty() {
            return Ok(Vec::new());
        }
        let mut specs: Vec<ScorerSpec> = Vec::with_capacity(sample.checks.len());
        let mut names: HashSet<String> = dataset.scorers.iter().cloned().collect();
        for check in &sample.checks {
            let spec = parse_check(check)?;
            let name = spec.name();
            if !names.insert(name.to_owned()) {
                let error =
                    Error::input(format!("the check `{name}` has the name of a scorer that looks at the case already"));
                return Err(error.with_hint("give the check another `name`"));
            }
            let models = &self.plan.models;
            if (spec.needs_embedder() && models.embedder.is_none())
                || (spec.needs_toxicity() && models.toxicity.is_none())
            {
                let error = Error::input(format!("the check `{name}` needs a model that the suite does not name"));
                return Err(error.with_hint("add it under `models:` in the suite"));
            }
            specs.push(spec);
        }
        Ok(specs)
    }
}
