//! The linter's look at prompts: whether they can be built, and what tells one case's from another's.

use super::load::Suite;
use crate::dataset::Sample;
use crate::engine::Prompt;
use crate::engine::render::Renderer;
use crate::error::Result;
use crate::prompt::{Builder, Finding, Question};

/// What to do about carriage returns.
pub(super) const RETURNS: &str =
    "cells and texts are taken as they are; end lines with line feeds, unless the \\r are meant";

/// What makes a case what the model sees.
#[derive(Clone, Copy)]
pub(super) struct Prompts<'a> {
    pub builder: &'a Builder,
    pub renderer: Option<&'a Renderer>,
}

impl Prompts<'_> {
    /// The prompt of a case, rendered once, so that the renderer counts it once. Without a renderer it is built as for a model with
    /// a chat template, where every case must have one.
    pub fn build(&self, sample: &Sample, tokenized: bool) -> Result<Question> {
        let Some(renderer) = self.renderer else { return self.builder.question(sample, true) };
        let question = self.builder.question(sample, renderer.has_chat_template())?;
        // What is odd about its tokens is among the renderer's warnings.
        match question.context() {
            Some(prompt) if tokenized && matches!(question, Question::Answer(_)) => drop(renderer.render(prompt)?),
            Some(prompt) => drop(renderer.text(prompt)?),
            None => {}
        }
        Ok(question)
    }
}

/// Whether the prompts of cases can be built at all; what is odd about them as a whole.
pub(super) fn usable(
    suite: &Suite,
    prompt: &Builder,
    place: &str,
    renderer: Option<&Renderer>,
    findings: &mut Vec<Finding>,
) -> bool {
    if prompt.shows_carriage_returns() {
        let finding = Finding::warning("examples of the prompt hold carriage returns, which the model would see");
        findings.push(suite.placed(&format!("{place}.few_shot.file"), finding.with_hint(RETURNS)));
    }
    match renderer.map(|renderer| prompt.check_model(renderer.has_chat_template())) {
        Some(Err(error)) => {
            findings.push(Finding::from(&suite.problem(&format!("{place}.chat"), error)));
            false
        }
        Some(Ok(())) | None => true,
    }
}

/// Of all that a case asks.
pub(super) fn question_hash(question: &Question) -> [u8; 16] {
    match question {
        Question::Answer(prompt) => prompt_hash(prompt),
        Question::Choices { context, continuations } => {
            short_hash(&[&prompt_hash(context)[..], continuations.join("\u{1f}").as_bytes()].concat())
        }
        Question::Contexts(pairs) => {
            let parts = pairs.iter().flat_map(|(prompt, text)| [&prompt_hash(prompt)[..], text.as_bytes()].concat());
            short_hash(&parts.collect::<Vec<u8>>())
        }
        Question::Document(text) => short_hash(text.as_bytes()),
    }
}

fn prompt_hash(prompt: &Prompt) -> [u8; 16] {
    match prompt {
        Prompt::Text(text) => short_hash(text.as_bytes()),
        Prompt::Ids(ids) => short_hash(&ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()),
        Prompt::Messages { messages, .. } => {
            let list = messages.iter().cloned().map(serde_json::Value::Object).collect();
            short_hash(serde_json::Value::Array(list).to_string().as_bytes())
        }
    }
}

pub(super) fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}
