//! `karat classify`: label probabilities of texts and pairs of texts.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::embed::summary;
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::finish;
use super::lines::{Identified, Ids, Lines, Output};
use super::progress::Progress;
use super::signals::Signals;
use super::{Exit, model};
use crate::engine::{Classifier, TextInput};
use crate::error::Result;

/// Arguments of `karat classify`.
#[derive(clap::Args)]
pub struct Args {
    /// A model folder, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// No progress and no summary.
    #[arg(long, short)]
    quiet: bool,
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
    let engine = args.engine.apply()?;
    let input: Lines<Line> = Lines::open(&args.lines.input)?;
    let mut output = Output::open(&args.lines.output)?;
    let signals = Signals::listen()?;
    let loading = Instant::now();
    let folder = model::from_argument(&args.model)?;
    let mut classifier = Classifier::open(&folder, &engine)?;
    let loaded = loading.elapsed();
    let ids = Ids::default();
    let (mut answered, mut failed) = (0u64, 0u64);
    let mut bar = Progress::start("classify", None, args.quiet);
    let texts = input.map(|line| {
        let line = line?;
        ids.enter(line.id);
        Ok(TextInput { text: line.text, text_pair: line.text_pair })
    });
    let totals = classifier.classify(
        texts,
        |outcome| {
            answered += 1;
            let id = ids.leave()?;
            output.line(&match outcome {
                Ok(c) => {
                    let truncated_tokens = Some(c.truncated_tokens).filter(|cut| *cut > 0);
                    let scores = c.scores.into_iter().map(|(label, p)| (label, Value::from(p))).collect();
                    Answer { id, scores: Some(scores), truncated_tokens, error: None }
                }
                Err(error) => {
                    failed += 1;
                    Answer { id, scores: None, truncated_tokens: None, error: Some(error) }
                }
            })
        },
        |totals| {
            signals.check()?;
            bar.show(totals.texts, totals.tokens);
            Ok(())
        },
    )?;
    bar.end();
    output.close()?;
    if !args.quiet {
        summary("classified", &totals, bar.elapsed().as_secs_f64(), loaded.as_secs_f64());
    }
    finish(answered, failed)
}
