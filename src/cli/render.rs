//! `karat render`: exactly what a model would see.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::chat_args::{ChatArgs, warn};
use super::engine_args::LineArgs;
use super::generate::{DEFAULT_NOW, Line};
use super::lines::{Lines, Output};
use super::session::finish;
use super::signals::{Signals, WallArgs};
use super::suite_args::OverrideArgs;
use super::{Exit, model, render_suite};
use crate::engine::chat::Clock;
use crate::engine::models::kind::Role;
use crate::engine::options::BackendChoice;
use crate::engine::render::Renderer;
use crate::error::{Error, Result};
use crate::suite::Overrides;

/// Arguments of `karat render`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat render ./my-model --in prompts.jsonl                   # what the model would see\n  \
                  karat render --suite my-suite --case capitals/7              # what a case of a suite asks, and how"
)]
pub struct Args {
    /// A model folder (tokenizer and chat template suffice), name@version of the registry, or org/name[@revision] on the hub;
    /// with --suite, in place of the suite's generator.
    #[arg(required_unless_present = "suite")]
    model: Option<String>,
    /// What the cases of this suite ask: prompt, token ids, choices, stop strings, options. Nothing is computed.
    #[arg(long, value_name = "SUITE", conflicts_with_all = ["input", "allow_unknown_keys", "now"])]
    suite: Option<PathBuf>,
    /// One case alone: its id, or DATASET/ID where several datasets have it.
    #[arg(long, value_name = "ID", requires = "suite")]
    case: Option<String>,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    lines: LineArgs,
    /// What `strftime_now` shows to a chat template.
    #[arg(long, default_value = DEFAULT_NOW, value_name = "RFC3339")]
    now: String,
    #[command(flatten)]
    chat: ChatArgs,
}

#[derive(Serialize)]
struct Shown {
    id: Value,
    text: String,
    ids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    if let Some(suite) = &args.suite {
        let overrides = Overrides { generator: args.model.clone(), ..args.overrides.overrides()? };
        return render_suite::run(suite, &overrides, args.case.as_deref(), &args.lines.output);
    }
    let Some(model) = &args.model else { return Err(Error::input("no model is named")) };
    let clock = Clock::parse(&args.now)?;
    let chat = args.chat.options()?;
    let signals = Signals::listen(&WallArgs::default())?;
    let input: Lines<Line> = Lines::open(&args.lines, &signals)?;
    let mut output = Output::open(&args.lines.output)?;
    let renderer = Renderer::open(&model::named(model, Role::Renderer, BackendChoice::Fast)?, clock)?;
    let (mut answered, mut failed) = (0, 0);
    for line in input {
        signals.check()?;
        let (id, prompt) = line?.into_prompt(&chat);
        answered += 1;
        let shown = match renderer.render(&prompt) {
            Ok(rendered) => Shown { id, text: rendered.text, ids: rendered.ids, error: None },
            Err(error) => {
                failed += 1;
                Shown { id, text: String::new(), ids: Vec::new(), error: Some(error.chain()) }
            }
        };
        output.line(&shown)?;
    }
    output.close()?;
    warn(&renderer);
    finish(answered, failed)
}
