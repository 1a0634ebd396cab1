//! `karat logprob`: log-probabilities of token ids, or of continuations of contexts.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::{AnswerArgs, Answers, Asking, Opened};
use super::chat_args::warn;
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::{DEFAULT_NOW, finish};
use super::lines::{Identified, Lines};
use super::progress::{self, Done, Progress, Tally};
use super::progress_args::ProgressArgs;
use super::signals::{Signals, WallArgs};
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

fn question(line: Line) -> Scored {
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
    let form = args.progress.begin();
    let engine = args.engine.apply()?;
    let signals = Signals::listen(&args.wall)?;
    let input: Lines<Line> = Lines::open(&args.lines, &signals)?;
    let asking = Asking { args: &args.answers, quiet: form.is_quiet(), signals: &signals };
    let answers = match Answers::open::<Line>("logprob", &args.lines, asking, Value::Null)? {
        Opened::Ready(answers) => answers,
        Opened::Not(exit) => return Ok(exit),
    };
    let loading = Instant::now();
    let model = model::named(&args.model, Role::Generator, engine.backend)?;
    let renderer = Arc::new(Renderer::open(&model, Clock::parse(DEFAULT_NOW)?)?);
    let mut generator = Generator::open(&model, renderer, &engine)?;
    generator.notes().iter().for_each(|note| say!("warning: {note}"));
    answers.settle(&model, generator.fingerprint())?;
    let loaded = loading.elapsed();
    let tally = Tally::default();
    let done = |totals: &Totals| Done {
        lines: totals.finished,
        failed: tally.failed(),
        prompt_tokens: totals.prefill_tokens,
        ..Done::default()
    };
    let mut bar = Progress::start("logprob", form);
    let totals = generator.logprob(
        answers.unanswered(input).map(|line| Ok(question(line?))),
        |number, outcome| {
            let failed = outcome.is_err();
            tally.count(failed);
            let line = |id| match outcome {
                Ok(p) => Answer { id, logprob: Some(p.logprob), tokens: p.tokens, greedy: p.greedy, error: None },
                Err(error) => Answer { id, logprob: None, tokens: 0, greedy: false, error: Some(error) },
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
    warn(generator.renderer());
    if !form.is_quiet() {
        let seconds = bar.elapsed().as_secs_f64();
        say!(
            "scored {} tokens of {} texts in {seconds:.2} s ({:.0} tokens/s), loaded in {:.2} s{}",
            totals.prefill_tokens,
            tally.answered(),
            totals.prefill_tokens as f64 / seconds.max(1e-9),
            loaded.as_secs_f64(),
            progress::peak_note()
        );
    }
    finish(resumed + tally.answered(), tally.failed())
}
