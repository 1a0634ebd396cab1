//! `karat render --suite`: what the cases of a suite ask, as the model would see it, before anything runs.

use std::path::Path;

use serde::Serialize;

use super::chat_args::warn;
use super::lines::Output;
use super::session::finish;
use super::signals::{Signals, WallArgs};
use super::suite_args::suite_path;
use super::{Exit, model};
use crate::dataset::Sample;
use crate::engine::chat::Clock;
use crate::engine::models::kind::Role;
use crate::engine::render::Renderer;
use crate::engine::{GenerateOptions, Prompt};
use crate::error::{Error, Result};
use crate::prompt::{Builder, Question};
use crate::suite::{Overrides, Purpose, Suite};

/// A case as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    dataset: &'a str,
    id: &'a str,
    request: &'static str,
    #[serde(flatten)]
    asked: Asked,
    /// Which examples of the few-shot file, where they are drawn.
    #[serde(skip_serializing_if = "<[usize]>::is_empty")]
    shots: &'a [usize],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    target: &'a [String],
    /// Which choices are right.
    #[serde(skip_serializing_if = "<[usize]>::is_empty")]
    gold: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a GenerateOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the model sees.
#[derive(Default, Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<u32>>,
    /// What is scored, each behind the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    continuations: Vec<Continuation>,
    /// Windows of a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Window>,
}

#[derive(Serialize)]
struct Continuation {
    /// What stands before it, where that is another text for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    text: String,
    /// All tokens, the context's among them.
    ids: Vec<u32>,
    /// The first scored token.
    from: usize,
}

#[derive(Serialize)]
struct Window {
    ids: Vec<u32>,
    from: usize,
}

/// Runs the command.
pub fn run(suite: &Path, overrides: &Overrides, case: Option<&str>, output: &Path) -> Result<Exit> {
    let signals = Signals::listen(&WallArgs::default())?;
    let path = suite_path(Some(suite), "render")?;
    let suite = Suite::load(&path, overrides, Purpose::Look)?;
    let reference = suite.generator()?;
    let folder = model::folder(&reference, Role::Renderer, suite.backend(), model::memo().as_ref())?;
    let renderer = Renderer::open(&folder, Clock::parse(&suite.plan.clock)?)?;
    let prompts = suite.prompts()?;
    prompts.iter().try_for_each(|prompt| prompt.check_model(renderer.has_chat_template()))?;
    let mut output = Output::open(output)?;
    let (mut shown, mut failed) = (0u64, 0u64);
    for (dataset, prompt) in suite.plan.datasets.iter().zip(&prompts) {
        let Some(wanted) = Wanted::of(case, &dataset.name) else { continue };
        let options = suite.plan.generation_of(dataset).options();
        for sample in suite.source(dataset, prompt)?.open()? {
            signals.check()?;
            let sample = sample?;
            if !wanted.takes(&sample.id) {
                continue;
            }
            let (asked, error) = match asked(prompt, &sample, &renderer) {
                Ok(asked) => (asked, None),
                Err(error) => (Asked::default(), Some(error.chain())),
            };
            shown += 1;
            failed += u64::from(error.is_some());
            output.line(&Shown {
                dataset: &dataset.name,
                id: &sample.id,
                request: dataset.request.name(),
                asked,
                shots: &sample.shots,
                target: &sample.target,
                gold: &sample.gold,
                options: dataset.request.is_generate().then_some(&options),
                error,
            })?;
        }
    }
    output.close()?;
    if let (Some(case), 0) = (case, shown) {
        let names: Vec<&str> = suite.plan.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        let error = Error::input(format!("there is no case `{case}`")).at(&path);
        return Err(error.with_hint(format!("write ID or DATASET/ID; the datasets are {}", names.join(", "))));
    }
    warn(&renderer);
    finish(shown, failed)
}

/// Which cases of a dataset are shown.
enum Wanted<'a> {
    All,
    /// By the whole name, or by what stands behind the dataset's.
    Case(&'a str, Option<&'a str>),
}

impl<'a> Wanted<'a> {
    /// Of a dataset; none where none of it can be meant.
    fn of(case: Option<&'a str>, dataset: &str) -> Option<Self> {
        let Some(case) = case else { return Some(Self::All) };
        let own = case.strip_prefix(dataset).and_then(|rest| rest.strip_prefix('/'));
        Some(Self::Case(case, own))
    }

    fn takes(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Case(whole, own) => id == *whole || Some(id) == *own,
        }
    }
}

fn asked(prompt: &Builder, sample: &Sample, renderer: &Renderer) -> Result<Asked> {
    Ok(match prompt.question(sample, renderer.has_chat_template())? {
        Question::Answer(prompt) => {
            let rendered = renderer.render(&prompt)?;
            Asked { text: Some(rendered.text), ids: Some(rendered.ids), ..Asked::default() }
        }
        Question::Choices { context, continuations } => {
            let text = renderer.text(&context)?;
            let splits = renderer.split(&text, &continuations)?;
            let scored = continuations.into_iter().zip(splits);
            let scored =
                scored.map(|(text, split)| Continuation { context: None, text, ids: split.ids, from: split.from });
            Asked { continuations: scored.collect(), text: Some(text), ..Asked::default() }
        }
        Question::Contexts(pairs) => {
            let one = |(prompt, text): (Prompt, String)| {
                let context = renderer.text(&prompt)?;
                let split = renderer.split(&context, std::slice::from_ref(&text))?.pop();
                let split = split.ok_or_else(|| Error::internal("failed to split a text"))?;
                Ok(Continuation { context: Some(context), text, ids: split.ids, from: split.from })
            };
            Asked { continuations: pairs.into_iter().map(one).collect::<Result<_>>()?, ..Asked::default() }
        }
        Question::Document(text) => {
            let windows = renderer.windows(&text)?.into_iter();
            let windows = windows.map(|split| Window { ids: split.ids, from: split.from }).collect();
            Asked { text: Some(text), windows, ..Asked::default() }
        }
    })
}
