//! What can be checked of prompts, datasets and generation before a dataset is read.

use std::collections::HashSet;
use std::path::Path;

use super::plan::{DatasetPlan, Generation};
use super::validate::Problems;
use crate::dataset::{Cells, FieldMap, Format, Kind};
use crate::engine::tokenizer::check_stops;
use crate::error::{Error, nearest};
use crate::prompt::{Builder, Draw, PromptSpec, RequestKind};

/// Answers to a case; more are a slip of the keyboard.
const MOST_REPEATS: u32 = 10_000;

impl Problems<'_> {
    /// The suite's own prompt, and those of datasets. A prompt file that is missing is shown where the suite names it, anything
    /// else in the prompt file itself.
    pub(super) fn prompt(&mut self) {
        let before = self.list.len();
        self.prompt_files("prompt", &self.suite.plan.prompt);
        let mut usual = false;
        for (index, dataset) in self.suite.plan.datasets.iter().enumerate() {
            let place = format!("datasets.{index}.prompt");
            if let Some(spec) = &dataset.prompt {
                self.prompt_files(&place, spec);
            }
            if self.list.len() > before || (self.suite.is_usual(dataset) && usual) {
                continue;
            }
            usual |= self.suite.is_usual(dataset);
            if let Err(error) = self.suite.prompt(dataset) {
                match error.location() {
                    Some(_) => self.list.push(error),
                    None if dataset.prompt.is_some() => self.add(&place, error),
                    None => self.add("prompt", error),
                }
            }
        }
        // Of a suite without datasets, too.
        if self.suite.plan.datasets.is_empty()
            && self.list.len() == before
            && let Err(error) = Builder::load(
                &self.suite.plan.prompt,
                self.suite.path().parent().unwrap_or(Path::new("")),
                Default::default(),
            )
        {
            if error.location().is_some() { self.list.push(error) } else { self.add("prompt", error) }
        }
    }

    fn prompt_files(&mut self, place: &str, spec: &PromptSpec) {
        let files = [
            ("file", spec.file.as_deref()),
            ("system", spec.system.as_deref()),
            ("few_shot.file", spec.few_shot.as_ref().map(|shots| shots.file.as_path())),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                self.file(&format!("{place}.{key}"), file);
            }
        }
        let Some(shots) = &spec.few_shot else { return };
        if shots.count == Some(0) {
            self.say(&format!("{place}.few_shot.count"), "the count of few-shot examples is 0");
        }
        if shots.draw != Draw::First && shots.count.is_none() {
            let error = Error::input("drawn few-shot examples need a count");
            self.add(&format!("{place}.few_shot.draw"), error.with_hint("add `count: 5`"));
        }
        if shots.seed.is_some() && shots.draw == Draw::First {
            self.say(&format!("{place}.few_shot.seed"), "the first few-shot examples are not drawn, and need no seed");
        }
    }

    pub(super) fn datasets(&mut self) {
        let datasets = &self.suite.plan.datasets;
        if datasets.is_empty() {
            self.say("datasets", "the suite has no datasets");
        }
        let mut names = HashSet::new();
        for (index, dataset) in datasets.iter().enumerate() {
            let place = format!("datasets.{index}");
            self.name(&format!("{place}.name"), &dataset.name, false);
            if !names.insert(&dataset.name) {
                self.say(&format!("{place}.name"), format!("the dataset `{}` is given twice", dataset.name));
            }
            let other_kind = match dataset.kind {
                Kind::Golden => "danger",
                Kind::Danger => "golden",
            };
            if dataset.name == other_kind {
                let error = Error::input(format!(
                    "a dataset cannot be called `{other_kind}`: it is the name of the other kind"
                ));
                self.add(&format!("{place}.name"), error);
            }
            self.file(&format!("{place}.file"), &dataset.file);
            match Format::of(&dataset.file) {
                Err(error) => self.add(&format!("{place}.file"), error),
                Ok(format) => {
                    if let Err(error) = format.separator(dataset.separator) {
                        self.add(&format!("{place}.separator"), error);
                    }
                }
            }
            if let Err(error) = FieldMap::new(&dataset.fields) {
                self.add(&format!("{place}.fields"), error);
            }
            if let Err(error) = Cells::new(&dataset.cells) {
                self.add(&format!("{place}.cells"), error);
            }
            if dataset.limit == Some(0) {
                self.say(&format!("{place}.limit"), "a limit of 0 selects nothing");
            }
            self.scorers_of(dataset, &place);
            self.request(dataset, &place);
        }
    }

    fn scorers_of(&mut self, dataset: &DatasetPlan, place: &str) {
        let plan = &self.suite.plan;
        for (number, name) in dataset.scorers.iter().enumerate() {
            let place = format!("{place}.scorers.{number}");
            if !plan.scorers.iter().any(|scorer| scorer.name() == name) {
                let error = Error::input(format!("the scorer `{name}` is not among the suite's scorers"));
                let known: Vec<&str> = plan.scorers.iter().map(|scorer| scorer.name()).collect();
                let none = "define it under `scorers:`".to_owned();
                let hint = if known.is_empty() { none } else { nearest(name, known) };
                self.add(&place, error.with_hint(hint));
            }
            if dataset.scorers[..number].contains(name) {
                self.say(&place, format!("the scorer `{name}` is named twice"));
            }
        }
    }

    /// What is asked of the model and what looks at it belong together.
    fn request(&mut self, dataset: &DatasetPlan, place: &str) {
        let (plan, request) = (&self.suite.plan, dataset.request);
        for (number, spec) in self.suite.scorers(dataset).iter().enumerate() {
            let of_answers = request.is_generate() || request == RequestKind::Choice;
            let fits = match spec.request() {
                Some(asked) => asked == request.name(),
                None => of_answers,
            };
            if !fits {
                let message =
                    format!("the scorer `{}` cannot look at a dataset with `request: {}`", spec.name(), request.name());
                let hint = match spec.request() {
                    Some(asked) => format!("say `request: {asked}`, or name another scorer"),
                    None => format!("scorers of such a dataset are of the kind `{}`", request.name()),
                };
                self.add(&format!("{place}.scorers.{number}"), Error::input(message).with_hint(hint));
            }
        }
        if request.is_generate() {
            return;
        }
        let at = format!("{place}.request");
        if plan.generation.repeat > 1 {
            let error = Error::input("`repeat` asks again what log-likelihoods always answer alike");
            self.add(&at, error.with_hint("put datasets that are scored into a suite of their own"));
        }
        let spec = plan.prompt_of(dataset);
        if spec.continuation.is_some() && request != RequestKind::Choice {
            self.say(&at, "`prompt.continuation` is for `request: choice`");
        }
        let mutual = self.suite.scorers(dataset).iter().any(|spec| spec.needs_unconditional());
        if spec.continuation.is_some() && mutual {
            let error = Error::input("`acc_mutual_info` cannot be had where the choices are contexts");
            self.add(&at, error.with_hint("what follows them is the same for all"));
        }
        if request == RequestKind::Perplexity && spec.few_shot.is_some() {
            self.say(&at, "few-shot examples have no place before a document whose perplexity is asked");
        }
    }

    pub(super) fn generation(&mut self) {
        let plan = &self.suite.plan;
        self.generation_at("generation", &plan.generation);
        for (index, dataset) in plan.datasets.iter().enumerate() {
            let Some(generation) = &dataset.generation else { continue };
            let place = format!("datasets.{index}.generation");
            self.generation_at(&place, generation);
            if generation.repeat != plan.generation.repeat {
                let error = Error::input("`repeat` is of the whole suite");
                self.add(&format!("{place}.repeat"), error.with_hint("say it under the suite's own `generation`"));
            }
        }
    }

    fn generation_at(&mut self, place: &str, generation: &Generation) {
        if generation.max_new_tokens == 0 {
            self.say(&format!("{place}.max_new_tokens"), "`max_new_tokens` is 0: it must be at least 1");
        }
        if !(0.0..=100.0).contains(&generation.temperature) {
            let message = format!("`temperature` is {}: it must be between 0 and 100", generation.temperature);
            self.say(&format!("{place}.temperature"), message);
        }
        if let Err(error) = generation.processors().check() {
            self.add(&format!("{place}.repetition_penalty"), error);
        }
        if generation.repeat > MOST_REPEATS {
            let message = format!("`repeat` is {}: at most {MOST_REPEATS}", generation.repeat);
            self.say(&format!("{place}.repeat"), message);
        }
        if !(generation.top_p > 0.0 && generation.top_p <= 1.0) {
            let message = format!("`top_p` is {}: it must be above 0 and at most 1", generation.top_p);
            self.say(&format!("{place}.top_p"), message);
        }
        if generation.repeat == 0 {
            self.say(&format!("{place}.repeat"), "`repeat` is 0, which answers nothing");
        }
        if let Some(index) = generation.stop.iter().position(String::is_empty) {
            self.say(&format!("{place}.stop.{index}"), "a stop string is empty");
        }
        if let Err(error) = check_stops(&generation.stop) {
            self.add(&format!("{place}.stop"), error);
        }
    }
}
