//! What is checked before a model loads: one way for `run` and `score`, their `--dry-run`, and `lint`.
//!
//! [`ready`] is what a run does first, and what it refuses there. [`findings`] are what it refuses and what else is wrong or looks
//! wrong, all of it at once: what `lint` shows, and `--dry-run` before it shows the plan.

use std::path::Path;

use super::model;
use crate::engine::ModelRef;
use crate::engine::chat::Clock;
use crate::engine::models::kind::{Role, check_reference};
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::render::Renderer;
use crate::error::Result;
use crate::prompt::{Finding, Question};
use crate::run::{Answers, Checked, ModelFolders, Watch, check};
use crate::suite::{Linted, Overrides, Purpose, Suite, has_errors, lint};

/// A suite whose data and models are there.
pub struct Ready {
    /// The suite, its data read once.
    pub checked: Checked,
    /// The models that it needs.
    pub models: ModelFolders,
    /// Models that were not looked at, because the call only looks and they are not pulled yet.
    pub unpulled: Vec<String>,
}

/// How a suite is made ready.
#[derive(Clone, Copy)]
pub struct Readying<'a> {
    /// Whether models are pulled where they are not there.
    pub pulls: bool,
    /// Who watches.
    pub watch: Watch<'a>,
}

/// Reads the data of a suite and finds its models: everything that a run checks before it loads them. Recorded answers stand in
/// for the generator.
///
/// # Errors
/// The first thing that is wrong.
pub fn ready(suite: Suite, answers: Option<Answers>, how: Readying<'_>) -> Result<Ready> {
    let asks = answers.is_none();
    let checked = check(suite, answers, how.watch)?;
    let (suite, memo, mut unpulled) = (&checked.suite, model::memo(), Vec::new());
    let mut found = |model: ModelRef, role: Role| -> Result<Option<ModelFolder>> {
        if !how.pulls && !model::is_here(&model) {
            // What is there of it may be broken already.
            check_reference(&model, role, suite.backend())?;
            unpulled.push(model.to_string());
            return Ok(None);
        }
        model::folder(&model, role, suite.backend(), memo.as_ref()).map(Some)
    };
    let mut models = ModelFolders::default();
    // A suite for recorded answers alone names none; one that is run was asked for it when it was loaded.
    if asks && suite.plan.models.generator.is_some() {
        models.generator = found(suite.generator()?, Role::Generator)?;
    }
    if let Some(embedder) = suite.embedder()?.filter(|_| checked.needs_embedder) {
        models.embedder = found(embedder, Role::Embedder)?;
    }
    if let Some(toxicity) = suite.toxicity()?.filter(|_| checked.needs_toxicity) {
        models.toxicity = found(toxicity, Role::Classifier)?;
    }
    Ok(Ready { checked, models, unpulled })
}

/// A suite as a call names it.
pub struct Named<'a> {
    /// Its file.
    pub path: &'a Path,
    /// What the call says in its place.
    pub overrides: &'a Overrides,
    /// What it is for: [`Purpose::Run`] and [`Purpose::Score`] as these commands, [`Purpose::Lint`] for either.
    pub purpose: Purpose,
}

/// Everything that is wrong or looks wrong before a model loads, most of it at once. `made` is the suite made ready, where it
/// was already.
pub fn findings(named: &Named<'_>, made: Option<&Ready>) -> Vec<Finding> {
    let Named { path, overrides, purpose } = *named;
    let own = made.is_none().then(|| {
        let watch = Watch { event: &|_| (), stop: &|| Ok(()) };
        // The linter looks at the suite itself, and reads its tokenizers: once is enough.
        let purpose = if purpose == Purpose::Lint { Purpose::Score } else { purpose };
        ready(Suite::load(path, overrides, purpose)?, None, Readying { pulls: false, watch })
    });
    let (made, refused) = match &own {
        Some(Ok(own)) => (Some(own), None),
        Some(Err(error)) => (None, Some(error)),
        None => (made, None),
    };
    let renderer = made.map(renderer).transpose();
    let at_hand = renderer.as_ref().ok().and_then(|renderer| renderer.as_ref()?.as_ref());
    let mut findings = lint(&Linted { path, overrides, purpose, renderer: at_hand });
    // The linter has read the tokenizer, too.
    let told = |error: &Finding| findings.iter().any(|other| error.message.ends_with(&other.message));
    let broken: Option<Finding> = renderer.as_ref().err().map(Finding::from).filter(|error| !told(error));
    findings.extend(broken);
    findings.extend(made.into_iter().flat_map(|made| &made.unpulled).map(|name| unpulled(name)));
    // What the linter has not found itself.
    if !has_errors(&findings) {
        findings.extend(refused.map(Finding::from));
    }
    findings
}

/// That a model was not looked at.
fn unpulled(name: &str) -> Finding {
    let finding = Finding::warning(format!("the model `{name}` is not pulled yet: nothing of it was checked"));
    finding.with_hint("a run pulls it")
}

/// Tokenizer and chat template of the generator, where it is at hand.
fn renderer(made: &Ready) -> Result<Option<Renderer>> {
    let Some(generator) = &made.models.generator else { return Ok(None) };
    let open = || Renderer::open(generator, Clock::parse(&made.checked.suite.plan.clock)?);
    open().map(Some).map_err(|error| error.context("failed to load the generator"))
}

/// The prompt of the first case of every dataset, as the model would see it: what a reader of a plan looks at.
///
/// # Errors
/// A dataset that is not what it was.
pub fn first_prompts(made: &Ready) -> Result<Vec<Option<String>>> {
    let renderer = renderer(made)?;
    let has_chat = renderer.as_ref().is_none_or(Renderer::has_chat_template);
    let shown = |question: Question| match (&renderer, question.context()) {
        (Some(renderer), Some(prompt)) => renderer.text(prompt).ok(),
        _ => Some(question.transcript()),
    };
    let prompts = made.checked.first_prompts(has_chat)?;
    Ok(prompts.into_iter().map(|prompt| prompt.and_then(shown)).collect())
}
