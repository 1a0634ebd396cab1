//! What templates of a suite make of a row: choices, targets, an input.

use super::spec::{Choices, PromptSpec};
use super::template::Template;
use super::value_template::ValueTemplate;
use crate::dataset::{Field, Input, Sample, list, numbers, texts};
use crate::error::{Error, Result};
use serde_json::Value;

/// Compiled templates of what a row lacks.
#[derive(Debug, Default)]
pub(super) struct Made {
    choices: Vec<ValueTemplate>,
    /// Whether the one template of choices gives all of them.
    choices_are_list: bool,
    target: Option<ValueTemplate>,
    continuation: Option<Template>,
    render_input: bool,
    /// Whether the dataset asks for a choice, so that its targets are choices.
    chooses: bool,
    /// Whether a row need not have an input: the template of the question names other keys.
    makes_input: bool,
}

impl Made {
    /// Those of a `prompt:` section with this template of the question; `chooses` where the cases ask for a choice.
    ///
    /// # Errors
    /// A template that cannot be parsed.
    pub fn new(spec: &PromptSpec, template: &Template, chooses: bool) -> Result<Self> {
        let named = |what: &str, text: &str| {
            ValueTemplate::inline(text).map_err(|error| error.context(format!("failed to read `prompt.{what}`")))
        };
        let (choices, choices_are_list) = match &spec.choices {
            None => (Vec::new(), false),
            Some(Choices::Template(text)) => (vec![named("choices", text)?], true),
            Some(Choices::Fixed(texts)) => {
                (texts.iter().map(|text| named("choices", text)).collect::<Result<_>>()?, false)
            }
        };
        Ok(Self {
            choices,
            choices_are_list,
            target: spec.target.as_ref().map(|text| named("target", text)).transpose()?,
            continuation: spec.continuation.as_ref().map(|text| Template::inline(text)).transpose()?,
            render_input: spec.render_input,
            chooses,
            makes_input: spec.text.is_some() && !template.uses("input"),
        })
    }

    /// The fields that no key of the row stands for.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        if !self.choices.is_empty() {
            fields.push(Field::Choices);
        }
        if self.target.is_some() {
            fields.push(Field::Target);
        }
        if self.makes_input {
            fields.push(Field::Input);
        }
        fields
    }

    /// Whether the choices are contexts of one continuation.
    pub fn contexts(&self) -> bool {
        self.continuation.is_some()
    }

    /// What follows every choice, where choices are contexts.
    pub fn continuation(&self, sample: &Sample) -> Result<Option<String>> {
        self.continuation.as_ref().map(|template| template.render(sample)).transpose()
    }

    /// Whether there is anything to do for a case.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.target.is_none() && !self.render_input && !self.chooses && !self.makes_input
    }

    /// Fills in what the row does not have, and finds out which choices are right.
    ///
    /// # Errors
    /// A template that needs what the row lacks, choices that are none, a target that is none of them.
    pub fn complete(&self, sample: &mut Sample, template: &Template) -> Result<()> {
        if self.render_input {
            let Input::Text(text) = &sample.input else {
                return Err(Error::input("`render_input` is for texts; the input is a conversation"));
            };
            let text = Template::inline(text).and_then(|own| own.render(sample));
            let text = text.map_err(|error| error.context("failed to render the input"))?;
            // The template of the question may name it by the row's own key.
            if let Some(own) = sample.row.as_mut().and_then(|row| row.get_mut("input")) {
                *own = Value::String(text.clone());
            }
            sample.input = Input::Text(text);
        }
        if self.choices_are_list {
            let value = match self.choices[0].value(sample)? {
                Value::Object(named) => named.into_iter().map(|(_, choice)| choice).collect(),
                value => value,
            };
            sample.choices = list(value, "prompt.choices")
                .map_err(|error| error.with_hint("write one expression that is a list: \"{{ choices.text }}\""))?;
        } else if !self.choices.is_empty() {
            sample.choices = self.choices.iter().map(|one| one.text(sample)).collect::<Result<_>>()?;
        }
        let target = self.target.as_ref().map(|target| target.value(sample)).transpose()?;
        if self.chooses {
            sample.gold = self.gold(sample, target.as_ref())?;
            sample.target = sample.gold.iter().map(|at| sample.choices[*at].clone()).collect();
        } else if let Some(value) = target {
            sample.numeric_targets = numbers(&value);
            sample.target = texts(value, "prompt.target")?;
        }
        if self.makes_input {
            // A row that the template does not fit is an error of its case.
            sample.input = Input::Text(template.render(sample).unwrap_or_default());
        }
        Ok(())
    }

    /// Which choices are right.
    fn gold(&self, sample: &Sample, made: Option<&Value>) -> Result<Vec<usize>> {
        let choices = &sample.choices;
        match choices.len() {
            0 => {
                let error = Error::input("the case has no choices");
                return Err(error.with_hint("give it `choices`, or say under `prompt: {choices: …}` what they are"));
            }
            1 => return Err(Error::input("the case has one choice: there is nothing to choose")),
            _ => {}
        }
        if choices.iter().all(|choice| *choice == choices[0]) {
            return Err(Error::input("all choices of the case are equal: there is nothing to choose"));
        }
        if let Some(at) = choices.iter().position(String::is_empty) {
            return Err(Error::input(format!("choice {at} of the case is empty")));
        }
        let gold: Vec<usize> = match made {
            Some(Value::Array(items)) => items.iter().map(|item| by_template(item, choices)).collect::<Result<_>>()?,
            Some(value) => vec![by_template(value, choices)?],
            None => {
                let numeric = |at: usize| sample.numeric_targets.contains(&at);
                let targets = sample.target.iter().enumerate();
                targets.map(|(at, text)| by_row(text, numeric(at), choices)).collect::<Result<_>>()?
            }
        };
        if gold.is_empty() {
            return Err(Error::input("the case has no target: which choice is right is not known"));
        }
        Ok(gold)
    }
}

/// A choice that a template names: an index, or its text.
fn by_template(value: &Value, choices: &[String]) -> Result<usize> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return indexed(&text, choices);
    }
    choices.iter().position(|choice| *choice == text).ok_or_else(|| outside(&text, choices))
}

/// A choice that a row names: its text, or its index as a number.
fn by_row(text: &str, is_number: bool, choices: &[String]) -> Result<usize> {
    let by_text = choices.iter().position(|choice| choice == text);
    if !is_number {
        return by_text.ok_or_else(|| outside(text, choices));
    }
    match (by_text, indexed(text, choices)) {
        (Some(one), Ok(other)) if one != other => {
            let error = Error::input(format!("the target {text} is the index of one choice and the text of another"));
            Err(error.with_hint("write the text of the choice in quotes, or `prompt: {target: …}` for the index"))
        }
        (Some(at), _) | (None, Ok(at)) => Ok(at),
        (None, Err(error)) => Err(error),
    }
}

fn indexed(text: &str, choices: &[String]) -> Result<usize> {
    text.parse().ok().filter(|at| *at < choices.len()).ok_or_else(|| outside(text, choices))
}

fn outside(text: &str, choices: &[String]) -> Error {
    let shown: String = text.chars().take(60).collect();
    let error = Error::input(format!("the target `{shown}` is none of the {} choices", choices.len()));
    error.with_hint("a target is the text of a choice, or its index from 0 as a number")
}
