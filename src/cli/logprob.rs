//! `karat logprob`: log-probabilities of token ids, or of continuations of contexts.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine_args::{EngineArgs, LineArgs};
use super::generate::{DEFAULT_NOW, finish};
use super::lines::{Identified, Ids, Lines, Output};
use super::progress::{self, Progress};
use super::signals::Signals;
use super::{Exit, model};
use crate::engine::chat::Clock;
use crate::engine::render::Renderer;
use crate::engine::{Generator, Scored};
use crate::error::{Error, Result};

/// Arguments of `karat logprob`.
#[derive(clap::Args)]
pub struct Args {
    /// A model folder, a .gguf file, name@version of the registry, or org/name[@revision] on the hub.
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
    ids: Option<Vec<u32>>,
    context: Option<String>,
    continuation: Option<String>,
}

impl Identified for Line {
    fn id(&self) -> &Value {
        &self.id
    }

    fn check(&self) -> Result<()> {
        match (&self.ids, &self.context, &self.continuation) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => Ok(()),
            _ => Err(Error::input("find either `ids`, or `context` and `continuation`")),
        }
    }
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    logprob: Option<f64>,
    tokens: usize,
    greedy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn question(line: Line, ids: &Ids) -> Scored {
    ids.enter(line.id);
    match line.ids {
        Some(ids) => Scored::Ids(ids),
        None => Scored::Pair {
            context: line.context.unwrap_or_default(),
            continuation: line.continuation.unwrap_or_default(),
        },
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let engine = args.engine.apply()?;
    let input: Lines<Line> = Lines::open(&args.lines.input)?;
    let mut output = Output::open(&args.lines.output)?;
    let signals = Signals::listen()?;
    let loading = Instant::now();
    let folder = model::from_argument(&args.model)?;
    let renderer = Arc::new(Renderer::open(&folder, Clock::parse(DEFAULT_NOW)?)?);
    let mut generator = Generator::open(&folder, renderer, &engine)?;
    let loaded = loading.elapsed();
    let ids = Ids::default();
    let (mut answered, mut failed) = (0u64, 0u64);
    let mut bar = Progress::start("logprob", None, args.quiet);
    let totals = generator.logprob(
        input.map(|line| Ok(question(line?, &ids))),
        |outcome| {
            answered += 1;
            let id = ids.leave()?;
            output.line(&match outcome {
                Ok(p) => Answer { id, logprob: Some(p.logprob), tokens: p.tokens, greedy: p.greedy, error: None },
                Err(error) => {
                    failed += 1;
                    Answer { id, logprob: None, tokens: 0, greedy: false, error: Some(error) }
                }
            })
        },
        |totals| {
            signals.check()?;
            bar.show(totals.finished, totals.prefill_tokens);
            Ok(())
        },
    )?;
    bar.end();
    output.close()?;
    if !args.quiet {
        let seconds = bar.elapsed().as_secs_f64();
        say!(
            "scored {} tokens of {answered} texts in {seconds:.2} s ({:.0} tokens/s), loaded in {:.2} s{}",
            totals.prefill_tokens,
            totals.prefill_tokens as f64 / seconds.max(1e-9),
            loaded.as_secs_f64(),
            progress::peak_note()
        );
    }
    finish(answered, failed)
}
