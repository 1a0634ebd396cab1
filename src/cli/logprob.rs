//! `karat logprob`: log-probabilities of token ids, of one or several continuations of a context, or of whole documents.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

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
use crate::engine::{Generator, LogProb, Scored};
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
    continuations: Option<Vec<String>>,
    document: Option<String>,
}

impl Identified for Line {
    const KEYS: &'static Keys = &line_keys::LOGPROB;

    fn id(&self) -> &Value {
        &self.id
    }

    fn check(&self) -> Result<()> {
        let Self { id: _, ids, context, continuation, continuations, document } = self;
        match (ids, context, continuation, continuations, document) {
            (Some(_), None, None, None, None)
            | (None, Some(_), Some(_), None, None)
            | (None, None, None, None, Some(_)) => Ok(()),
            (None, Some(_), None, Some(list), None) if list.is_empty() => Err(Error::input("`continuations` is empty")),
            (None, Some(_), None, Some(_), None) => Ok(()),
            _ => Err(Error::input(
                "the line needs one of `ids`, `context` and `continuation`, `context` and `continuations`, `document`",
            )),
        }
    }
}

/// What is written of one text.
#[derive(Serialize)]
struct Figures {
    logprob: Option<f64>,
    tokens: usize,
    greedy: bool,
}

impl Figures {
    fn of(scored: &LogProb) -> Self {
        Self { logprob: Some(scored.logprob), tokens: scored.tokens, greedy: scored.greedy }
    }
}

/// A line with one answer, or with one for each of its continuations.
#[derive(Serialize)]
#[serde(untagged)]
enum Answers {
    One(Figures),
    Each { continuations: Option<Vec<Figures>> },
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    #[serde(flatten)]
    answers: Answers,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Answer {
    fn new(id: Value, several: bool, outcome: std::result::Result<Vec<LogProb>, String>) -> Self {
        let (scored, error) = match outcome {
            Ok(scored) => (Some(scored), None),
            Err(error) => (None, Some(error)),
        };
        let none = || Figures { logprob: None, tokens: 0, greedy: false };
        let answers = if several {
            Answers::Each { continuations: scored.map(|scored| scored.iter().map(Figures::of).collect()) }
        } else {
            Answers::One(scored.as_deref().and_then(<[LogProb]>::first).map_or_else(none, Figures::of))
        };
        Self { id, answers, error }
    }
}

fn question(line: Line) -> Scored {
    let context = line.context.unwrap_or_default();
    match (line.ids, line.document, line.continuations) {
        (Some(ids), ..) => Scored::Ids(ids),
        (_, Some(document), _) => Scored::Rolling(document),
        (.., Some(continuations)) => Scored::Choices { context, continuations },
        _ => Scored::Pair { context, continuation: line.continuation.unwrap_or_default() },
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
    // Lines under way that get a list of answers; no more than the engine's window.
    let several = Mutex::new(BTreeSet::new());
    let several = || several.lock().unwrap_or_else(PoisonError::into_inner);
    let questions = (0u64..).zip(lines).map(|(number, line)| {
        let line = line?;
        if line.continuations.is_some() {
            several().insert(number);
        }
        Ok(question(line))
    });
    let totals = generator.logprob(
        questions,
        |number, outcome| {
            let list = several().remove(&number);
            session.put(number, outcome.is_err(), |id| Answer::new(id, list, outcome))
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
