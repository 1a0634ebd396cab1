//! `karat logprob`: log-probabilities of token ids, or of continuations of contexts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::AnswerArgs;
use super::chat_args::warn;
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::DEFAULT_NOW;
use super::lines::Identified;
use super::progress::{self, Done};
use super::progress_args::ProgressArgs;
use super::session::{self, Flags, Start};
use super::signals::WallArgs;
use super::{Exit, line_keys, model};
use crate::dataset::Keys;
use crate::engine::chat::Clock;
use crate::engine::models::kind::Role;
use crate::engine::render::Renderer;
use crate::engine::scheduler::workload::Totals;
use crate::engine::{Generator, Scored};
use crate::error::{Error, Result};

/// Arguments of `karat logprob`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat logprob ./my-model --in texts.jsonl --out logprobs.jsonl")]
pub struct Args {
    /// A model folder, a .gguf file, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    answers: AnswerArgs,
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
    ids: Option<Vec<u32>>,
    context: Option<String>,
    continuation: Option<String>,
}

impl Identified for Line {
    const KEYS: &'static Keys = &line_keys::LOGPROB;

    fn id(&self) -> &Value {
        &self.id
    }

    fn check(&self) -> Result<()> {
        match (&self.ids, &self.context, &self.continuation) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => Ok(()),
            _ => Err(Error::input("the line needs either `ids`, or `context` and `continuation`")),
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

fn question(line: Line) -> Scored {
    match line.ids {
        Some(ids) => Scored::Ids(ids),
        None => Scored::Pair {
            context: line.context.unwrap_or_default(),
            continuation: line.continuation.unwrap_or_default(),
        },
    }
}

fn done(totals: &Totals) -> Done {
    Done { lines: totals.finished, prompt_tokens: totals.prefill_tokens, ..Done::default() }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let form = args.progress.begin();
    let Args { lines, answers, wall, engine, .. } = &args;
    let ready = match session::open::<Line>("logprob", Flags { lines, answers, wall, engine, form }, Value::Null)? {
        Start::Ready(ready) => ready,
        Start::Not(exit) => return Ok(exit),
    };
    let model = model::named(&args.model, Role::Generator, ready.engine.backend)?;
    let renderer = Arc::new(Renderer::open(&model, Clock::parse(DEFAULT_NOW)?)?);
    let mut generator = Generator::open(&model, renderer, &ready.engine)?;
    generator.notes().iter().for_each(|note| say!("warning: {note}"));
    ready.settle(&model, generator.fingerprint())?;
    let (lines, session) = ready.begin();
    let totals = generator.logprob(
        lines.map(|line| Ok(question(line?))),
        |number, outcome| {
            session.put(number, outcome.is_err(), |id| match outcome {
                Ok(p) => Answer { id, logprob: Some(p.logprob), tokens: p.tokens, greedy: p.greedy, error: None },
                Err(error) => Answer { id, logprob: None, tokens: 0, greedy: false, error: Some(error) },
            })
        },
        |totals| session.step(done(totals)),
    );
    let (totals, ended) = session.close(totals, done)?;
    warn(generator.renderer());
    if !form.is_quiet() {
        let seconds = ended.seconds;
        say!(
            "scored {} tokens of {} texts in {seconds:.2} s ({:.0} tokens/s), loaded in {:.2} s{}",
            totals.prefill_tokens,
            ended.answered,
            progress::per_second(totals.prefill_tokens, seconds),
            ended.loaded,
            progress::peak_note()
        );
    }
    ended.exit()
}
