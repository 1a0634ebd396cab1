//! Everything that can be looked at before a model loads: every case of every dataset, every recorded answer.

use std::sync::Arc;

use super::event::{Event, Phase, Watch};
use super::meter::Meter;
use super::recorded::{Known, Recorded};
use crate::dataset::{Sample, Source};
use crate::error::{Error, Result};
use crate::prompt::{Builder, Question};
use crate::suite::{Suite, Survey};

/// A suite whose data have been read once and found good, ready to run.
pub struct Checked {
    /// The suite.
    pub suite: Suite,
    /// What its datasets hold, in the plan's order.
    pub surveys: Vec<Survey>,
    /// Whether any scorer needs the embedder.
    pub needs_embedder: bool,
    /// Whether any scorer needs the toxicity model.
    pub needs_toxicity: bool,
    pub(super) sources: Vec<Source>,
    /// By dataset, in the plan's order.
    pub(super) prompts: Vec<Arc<Builder>>,
    pub(super) recorded: Option<Recorded>,
    pub(super) meter: Meter,
}

/// Recorded answers in place of a generator, and how strictly they are taken.
pub struct Answers {
    /// The answers.
    pub recorded: Recorded,
    /// Whether answers for cases that do not exist are let pass.
    pub allow_extra: bool,
}

impl Checked {
    /// Number of answers of the run: cases times repeats.
    pub fn cases(&self) -> u64 {
        self.surveys.iter().map(|survey| survey.cases as u64).sum::<u64>() * u64::from(self.repeats())
    }

    /// The prompt of the first case of every dataset; none where it cannot be built.
    ///
    /// # Errors
    /// A dataset that is not what it was.
    pub fn first_prompts(&self, has_chat_template: bool) -> Result<Vec<Option<Question>>> {
        let first = |((source, survey), prompt): ((&Source, &Survey), &Arc<Builder>)| {
            let sample = source.reopen(&survey.digest)?.next().transpose()?;
            Ok(sample.and_then(|sample| prompt.question(&sample, has_chat_template).ok()))
        };
        self.sources.iter().zip(&self.surveys).zip(&self.prompts).map(first).collect()
    }

    /// How many times each case is answered.
    pub(super) fn repeats(&self) -> u32 {
        self.suite.plan.generation.repeat
    }
}

/// Reads all datasets once and, where there are recorded answers, holds them against the cases.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(suite: Suite, answers: Option<Answers>, watch: Watch<'_>) -> Result<Checked> {
    if answers.is_some()
        && let Some(dataset) = suite.plan.datasets.iter().find(|dataset| !dataset.request.is_generate())
    {
        let (name, request) = (&dataset.name, dataset.request.name());
        let error = Error::input(format!(
            "the dataset `{name}` has `request: {request}`, to which recorded answers say nothing"
        ));
        return Err(error.at(suite.path()).with_hint("run the suite, or leave such datasets out of it"));
    }
    let (prompts, meter) = (suite.prompts()?, Meter::default());
    let sources = suite.sources(&prompts)?;
    let (mut recorded, allow_extra) = match answers {
        Some(answers) => (Some(answers.recorded), answers.allow_extra),
        None => (None, false),
    };
    let surveys = meter.phase(watch, Phase::Check, None, || {
        let surveys = survey(&suite, (&sources, &prompts), recorded.as_mut(), watch)?;
        if let Some(recorded) = &mut recorded {
            refuse_unknown(&suite, recorded, allow_extra, watch)?;
        }
        Ok(surveys)
    })?;
    let scorers = || suite.plan.datasets.iter().flat_map(|dataset| suite.scorers(dataset));
    let needs_embedder = surveys.iter().any(|s| s.needs_embedder) || scorers().any(|s| s.needs_embedder());
    let needs_toxicity = surveys.iter().any(|s| s.needs_toxicity) || scorers().any(|s| s.needs_toxicity());
    Ok(Checked { suite, surveys, needs_embedder, needs_toxicity, sources, prompts, recorded, meter })
}

fn survey(
    suite: &Suite,
    (sources, prompts): (&[Source], &[Arc<Builder>]),
    mut recorded: Option<&mut Recorded>,
    watch: Watch<'_>,
) -> Result<Vec<Survey>> {
    // Recorded answers were asked for by somebody else.
    let asked = recorded.is_none();
    let (mut surveys, mut read) = (Vec::new(), 0u64);
    let repeats = suite.plan.generation.repeat;
    let mut open = 0;
    for ((dataset, source), prompt) in suite.plan.datasets.iter().zip(sources).zip(prompts) {
        let visit = |sample: &Sample| {
            read += 1;
            open += u64::from(asked && prompt.leaves_open_turn(sample));
            if read % 1024 == 0 {
                watch.check()?;
            }
            match &mut recorded {
                Some(recorded) => {
                    (0..repeats).try_for_each(|repeat| recorded.claim((&dataset.name, &sample.id, repeat)))
                }
                None => Ok(()),
            }
        };
        surveys.push(suite.survey_one(dataset, source, visit)?);
    }
    if open > 0 {
        let text = format!(
            "{open} {} with a message of the assistant, which is closed, and another is asked for: say \
             `prompt: {{continue_final_message: true}}` to go on with it, or false",
            if open == 1 { "case ends" } else { "cases end" }
        );
        watch.tell(Event::Noted { text });
    }
    Ok(surveys)
}

fn refuse_unknown(suite: &Suite, recorded: &mut Recorded, allow: bool, watch: Watch<'_>) -> Result<()> {
    let datasets = &suite.plan.datasets;
    let known: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let limited = datasets.iter().filter(|dataset| dataset.limit.is_some());
    let limited: Vec<&str> = limited.map(|dataset| dataset.name.as_str()).collect();
    let known = Known { datasets: &known, limited: &limited, repeats: suite.plan.generation.repeat };
    let unused = recorded.unclaimed(known, allow)?;
    if unused > 0 {
        let text = format!("{unused} recorded answers belong to no selected case and are left out");
        watch.tell(Event::Noted { text });
    }
    Ok(())
}
