//! `karat classify`: label probabilities of texts and pairs of texts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answers::AnswerArgs;
use super::engine_args::{EngineArgs, LineArgs};
use super::lines::Identified;
use super::long_args::{LongArgs, Said, WindowLine, done, tell};
use super::progress_args::ProgressArgs;
use super::session::{self, Flags, Start};
use super::signals::WallArgs;
use super::{Exit, line_keys, model};
use crate::dataset::Keys;
use crate::engine::models::kind::Role;
use crate::engine::{Classification, Classifier, TextInput};
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

impl Labels {
    fn of(made: Classification) -> Self {
        Self { scores: made.scores.into_iter().map(|(label, p)| (label, Value::from(p))).collect() }
    }
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
    let long = args.long.long();
    let Args { lines, answers, wall, engine, .. } = &args;
    let flags = Flags { lines, answers, wall, engine, form };
    let ready = match session::open::<Line>("classify", flags, json!({"long": long}))? {
        Start::Ready(ready) => ready,
        Start::Not(exit) => return Ok(exit),
    };
    let model = model::named(&args.model, Role::Classifier, ready.engine.backend)?;
    let mut classifier = Classifier::open(&model, &ready.engine)?;
    ready.settle(&model, classifier.fingerprint())?;
    let (lines, session) = ready.begin();
    let texts = lines.map(|line| {
        let line = line?;
        Ok(TextInput { text: line.text, text_pair: line.text_pair, long })
    });
    let totals = classifier.classify(
        texts,
        |number, outcome| {
            session.put(number, outcome.is_err(), |id| {
                let said = Said::of(outcome.map(|reading| reading.map(Labels::of)));
                Answer {
                    id,
                    scores: said.whole.map(|made| made.scores),
                    windows: said.windows,
                    truncated_tokens: said.truncated_tokens,
                    error: said.error,
                }
            })
        },
        |totals| session.step(done(totals)),
    );
    let (totals, ended) = session.close(totals, done)?;
    tell("classified", &totals, &ended, form);
    ended.exit()
}
