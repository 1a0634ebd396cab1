//! Everything that can be checked before a dataset is read or a model loads, as a list of what is wrong.

use std::collections::HashSet;
use std::path::Path;

use super::load::{Purpose, Suite};
use crate::dataset::Kind;
use crate::engine::ModelRef;
use crate::engine::chat::ChatTemplate;
use crate::engine::models::kind;
use crate::engine::models::kind::Role;
use crate::engine::tokenizer::Tokenizer;
use crate::error::{Error, Result, nearest};
use crate::rule::{Expression, Figure, Gate, Metric, OUTCOME_RATES, Operational, Statistic};
use crate::score::Lacking;
use crate::stand_in::no_file;

/// What is wrong with a suite, each with its place, in the order of the plan.
pub(super) fn problems(suite: &Suite, purpose: Purpose) -> Vec<Error> {
    let mut found = Problems { suite, purpose, list: Vec::new() };
    found.head();
    found.models();
    found.prompt();
    found.scorers();
    found.datasets();
    found.generation();
    found.gates();
    found.list
}

pub(super) struct Problems<'a> {
    pub suite: &'a Suite,
    purpose: Purpose,
    pub list: Vec<Error>,
}

impl Problems<'_> {
    pub(super) fn add(&mut self, place: &str, error: Error) {
        self.list.push(self.suite.problem(place, error));
    }

    pub(super) fn say(&mut self, place: &str, message: impl Into<String>) {
        self.add(place, Error::input(message));
    }

    fn head(&mut self) {
        let plan = &self.suite.plan;
        if plan.version != 1 {
            self.say("version", format!("version {} of the suite is not known, only 1", plan.version));
        }
        self.name("name", &plan.name, true);
        for name in plan.baseline.all() {
            self.name("baseline", name, true);
        }
        if let Err(error) = plan.clock.parse::<jiff::Timestamp>() {
            let error = Error::input(format!("`{}` is not a time", plan.clock)).caused_by(error);
            self.add("clock", error.with_hint("write it like 2026-01-01T00:00:00Z"));
        }
        if plan.danger.allow_new_failures != 0 {
            let error = Error::input("`danger` allows no new failures: the policy cannot be loosened");
            self.add("danger.allow_new_failures", error.with_hint("write 0 or leave the section out"));
        }
        if let Err(error) = plan.reasoning.check() {
            self.add("reasoning", error);
        }
    }

    /// Names become folders and parts of dotted metrics.
    pub(super) fn name(&mut self, place: &str, name: &str, dots: bool) {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-') || (dots && c == '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
            let also = if dots { ", dots" } else { "" };
            let error = Error::input(format!("the name `{name}` is not valid"));
            self.add(place, error.with_hint(format!("names have letters, digits{also}, `_` and `-`")));
        }
    }

    fn models(&mut self) {
        let (suite, purpose, models) = (self.suite, self.purpose, &self.suite.plan.models);
        let looked_at = purpose != Purpose::Look;
        match (&models.generator, purpose) {
            (Some(_), _) => {
                let role = (looked_at && purpose != Purpose::Score).then_some(Role::Generator);
                self.model("models.generator.model", suite.generator().map(Some), role);
            }
            (None, Purpose::Run) => {
                if let Err(error) = suite.generator() {
                    self.add("models", error);
                }
            }
            (None, Purpose::Score | Purpose::Lint | Purpose::Look) => {}
        }
        let role = |role| looked_at.then_some(role);
        self.model("models.embedder.model", suite.embedder(), role(Role::Embedder));
        self.model("models.toxicity.model", suite.toxicity(), role(Role::Classifier));
        let labels = models.toxicity.as_ref().and_then(|toxicity| toxicity.labels.as_deref());
        if labels.is_some_and(<[String]>::is_empty) {
            self.say("models.toxicity.labels", "the list of toxic labels is empty");
        }
    }

    /// A model in its role, where it is looked at.
    fn model(&mut self, place: &str, model: Result<Option<ModelRef>>, role: Option<Role>) {
        let checked = model.and_then(|model| match (model, role) {
            (Some(model), Some(role)) => kind::check_reference(&model, role, self.suite.backend()),
            _ => Ok(None),
        });
        // A run reads them next; who only looks wants to hear of them, too.
        let checked = checked.and_then(|model| match (model, role, self.purpose) {
            (Some(model), Some(Role::Generator), Purpose::Lint) => Tokenizer::from_folder(&model)
                .and_then(|tokenizer| ChatTemplate::from_folder(&model, tokenizer.special_tokens()))
                .map(drop),
            (Some(model), Some(_), Purpose::Lint) => Tokenizer::from_folder(&model).map(drop),
            _ => Ok(()),
        });
        match checked {
            Ok(()) => {}
            // In an entry of the registry or a file of the model, not in the suite.
            Err(error) if error.location().is_some() => self.list.push(error),
            Err(error) => self.add(place, error),
        }
    }

    pub(super) fn file(&mut self, place: &str, file: &Path) {
        let path = self.suite.resolve(file);
        if path.is_file() {
            return;
        }
        let message = match std::fs::read_link(&path) {
            Ok(target) if !path.exists() => format!("it is a link to `{}`, which does not exist", target.display()),
            _ => no_file(&path).map_or("there is no such file".to_owned(), |what| format!("it is {what}")),
        };
        let pointer = path.with_added_extension("dvc");
        let hint = if pointer.is_file() {
            format!("`{}` stands for it: fetch it with `dvc pull`", pointer.display())
        } else {
            "paths start from the suite's folder".to_owned()
        };
        let error = Error::input(format!("`{}`: {message}", path.display()));
        self.add(place, error.with_hint(hint));
    }

    fn scorers(&mut self) {
        let plan = &self.suite.plan;
        let mut names = HashSet::new();
        for (index, scorer) in plan.scorers.iter().enumerate() {
            let (place, name) = (format!("scorers.{index}"), scorer.name());
            self.name(&place, name, false);
            if !names.insert(name) {
                let error = Error::input(format!("the scorer `{name}` is defined twice"));
                self.add(&place, error.with_hint("give one of them another `name`"));
            }
            if OUTCOME_RATES.contains(&name) {
                let error = Error::input(format!("a scorer cannot be called `{name}`: gates know a rate of this name"));
                self.add(&place, error.with_hint("choose another name"));
            }
            if let Err(error) = scorer.validate() {
                self.add(&place, error);
            }
            if scorer.needs_embedder() && plan.models.embedder.is_none() {
                let error = Error::input(format!("the scorer `{name}` needs an embedder, and the suite names none"));
                self.add(&place, error.with_hint("add `models: {embedder: {model: …}}`"));
            }
            if scorer.needs_toxicity() && plan.models.toxicity.is_none() {
                let error =
                    Error::input(format!("the scorer `{name}` needs a toxicity model, and the suite names none"));
                self.add(&place, error.with_hint("add `models: {toxicity: {model: …}}`"));
            }
        }
    }

    fn gates(&mut self) {
        let plan = &self.suite.plan;
        for (index, gate) in plan.gates.iter().enumerate() {
            let place = format!("gates.{index}");
            match (&gate.fail_if, gate.metric.is_empty()) {
                (Some(text), true) => self.expression(gate, text, &place),
                (Some(_), false) => {
                    let error = Error::input("the gate has both a `metric` and `fail_if`");
                    self.add(&place, error.with_hint("make two gates of it"));
                }
                (None, true) => {
                    let error = Error::input("the gate has neither a `metric` nor `fail_if`");
                    self.add(&place, error.with_hint("write {metric: golden.correct, min: 0.8}"));
                }
                (None, false) => self.gate(gate, &place),
            }
            self.filter(gate, &place);
        }
        if plan.probe.is_some_and(|probe| probe.cases == 0) {
            self.say("probe.cases", "a probe of 0 cases says nothing");
        }
        let prices = plan.prices.iter().flat_map(|p| [p.per_1k_prompt_tokens, p.per_1k_generated_tokens, p.per_hour]);
        if prices.into_iter().any(|price| !(price.is_finite() && price >= 0.0)) {
            self.say("prices", "prices must be numbers of at least 0");
        }
    }

    fn gate(&mut self, gate: &Gate, place: &str) {
        match Figure::parse(&gate.metric) {
            Err(error) => self.add(&format!("{place}.metric"), error),
            Ok(Figure::Operational(figure)) => {
                self.operational(figure, &format!("{place}.metric"));
                self.operational_bounds(gate, figure, place);
            }
            Ok(Figure::Scores(metric)) => {
                if self.metric(&metric, &gate.metric, &format!("{place}.metric")) {
                    self.gate_bounds(gate, &metric, place);
                }
            }
        }
    }

    /// An expression and every metric in it.
    fn expression(&mut self, gate: &Gate, text: &str, place: &str) {
        let at = format!("{place}.fail_if");
        let bare = Gate {
            metric: String::new(),
            fail_if: gate.fail_if.clone(),
            filter: gate.filter.clone(),
            tier: gate.tier,
            ..Gate::default()
        };
        if *gate != bare {
            let error = Error::input("the gate has bounds beside `fail_if`");
            self.add(place, error.with_hint("an expression says all; make two gates of it"));
        }
        let expression = match Expression::parse(text) {
            Ok(expression) => expression,
            Err(error) => return self.add(&at, error),
        };
        for term in expression.terms() {
            match &term.figure {
                Figure::Operational(figure) => self.operational(*figure, &at),
                Figure::Scores(metric) => drop(self.metric(metric, &metric.to_string(), &at)),
            }
        }
    }

    /// A metric of scores: whether there are such cases. Its scorer looks at them.
    fn metric(&mut self, metric: &Metric, text: &str, place: &str) -> bool {
        let scope = metric.scope.as_str();
        let kinds = [Kind::Golden, Kind::Danger].map(Kind::name);
        let names = self.suite.plan.datasets.iter().map(|dataset| dataset.name.as_str());
        let known: Vec<&str> = names.chain(kinds).collect();
        if known.contains(&scope) {
            self.gate_scorer(metric, place);
            return true;
        }
        let error = Error::input(format!("failed to read the metric `{text}`: there is no dataset or kind `{scope}`"));
        self.add(place, error.with_hint(nearest(scope, known)));
        false
    }

    /// An operational figure that this suite can have.
    fn operational(&mut self, figure: Operational, place: &str) {
        let plan = &self.suite.plan;
        if figure.needs_probe() && plan.probe.is_none() {
            let error = Error::input(format!("the metric `{figure}` needs `probe` in the suite"));
            self.add(place, error.with_hint("add `probe: {cases: 50}`"));
        }
        if figure == Operational::Cost && plan.prices.is_none() {
            let error = Error::input(format!("the metric `{figure}` needs `prices` in the suite"));
            self.add(place, error.with_hint("add `prices: {per_hour: 2.5}`"));
        }
    }

    fn operational_bounds(&mut self, gate: &Gate, figure: Operational, place: &str) {
        let bounds = [gate.min, gate.max, gate.max_drop, gate.max_rise, gate.max_drop_share, gate.max_rise_share];
        if bounds.iter().all(Option::is_none) {
            let error = Error::input(format!("the gate on `{figure}` has no bound"));
            self.add(place, error.with_hint("add `max`, `max_rise_share`, `min` or `max_drop_share`"));
        }
        if bounds.into_iter().flatten().any(|bound| !(bound.is_finite() && bound >= 0.0)) {
            self.say(place, format!("the bounds of the gate on `{figure}` must be numbers of at least 0"));
        }
        let statistical = gate.no_significant_drop || gate.no_significant_rise || gate.non_inferior.is_some();
        if statistical || gate.unpaired || !gate.filter.is_empty() {
            let error = Error::input(format!("the gate on `{figure}` cannot be sliced: a run has one such figure"));
            self.add(
                place,
                error.with_hint("take `min`, `max`, and `max_rise` and `max_drop` with or without `_share`"),
            );
        }
    }

    /// A filter asks for tags and for metadata that the datasets record.
    fn filter(&mut self, gate: &Gate, place: &str) {
        let recorded: Vec<&str> =
            self.suite.plan.datasets.iter().flat_map(|dataset| dataset.slices.iter().map(String::as_str)).collect();
        for key in gate.filter.0.keys().filter(|key| *key != "tag" && !recorded.contains(&key.as_str())) {
            let error = Error::input(format!("`where` names `{key}`, by which no dataset is sliced"));
            let hint = format!("write `tag`, or add `slices: [{key}]` to the dataset");
            self.add(&format!("{place}.where"), error.with_hint(hint));
        }
    }

    fn gate_scorer(&mut self, metric: &Metric, place: &str) {
        let datasets = self.suite.plan.covered(metric);
        if let Statistic::OutcomeRate(rate) = metric.statistic {
            if datasets.is_empty() {
                return self.add(place, Error::input(format!("the metric `{metric}` has no cases")));
            }
            // A rule that cannot fail; without a scorer, `checks` of cases count too, which no plan shows.
            let lacking = Lacking::ALL.into_iter().find(|lacking| lacking.rate() == rate);
            let named = self.suite.plan.scorers.iter().find(|spec| metric.scorer.as_deref() == Some(spec.name()));
            if let (Some(lacking), Some(spec)) = (lacking, named)
                && !spec.can_lack(lacking)
            {
                let error = Error::input(format!("the metric `{metric}` is always 0"));
                let hint = "`not_extracted_rate` is of scorers that extract, `truncated_rate` of those with `long: cut`, \
                            `no_answer_rate` of those on the answer";
                return self.add(place, error.with_hint(hint));
            }
        }
        let Some(scorer) = &metric.scorer else { return };
        let datasets = datasets.into_iter();
        let known: Vec<&str> = datasets.flat_map(|dataset| dataset.scorers.iter().map(String::as_str)).collect();
        if !known.contains(&scorer.as_str()) {
            let error = Error::input(format!("the metric `{metric}` names a scorer that does not look at these cases"));
            let none = "no case of this scope has a scorer".to_owned();
            let hint = if known.is_empty() { none } else { nearest(scorer, known) };
            self.add(place, error.with_hint(hint));
        }
    }

    fn gate_bounds(&mut self, gate: &Gate, metric: &Metric, place: &str) {
        let bounds = [
            ("min", gate.min),
            ("max", gate.max),
            ("max_drop", gate.max_drop),
            ("max_rise", gate.max_rise),
            ("max_drop_share", gate.max_drop_share),
            ("max_rise_share", gate.max_rise_share),
            ("non_inferior", gate.non_inferior),
        ];
        let flags = gate.no_significant_drop || gate.no_significant_rise;
        if bounds.iter().all(|(_, bound)| bound.is_none()) && !flags {
            let error = Error::input(format!("the gate on `{metric}` has no bound"));
            self.add(
                place,
                error.with_hint(
                    "add `min`, `max`, `max_drop`, `max_rise`, `non_inferior` or `no_significant_drop: true`",
                ),
            );
        }
        if gate.lower_is_better && gate.non_inferior.is_none() {
            let error = Error::input("`lower_is_better` needs `non_inferior`");
            self.add(place, error);
        }
        for (name, bound) in bounds {
            let Some(bound) = bound else { continue };
            let relative = name.starts_with("max_") || name == "non_inferior";
            let share = metric.statistic != Statistic::Mean;
            let problem = match (bound.is_finite(), relative, share) {
                (false, _, _) => "it must be a finite number",
                (true, true, _) if bound < 0.0 => "it must not be negative",
                (true, _, true) if !(0.0..=1.0).contains(&bound) && !name.ends_with("_share") => {
                    "a rate lies between 0 and 1"
                }
                _ => continue,
            };
            self.say(&format!("{place}.{name}"), format!("`{name}` is {bound}: {problem}"));
        }
        if let (Some(min), Some(max)) = (gate.min, gate.max)
            && min > max
        {
            self.say(&format!("{place}.min"), format!("the gate on `{metric}` has min {min} above max {max}"));
        }
    }
}
