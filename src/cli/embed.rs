//! `karat embed`: one vector per text.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
use crate::engine::{Embedder, Pooling, PromptChoice, TextInput};
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
    let long = args.long.long();
    let options = json!({
        "pooling": args.pooling.pooling(),
        "normalize": args.normalize,
        "prompt_name": args.prompt_name,
        "prompt": args.prompt,
        "long": long,
    });
    let Args { lines, answers, wall, engine, .. } = &args;
    let ready = match session::open::<Line>("embed", Flags { lines, answers, wall, engine, form }, options)? {
        Start::Ready(ready) => ready,
        Start::Not(exit) => return Ok(exit),
    };
    let model = model::named(&args.model, Role::Embedder, ready.engine.backend)?;
    let prompt = match (args.prompt_name, args.prompt) {
        (Some(name), _) => PromptChoice::Named(name),
        (None, Some(text)) => PromptChoice::Text(text),
        (None, None) => PromptChoice::Default,
    };
    let mut embedder = Embedder::prompted(&model, args.pooling.pooling(), args.normalize, &ready.engine, &prompt)?;
    ready.settle(&model, embedder.fingerprint())?;
    let (lines, session) = ready.begin();
    let totals = embedder.embed(
        lines.map(|line| Ok(TextInput { text: line?.text, text_pair: None, long })),
        |number, outcome| {
            session.put(number, outcome.is_err(), |id| {
                let said = Said::of(outcome.map(|reading| reading.map(|embedding| Vector { embedding })));
                Answer {
                    id,
                    embedding: said.whole.map(|made| made.embedding),
                    windows: said.windows,
                    truncated_tokens: said.truncated_tokens,
                    error: said.error,
                }
            })
        },
        |totals| session.step(done(totals)),
    );
    let (totals, ended) = session.close(totals, done)?;
    tell("embedded", &totals, &ended, form);
    ended.exit()
}
