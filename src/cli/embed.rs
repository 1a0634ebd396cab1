//! `karat embed`: one vector per text.

use std::time::Instant;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::{AnswerArgs, Answers, Asking, Opened};
use super::engine_args::{EngineArgs, LineArgs};
use super::generate::finish;
use super::lines::{Identified, Lines};
use super::long_args::{self, LongArgs, Said, WindowLine};
use super::progress::{self, Done, Progress, Tally};
use super::progress_args::ProgressArgs;
use super::signals::{Signals, WallArgs};
use super::{Exit, line_keys, model};
use crate::dataset::Keys;
use crate::engine::models::kind::Role;
use crate::engine::{Embedder, EncodeTotals, Pooling, PromptChoice, TextInput};
use crate::error::Result;

/// Arguments of `karat embed`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat embed ./minilm --in texts.jsonl --out vectors.jsonl")]
pub struct Args {
    /// A model folder, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    /// How token vectors become one; auto is what the model folder says.
    #[arg(long, value_enum, default_value_t = PoolingChoice::Auto)]
    pooling: PoolingChoice,
    /// Vectors of length one, also where the model folder does not say so.
    #[arg(long)]
    normalize: bool,
    /// Put the model's prompt of this name before every text; otherwise its default prompt, if it has one.
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    prompt_name: Option<String>,
    /// Put this before every text; an empty text turns the model's default prompt off.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    #[command(flatten)]
    long: LongArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum PoolingChoice {
    Auto,
    Mean,
    Cls,
    Last,
    Max,
    MeanSqrtLen,
    WeightedMean,
}

impl PoolingChoice {
    fn pooling(self) -> Option<Pooling> {
        match self {
            Self::Auto => None,
            Self::Mean => Some(Pooling::Mean),
            Self::Cls => Some(Pooling::Cls),
            Self::Last => Some(Pooling::Last),
            Self::Max => Some(Pooling::Max),
            Self::MeanSqrtLen => Some(Pooling::MeanSqrtLen),
            Self::WeightedMean => Some(Pooling::WeightedMean),
        }
    }
}

#[derive(Deserialize)]
pub struct Line {
    #[serde(default)]
    id: Value,
    text: String,
}

impl Identified for Line {
    const KEYS: &'static Keys = &line_keys::EMBED;

    fn id(&self) -> &Value {
        &self.id
    }
}

/// What the model made of a text or a window.
#[derive(Serialize)]
struct Vector {
    embedding: Vec<f32>,
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    embedding: Option<Vec<f32>>,
    /// Only of a text that was read in windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<WindowLine<Vector>>>,
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
    let options = json!({
        "pooling": args.pooling.pooling(),
        "normalize": args.normalize,
        "prompt_name": args.prompt_name,
        "prompt": args.prompt,
        "long": args.long.long(),
    });
    let asking = Asking { args: &args.answers, quiet: form.is_quiet(), signals: &signals };
    let answers = match Answers::open::<Line>("embed", &args.lines, asking, options)? {
        Opened::Ready(answers) => answers,
        Opened::Not(exit) => return Ok(exit),
    };
    let loading = Instant::now();
    let model = model::named(&args.model, Role::Embedder, engine.backend)?;
    let prompt = match (args.prompt_name, args.prompt) {
        (Some(name), _) => PromptChoice::Named(name),
        (None, Some(text)) => PromptChoice::Text(text),
        (None, None) => PromptChoice::Default,
    };
    let mut embedder = Embedder::prompted(&model, args.pooling.pooling(), args.normalize, &engine, &prompt)?;
    answers.settle(&model, embedder.fingerprint())?;
    let loaded = loading.elapsed();
    let tally = Tally::default();
    let done = |totals: &EncodeTotals| Done {
        lines: totals.texts,
        failed: tally.failed(),
        prompt_tokens: totals.tokens,
        ..Done::default()
    };
    let mut bar = Progress::start("embed", form);
    let long = args.long.long();
    let texts = answers.unanswered(input).map(|line| Ok(TextInput { text: line?.text, text_pair: None, long }));
    let totals = embedder.embed(
        texts,
        |number, outcome| {
            let failed = outcome.is_err();
            tally.count(failed);
            let line = |id| match outcome {
                Ok(reading) => {
                    let said = Said::of(reading.map(|embedding| Vector { embedding }));
                    let embedding = said.whole.map(|made| made.embedding);
                    Answer {
                        id,
                        embedding,
                        windows: said.windows,
                        truncated_tokens: said.truncated_tokens,
                        error: None,
                    }
                }
                Err(unread) => {
                    let error = Some(unread.to_string());
                    Answer { id, embedding: None, windows: None, truncated_tokens: None, error }
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
        summary("embedded", &totals, bar.elapsed().as_secs_f64(), loaded.as_secs_f64());
    }
    long_args::warn(&totals);
    finish(resumed + tally.answered(), tally.failed())
}

/// The closing line of an encoder command.
pub fn summary(verb: &str, totals: &EncodeTotals, seconds: f64, loaded: f64) {
    say!(
        "{verb} {} texts of {} tokens in {seconds:.2} s ({:.0} tokens/s), loaded in {loaded:.2} s{}",
        totals.texts,
        totals.tokens,
        totals.tokens as f64 / seconds.max(1e-9),
        progress::peak_note()
    );
    if totals.long > 0 {
        say!("{} of them are longer than the model reads and were read in {} windows", totals.long, totals.windows);
    }
}
