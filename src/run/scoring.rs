//! Answers to result lines: needs, scores and checks of one chunk at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use serde_json::Value;

use super::check::Checked;
use super::encoders::{Answers, Encoders};
use super::event::{Event, Phase, Watch};
use super::meter::Meter;
use super::outbox::Answered;
use super::settle::Settled;
use crate::dataset::Sample;
use crate::engine::Reading;
use crate::error::{Error, Result};
use crate::record::{Batch, PromptLine, ResultLine, ThoughtEnd};
use crate::score::{Answer, CompileContext, Likelihoods, Need, Output, Score, Scorer, Thought, ToxicLabels, is_blank};
use crate::suite::parse_check;

/// Compiled checks of cases that are kept; more are compiled again.
const CHECKS: usize = 1024;

/// Scores chunks.
pub(super) struct Scoring<'a> {
    checked: &'a Checked,
    /// By dataset, in the plan's order.
    scorers: Vec<Vec<Arc<Scorer>>>,
    context: CompileContext,
    checks: Mutex<HashMap<String, Arc<Scorer>>>,
    encoders: Encoders,
    keep_outputs: bool,
    prompts: Option<PromptForm>,
    meter: &'a Meter,
    watch: Watch<'a>,
}

/// Whether the model that prompts are recorded for takes conversations.
pub(super) struct PromptForm {
    pub has_chat_template: bool,
}

/// What a scoring needs to know beside the checked suite.
pub(super) struct Tools<'a> {
    pub encoders: Encoders,
    pub keep_outputs: bool,
    /// Prompts are recorded where a generator was asked.
    pub prompts: Option<PromptForm>,
    pub meter: &'a Meter,
    pub watch: Watch<'a>,
}

/// A case on its way through a chunk.
struct Work {
    dataset: usize,
    sample: Sample,
    repeat: u32,
    prompt: Option<PromptLine>,
    settled: Settled,
    /// Scorers of the case itself, behind those of its dataset.
    checks: Vec<Arc<Scorer>>,
    /// By scorer, what it needs; empty for a case without an answer.
    needs: Vec<Vec<Need>>,
}

/// Cases of a chunk that one thread writes down at least, so that batches are not too small.
const BATCH: usize = 64;

impl<'a> Scoring<'a> {
    /// Compiles the scorers of all datasets and tries those of toxicity on the model's labels.
    ///
    /// # Errors
    /// A scorer that does not compile, a label that the model does not have.
    pub fn new(checked: &'a Checked, tools: Tools<'a>) -> Result<Self> {
        let suite = &checked.suite;
        let toxic_labels = suite.plan.models.toxicity.as_ref().and_then(|toxicity| toxicity.labels.clone());
        let context = CompileContext { toxic_labels };
        let compile = |dataset| {
            let specs = suite.scorers(dataset).into_iter();
            specs.map(|spec| Ok(Arc::new(spec.compile(&context)?))).collect::<Result<Vec<_>>>()
        };
        let scorers = suite.plan.datasets.iter().map(compile).collect::<Result<Vec<_>>>()?;
        let Tools { encoders, keep_outputs, prompts, meter, watch } = tools;
        let checks = Mutex::default();
        let scoring = Self { checked, scorers, context, checks, encoders, keep_outputs, prompts, meter, watch };
        scoring.try_labels()?;
        Ok(scoring)
    }

    /// The run's meter.
    pub fn meter(&self) -> &'a Meter {
        self.meter
    }

    /// The run's watcher.
    pub fn watch(&self) -> Watch<'a> {
        self.watch
    }

    /// Says which labels count where nobody named them and not all are plain.
    fn note_labels(&self, labels: &[String]) {
        let suite = &self.checked.suite;
        let named = suite.plan.models.toxicity.as_ref().is_some_and(|toxicity| toxicity.labels.is_some());
        let unasked = || {
            suite.plan.datasets.iter().any(|dataset| suite.scorers(dataset).iter().any(|spec| spec.counts_unasked()))
        };
        let checks = self.checked.surveys.iter().any(|survey| survey.needs_toxicity);
        if let Some(note) = ToxicLabels::of(labels).note().filter(|_| !named && (checks || unasked())) {
            self.watch.tell(Event::Noted {
                text: format!("{note}; `models: {{toxicity: {{labels: […]}}}}` says otherwise"),
            });
        }
    }

    /// Scores an invented classification, so that a label that does not exist is known before the first case.
    fn try_labels(&self) -> Result<()> {
        let Some(classifier) = &self.encoders.classifier else { return Ok(()) };
        self.note_labels(classifier.labels());
        let labels = classifier.labels().iter().map(|label| (label.clone(), 0.0)).collect();
        let answer = [Answer::Labels(Arc::new(Reading::Whole(labels)))];
        let datasets = self.checked.suite.plan.datasets.iter().zip(&self.scorers);
        for (dataset, scorers) in datasets {
            let specs = self.checked.suite.scorers(dataset);
            for (_, scorer) in specs.iter().zip(scorers).filter(|(spec, _)| spec.needs_toxicity()) {
                let sample = crate::dataset::Sample {
                    id: String::new(),
                    input: crate::dataset::Input::Text(String::new()),
                    target: Vec::new(),
                    numeric_targets: Vec::new(),
                    choices: Vec::new(),
                    context: None,
                    tags: Vec::new(),
                    metadata: serde_json::Map::new(),
                    checks: Vec::new(),
                    line: 0,
                    row: None,
                    gold: Vec::new(),
                    shots: Vec::new(),
                };
                scorer.score(&sample, &self.read("x", false), &answer).map_err(|e| e.at(self.checked.suite.path()))?;
            }
        }
        Ok(())
    }

    /// Scores a chunk; batches, and lines in them, come in the chunk's order.
    ///
    /// # Errors
    /// The encoders as a whole failed, the run has to stop, or a score cannot be written down. What is wrong with a single case is
    /// in its line.
    pub fn chunk(&mut self, chunk: Vec<Answered>) -> Result<Vec<Batch>> {
        let this = &*self;
        let none = Answers::default();
        if this.encoders.is_empty() {
            // Each case from its answer to its line at once, while it is in the processor's cache.
            let line = |answered| this.finish(this.prepare(answered), &none);
            return self.meter.piece(Phase::Score, || batches(chunk.into_par_iter().map(line)));
        }
        let work: Vec<Work> =
            self.meter.piece(Phase::Score, || chunk.into_par_iter().map(|answered| this.prepare(answered)).collect());
        let needs = work.iter().flat_map(|work| work.needs.iter().flatten());
        let answers = self.encoders.answer(needs, self.meter, self.watch)?;
        let this = &*self;
        self.meter.piece(Phase::Score, || batches(work.into_par_iter().map(|work| this.finish(work, &answers))))
    }

    fn prepare(&self, answered: Answered) -> Work {
        let Answered { dataset, sample, repeat, answer } = answered;
        let mut settled = Settled::new(answer, &sample, &self.checked.prompts[dataset]);
        let prompt = self.prompt(dataset, &sample).filter(|_| repeat == 0);
        let (mut checks, mut needs) = (Vec::new(), Vec::new());
        let scored = settled.output.as_deref().or(settled.likelihoods.as_ref().map(|_| ""));
        if let (Some(output), None) = (scored, &settled.error) {
            match sample.checks.iter().map(|check| self.check(check)).collect() {
                Ok(found) => {
                    checks = found;
                    let scorers = self.scorers[dataset].iter().chain(&checks);
                    let output = self.read(output, settled.thought_opened);
                    needs = scorers.map(|scorer| scorer.needs(&sample, &output)).collect();
                }
                Err(error) => settled.error = Some(error.chain()),
            }
        }
        Work { dataset, sample, repeat, prompt, settled, checks, needs }
    }

    /// What the case was asked, where that is recorded; a prompt that cannot be built is the case's error.
    fn prompt(&self, dataset: usize, sample: &Sample) -> Option<PromptLine> {
        let form = self.prompts.as_ref()?;
        let prompt = self.checked.prompts[dataset].question(sample, form.has_chat_template).ok()?.transcript();
        Some(PromptLine { dataset: self.checked.sources[dataset].name.clone(), id: sample.id.clone(), prompt })
    }

    fn check(&self, check: &Value) -> Result<Arc<Scorer>> {
        let text = check.to_string();
        let broken = |_| Error::internal("failed to look up a check");
        if let Some(known) = self.checks.lock().map_err(broken)?.get(&text) {
            return Ok(known.clone());
        }
        let scorer = Arc::new(parse_check(check)?.compile(&self.context)?);
        let mut checks = self.checks.lock().map_err(|_| Error::internal("failed to keep a check"))?;
        if checks.len() >= CHECKS {
            checks.clear();
        }
        checks.insert(text, scorer.clone());
        Ok(scorer)
    }

    /// An output with its thoughts apart.
    fn read<'o>(&self, output: &'o str, thought_opened: bool) -> Output<'o> {
        Output::read(output, &self.checked.suite.plan.reasoning, thought_opened)
    }

    fn finish(&self, work: Work, answers: &Answers) -> Recordable {
        let Work { dataset, sample, repeat, prompt, settled, checks, needs } = work;
        let scorers = self.scorers[dataset].iter().chain(&checks).map(|scorer| &**scorer);
        let output = settled.output.as_deref().map(|output| self.read(output, settled.thought_opened));
        let given = Given { output: output.as_ref(), likelihoods: settled.likelihoods.as_ref() };
        let (scores, failed) = scored(scorers.zip(&needs), &sample, given, answers);
        let thought = output.as_ref().and_then(|output| match output.state {
            Thought::Absent => None,
            Thought::Closed => Some(ThoughtEnd::Closed),
            Thought::Cut => Some(ThoughtEnd::Cut),
        });
        // A thought that was cut off has no answer behind it, blank or not.
        let told = thought == Some(ThoughtEnd::Closed) || (thought.is_none() && !self.keep_outputs);
        let told = told && settled.likelihoods.is_none();
        let empty = output.filter(|_| told).map(|output| is_blank(&output.answer));
        let source = &self.checked.sources[dataset];
        let plan = &self.checked.suite.plan.datasets[dataset];
        let mut line = ResultLine {
            dataset: source.name.clone(),
            id: sample.id,
            repeat,
            kind: source.kind,
            tags: sample.tags,
            metadata: plan
                .slices
                .iter()
                .filter_map(|key| Some((key.clone(), word(sample.metadata.get(key)?)?)))
                .collect(),
            group: plan.group.as_ref().and_then(|key| word(sample.metadata.get(key)?)),
            timestamp: settled.timestamp.or_else(|| timestamp(sample.metadata.get("timestamp")?)),
            prompt_hash: settled.prompt_hash,
            output: settled.output,
            output_ids: settled.output_ids,
            finish: settled.finish,
            prompt_tokens: settled.prompt_tokens,
            thought_opened: settled.thought_opened,
            thought,
            empty,
            likelihoods: settled.likelihoods,
            scores,
            passed: false,
            error: settled.error.or(failed),
        };
        if !self.keep_outputs {
            (line.output, line.output_ids) = (None, None);
            // They quote the answer.
            line.scores.values_mut().for_each(|score| score.explanation.clear());
        }
        (line, prompt)
    }
}

/// A value of metadata in a word: texts, numbers and truth values; a list or a map is nothing to slice by.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A time as records hold it, where metadata say one.
fn timestamp(value: &Value) -> Option<String> {
    Some(value.as_str()?.parse::<jiff::Timestamp>().ok()?.to_string())
}

/// A scored answer and, where it is the first one to its case, what was asked.
type Recordable = (ResultLine, Option<PromptLine>);

/// Lines in batches, in their order.
fn batches(lines: impl IndexedParallelIterator<Item = Recordable>) -> Result<Vec<Batch>> {
    let push = |mut batch: Batch, (line, prompt): Recordable| {
        batch.push(line)?;
        prompt.iter().try_for_each(|prompt| batch.push_prompt(prompt)).map(|()| batch)
    };
    lines.with_min_len(BATCH).try_fold(Batch::default, push).collect()
}

/// What a case is scored by.
#[derive(Clone, Copy)]
struct Given<'a> {
    output: Option<&'a Output<'a>>,
    likelihoods: Option<&'a Likelihoods>,
}

impl Given<'_> {
    /// What a scorer says of it.
    fn score(self, scorer: &Scorer, sample: &Sample, answers: &[Answer]) -> Result<Score> {
        let scored = self.likelihoods.and_then(|likelihoods| scorer.score_likelihoods(sample, likelihoods));
        match (scored, self.output) {
            (Some(score), _) => score,
            (None, Some(output)) => scorer.score(sample, output, answers),
            (None, None) => Err(Error::input(format!("{}: no answer was generated", scorer.name()))),
        }
    }
}

/// The scores of one case, and what went wrong: a scorer that cannot judge gives no score.
fn scored<'a>(
    scorers: impl Iterator<Item = (&'a Scorer, &'a Vec<Need>)>,
    sample: &Sample,
    given: Given<'_>,
    answers: &Answers,
) -> (BTreeMap<String, Score>, Option<String>) {
    let (mut scores, mut failed) = (BTreeMap::new(), None);
    if given.output.is_none() && given.likelihoods.is_none() {
        return (scores, failed);
    }
    for (scorer, needs) in scorers {
        let reason = match given.score(scorer, sample, &answers.to(needs)) {
            Ok(score) if score.value.is_finite() => {
                scores.insert(scorer.name().to_owned(), score);
                continue;
            }
            Ok(score) => format!("{}: the value is {}", scorer.name(), score.value),
            Err(error) => error.chain(),
        };
        failed.get_or_insert(reason);
    }
    (scores, failed)
}
