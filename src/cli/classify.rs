//! `karat classify`: label probabilities of texts and pairs of texts.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answers::{AnswerArgs, Answers, Asking, Opened};
use super::embed::summary;
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::finish;
use super::lines::{Identified, Lines};
use super::progress::{Done, Progress, Tally};
use super::progress_args::ProgressArgs;
use super::signals::{Signals, WallArgs};
use super::{Exit, model};
use crate::engine::{Classifier, EncodeTotals, TextInput};
use crate::error::Result;

/// Arguments of `karat classify`.
#[derive(clap::Args)]
pub struct Args {
    /// A model folder, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    text: String,
    text_pair: Option<String>,
}

impl Identified for Line {
    fn id(&self) -> &Value {
        &self.id
    }
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    scores: Option<Map<String, Value>>,
    /// Only where tokens were cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let form = args.progress.begin();
    let engine = args.engine.apply()?;
    let signals = Signals::listen(&args.wall)?;
    let input: Lines<Line> = Lines::open(&args.lines.input, &signals)?;
    let asking = Asking { args: &args.answers, quiet: form.is_quiet(), signals: &signals };
    let answers = match Answers::open::<Line>("classify", &args.lines, asking, Value::Null)? {
        Opened::Ready(answers) => answers,
        Opened::Not(exit) => return Ok(exit),
    };
    let loading = Instant::now();
    let model = model::named(&args.model)?;
    let mut classifier = Classifier::open(&model, &engine)?;
    answers.settle(&model, classifier.fingerprint())?;
    let loaded = loading.elapsed();
    let tally = Tally::default();
    let done = |totals: &EncodeTotals| Done {
        lines: totals.texts,
        failed: tally.failed(),
        prompt_tokens: totals.tokens,
        ..Done::default()
    };
    let mut bar = Progress::start("classify", form);
    let texts = answers.unanswered(input).map(|line| {
        let line = line?;
        Ok(TextInput { text: line.text, text_pair: line.text_pair })
    });
    let totals = classifier.classify(
        texts,
        |number, outcome| {
            let failed = outcome.is_err();
            tally.count(failed);
            let line = |id| match outcome {
                Ok(c) => {
                    let truncated_tokens = Some(c.truncated_tokens).filter(|cut| *cut > 0);
                    let scores = c.scores.into_iter().map(|(label, p)| (label, Value::from(p))).collect();
                    Answer { id, scores: Some(scores), truncated_tokens, error: None }
                }
                Err(error) => Answer { id, scores: None, truncated_tokens: None, error: Some(error) },
            };
            answers.put(number, failed, line).inspect_err(|_| signals.want_no_more())
        },
        |totals| {
            // Before the next step, and before anybody stops.
            answers.flush()?;
            signals.check()?;
            bar.show(done(totals));
            Ok(())
        },
    );
    bar.end(totals.as_ref().ok().map(done));
    let totals = totals.inspect_err(|error| answers.told(error))?;
    let resumed = answers.resumed();
    answers.close()?;
    if !form.is_quiet() {
        summary("classified", &totals, bar.elapsed().as_secs_f64(), loaded.as_secs_f64());
    }
    finish(resumed + tally.answered(), tally.failed())
}
