//! `karat classify`: label probabilities of texts and pairs of texts.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answers::{AnswerArgs, Answers, Asking, Opened};
use super::embed::summary;
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::finish;
use super::lines::{Identified, Lines};
use super::long_args::{self, LongArgs, Said, WindowLine};
use super::progress::{Done, Progress, Tally};
use super::progress_args::ProgressArgs;
use super::signals::{Signals, WallArgs};
use super::{Exit, line_keys, model};
use crate::dataset::Keys;
use crate::engine::models::kind::Role;
use crate::engine::{Classifier, EncodeTotals, TextInput};
use crate::error::Result;

/// Arguments of `karat classify`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat classify ./toxicity --in texts.jsonl --out labels.jsonl")]
pub struct Args {
    /// A model folder, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    long: LongArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Deserialize)]
pub struct Line {
    #[serde(default)]
    id: Value,
    text: String,
    text_pair: Option<String>,
}

impl Identified for Line {
    const KEYS: &'static Keys = &line_keys::CLASSIFY;

    fn id(&self) -> &Value {
        &self.id
    }
}

/// What the model made of a text or a window.
#[derive(Serialize)]
struct Labels {
    scores: Map<String, Value>,
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    scores: Option<Map<String, Value>>,
    /// Only of a text that was read in windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<WindowLine<Labels>>>,
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
    let input: Lines<Line> = Lines::open(&args.lines, &signals)?;
    let asking = Asking { args: &args.answers, quiet: form.is_quiet(), signals: &signals };
    let answers = match Answers::open::<Line>("classify", &args.lines, asking, json!({"long": args.long.long()}))? {
        Opened::Ready(answers) => answers,
        Opened::Not(exit) => return Ok(exit),
    };
    let loading = Instant::now();
    let model = model::named(&args.model, Role::Classifier, engine.backend)?;
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
    let long = args.long.long();
    let texts = answers.unanswered(input).map(|line| {
        let line = line?;
        Ok(TextInput { text: line.text, text_pair: line.text_pair, long })
    });
    let totals = classifier.classify(
        texts,
        |number, outcome| {
            let failed = outcome.is_err();
            tally.count(failed);
            let line = |id| match outcome {
                Ok(reading) => {
                    let said = Said::of(reading.map(|made| Labels {
                        scores: made.scores.into_iter().map(|(label, p)| (label, Value::from(p))).collect(),
                    }));
                    let scores = said.whole.map(|made| made.scores);
                    Answer { id, scores, windows: said.windows, truncated_tokens: said.truncated_tokens, error: None }
                }
                Err(unread) => {
                    let error = Some(unread.to_string());
                    Answer { id, scores: None, windows: None, truncated_tokens: None, error }
                }
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
    long_args::warn(&totals);
    finish(resumed + tally.answered(), tally.failed())
}
