//! The linter: a suite, its templates and every case of its datasets, looked at without loading a model. Where the generator's
//! chat template is at hand, every case is put into it.
//!
//! Findings are data; showing them is the door's work. A kind of finding that many cases share is listed for the first
//! few and then counted, so that one wrong column does not bury everything else.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::lint_generation;
use super::lint_header;
use super::lint_prompts::{Prompts, RETURNS, question_hash, short_hash, usable};
use super::lint_scorers;
use super::lint_tags::Tags;
use super::load::{Purpose, Suite};
use super::overrides::Overrides;
use super::plan::DatasetPlan;
use super::validate;
use crate::dataset::{Field, Header, Input, Kind, Sample, Samples, Source};
use crate::engine::chat::odd_role;
use crate::engine::render::Renderer;
use crate::prompt::{self, Builder, Finding, Severity};
use crate::score::{Scorer, ScorerSpec};

/// Inputs longer than this are probably a whole file by mistake; about 8,000 tokens of English.
const LONG_INPUT: usize = 32_768;
/// Findings of one kind that are listed per dataset.
const LISTED: u64 = 5;
/// Prompts of one dataset that are tokenized, for what shows there alone.
const TOKENIZED: usize = 2_000;
/// What is looked at.
#[derive(Clone, Copy)]
pub struct Linted<'a> {
    /// The suite's file.
    pub path: &'a Path,
    /// What the call says in its place.
    pub overrides: &'a Overrides,
    /// What the suite is for: decides which models must be there.
    pub purpose: Purpose,
    /// Tokenizer and chat template of the generator, where they are at hand.
    pub renderer: Option<&'a Renderer>,
}

/// Everything that is wrong or looks wrong, in the order of suite, prompt and datasets.
pub fn lint(linted: &Linted<'_>) -> Vec<Finding> {
    let Linted { path, overrides, purpose, renderer } = *linted;
    let suite = match Suite::read(path, overrides) {
        Ok(suite) => suite,
        Err(error) => return vec![Finding::from(&error)],
    };
    let mut findings: Vec<Finding> = validate::problems(&suite, purpose).iter().map(Finding::from).collect();
    let root = path.parent().unwrap_or(Path::new(""));
    let own = suite.plan.datasets.iter().filter_map(|dataset| dataset.prompt.as_ref());
    for spec in std::iter::once(&suite.plan.prompt).chain(own) {
        for finding in prompt::lint(spec, root) {
            if !findings.iter().any(|other| other.place == finding.place && other.message == finding.message) {
                findings.push(finding);
            }
        }
    }
    unused_scorers(&suite, &mut findings);
    unguarded_danger(&suite, &mut findings);
    lint_scorers::scorers(&suite, &mut findings);
    lint_scorers::hidden_markers(&suite, renderer, &mut findings);
    lint_scorers::unread_thoughts(&suite, renderer, &mut findings);
    // What is wrong with the model's files explains what cannot be read of them.
    if !has_errors(&findings) {
        findings.extend(lint_generation::findings(&suite, renderer));
    }
    let mut tags = Tags::default();
    let prompts = suite.prompts().unwrap_or_default();
    // One finding for all datasets that share a prompt, not one a case.
    let mut met: Vec<(&Arc<Builder>, bool)> = Vec::new();
    for ((index, dataset), prompt) in suite.plan.datasets.iter().enumerate().zip(&prompts) {
        let known = met.iter().find(|(other, _)| Arc::ptr_eq(other, prompt)).map(|(_, usable)| *usable);
        let usable = known.unwrap_or_else(|| {
            let place = if dataset.prompt.is_some() { format!("datasets.{index}.prompt") } else { "prompt".into() };
            let usable = usable(&suite, prompt, &place, renderer, &mut findings);
            met.push((prompt, usable));
            usable
        });
        // A source that cannot be made or opened is among the problems already.
        let Ok(source) = suite.source(dataset, prompt) else { continue };
        if source.path.is_file() {
            let prompts = usable.then_some(Prompts { builder: prompt, renderer });
            let mut cases = Cases::new(&suite, dataset, &source, prompts);
            cases.read(&mut tags);
            findings.append(&mut cases.finish(index));
        }
    }
    findings.append(&mut tags.findings());
    let odd = renderer.into_iter().flat_map(Renderer::warnings_but_roles);
    findings.extend(odd.map(|line| suite.placed("prompt", Finding::warning(line))));
    findings
}

fn unused_scorers(suite: &Suite, findings: &mut Vec<Finding>) {
    for (index, scorer) in suite.plan.scorers.iter().enumerate() {
        let name = scorer.name();
        if !suite.plan.datasets.iter().any(|dataset| dataset.scorers.iter().any(|used| used == name)) {
            let finding = Finding::warning(format!("no dataset uses the scorer `{name}`"));
            findings.push(suite.placed(&format!("scorers.{index}"), finding));
        }
    }
}

/// Danger cases that no rule of the suite could fail: before a baseline is accepted, all of them may fail and the run passes.
fn unguarded_danger(suite: &Suite, findings: &mut Vec<Finding>) {
    let plan = &suite.plan;
    let danger = || plan.datasets.iter().enumerate().filter(|(_, dataset)| dataset.kind == Kind::Danger);
    let names: Vec<&str> = danger().map(|(_, dataset)| dataset.name.as_str()).collect();
    let Some((index, first)) = danger().next() else { return };
    if plan.gates.iter().any(|gate| gate.guards(&names)) {
        return;
    }
    let scorer = first.scorers.first().map_or("SCORER", String::as_str);
    let finding = Finding::warning("no rule on danger cases could fail without a baseline")
        .with_hint(format!("add a gate: {{metric: danger.{scorer}, min: 0.9}}"));
    findings.push(suite.placed(&format!("datasets.{index}.kind"), finding));
}

/// Kinds of findings about single cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Unreadable,
    BadCheck,
    NoTarget,
    BadTarget,
    NoScorer,
    CannotBuild,
    EmptyInput,
    LongInput,
    NearlyAField,
    CarriageReturn,
    OtherLanguage,
    AnswerShown,
    Contradiction,
    OpenTurn,
    OddRole,
    OddRow,
    UnknownKey,
}

impl Rule {
    const ALL: [Self; 17] = [
        Self::Unreadable,
        Self::BadCheck,
        Self::NoTarget,
        Self::BadTarget,
        Self::NoScorer,
        Self::CannotBuild,
        Self::EmptyInput,
        Self::LongInput,
        Self::NearlyAField,
        Self::CarriageReturn,
        Self::OtherLanguage,
        Self::AnswerShown,
        Self::Contradiction,
        Self::OpenTurn,
        Self::OddRole,
        Self::OddRow,
        Self::UnknownKey,
    ];

    fn about(self) -> &'static str {
        match self {
            Self::Unreadable => "cases that cannot be read",
            Self::BadCheck => "cases with wrong checks",
            Self::NoTarget => "cases without a target",
            Self::BadTarget => "cases with a target that no answer could match",
            Self::NoScorer => "cases that no scorer looks at",
            Self::CannotBuild => "cases whose prompt cannot be built",
            Self::EmptyInput => "cases with an empty input",
            Self::LongInput => "cases with a very long input",
            Self::NearlyAField => "cases with metadata that is nearly a field",
            Self::CarriageReturn => "cases with carriage returns",
            Self::OtherLanguage => "cases in a language that `refusal` does not know",
            Self::AnswerShown => "cases that are few-shot examples",
            Self::Contradiction => "cases that contradict another",
            Self::OpenTurn => "cases that end with a message of the assistant",
            Self::OddRole => "cases with a role that chat templates do not know",
            Self::OddRow => "rows that do not fit the schema",
            Self::UnknownKey => "rows with keys that the schema does not know",
        }
    }
}

/// The cases of one dataset.
struct Cases<'a> {
    suite: &'a Suite,
    dataset: &'a DatasetPlan,
    source: &'a Source,
    prompts: Option<Prompts<'a>>,
    /// Prompts that are still tokenized: all of a large dataset take too long.
    tokenized: usize,
    /// The first scorer of the dataset that cannot do without a target.
    needs_target: Option<String>,
    /// Those that look at a case's targets.
    scorers: Vec<Scorer>,
    findings: Vec<Finding>,
    counts: [u64; Rule::ALL.len()],
    /// Whether there are errors among those not listed.
    hidden_errors: [bool; Rule::ALL.len()],
    /// Hash of prompt -> hash of targets and line of the first case that has it.
    asked: HashMap<[u8; 16], ([u8; 16], u64)>,
    /// Cases with the fields that a template may forget.
    with_context: u64,
    with_choices: u64,
}

impl<'a> Cases<'a> {
    fn new(suite: &'a Suite, dataset: &'a DatasetPlan, source: &'a Source, prompts: Option<Prompts<'a>>) -> Self {
        let scorers = suite.scorers(dataset);
        let needs_target = scorers.iter().find(|scorer| scorer.needs_target()).map(|scorer| scorer.name().to_owned());
        Self {
            suite,
            dataset,
            source,
            prompts,
            tokenized: TOKENIZED,
            needs_target,
            scorers: lint_scorers::compiled(scorers.iter().copied()),
            findings: Vec::new(),
            counts: [0; Rule::ALL.len()],
            hidden_errors: [false; Rule::ALL.len()],
            asked: HashMap::new(),
            with_context: 0,
            with_choices: 0,
        }
    }

    fn read(&mut self, tags: &mut Tags) {
        let header = Header::beside(&self.source.path).unwrap_or_else(|error| {
            self.findings.push(Finding::from(&error));
            None
        });
        let mut samples = match self.source.open() {
            Ok(samples) => samples,
            Err(error) => return self.findings.push(Finding::from(&error)),
        };
        let mut cases = 0;
        for sample in &mut samples {
            match sample {
                Ok(sample) => {
                    cases += 1;
                    tags.add(&sample, &self.source.path);
                    self.case(&sample);
                }
                Err(error) => self.report(Rule::Unreadable, Finding::from(&error)),
            }
        }
        if let Some(header) = header {
            self.header(&header, samples, cases);
        }
    }

    /// Holds the file and its rows against the header beside it.
    fn header(&mut self, header: &Header, mut samples: Samples, cases: u64) {
        // What a case that cannot be read hides is not counted.
        let readable = self.counts[Rule::Unreadable as usize] == 0;
        let counted = readable && !samples.leaves_out();
        match samples.finish() {
            Ok(digest) => {
                let faults = header.faults(counted.then_some(cases), &digest);
                self.findings.extend(faults.iter().map(Finding::from));
            }
            Err(error) if readable => self.findings.push(Finding::from(&error)),
            Err(_) => return,
        }
        let source = self.source;
        let rows = lint_header::rows(header, source, |finding| match finding.severity {
            Severity::Error => self.report(Rule::OddRow, finding),
            Severity::Warning => self.report(Rule::UnknownKey, finding),
        });
        if let Err(error) = rows
            && readable
        {
            self.findings.push(Finding::from(&error));
        }
    }

    fn report(&mut self, rule: Rule, finding: Finding) {
        self.counts[rule as usize] += 1;
        if self.counts[rule as usize] <= LISTED {
            self.findings.push(finding);
        } else if finding.severity == Severity::Error {
            self.hidden_errors[rule as usize] = true;
        }
    }

    fn case(&mut self, sample: &Sample) {
        let (path, line, id) = (self.source.path.clone(), Some(sample.line), &sample.id);
        self.with_context += u64::from(sample.context.is_some());
        self.with_choices += u64::from(!sample.choices.is_empty());
        let mut needs_target = self.needs_target.clone();
        match self.suite.checks(self.dataset, sample) {
            Ok(checks) => {
                let own = checks.iter().find(|check| check.needs_target()).map(|check| check.name().to_owned());
                needs_target = needs_target.or(own);
                self.scored(&checks, sample);
            }
            Err(error) => self.report(Rule::BadCheck, Finding::from(&error).at(&path, line)),
        }
        if let Some(scorer) = needs_target.filter(|_| sample.target.is_empty()) {
            let message = format!("the case `{id}` has no target, and the scorer `{scorer}` needs one");
            self.report(Rule::NoTarget, Finding::error(message).at(&path, line));
        }
        if self.dataset.scorers.is_empty() && sample.checks.is_empty() {
            let finding = match self.dataset.kind {
                Kind::Danger => Finding::error(format!("no scorer looks at the danger case `{id}`")),
                Kind::Golden => Finding::warning(format!("no scorer looks at the case `{id}`")),
            };
            self.report(Rule::NoScorer, finding.at(&path, line));
        }
        self.keys(sample);
        self.input(sample);
        self.prompt(sample);
        self.turn(sample);
        self.roles(sample);
    }

    /// Keys that are metadata because they are no field, and nearly are one: a misspelled check would check nothing.
    fn keys(&mut self, sample: &Sample) {
        for key in sample.metadata.keys() {
            let Some(field) = Field::nearly(key) else { continue };
            let message = format!("the case `{}` has the metadata `{key}`: is the field `{field}` meant?", sample.id);
            let hint =
                "a key that is no field is metadata; another name, or `fields:` of the dataset, says what is meant";
            let finding = Finding::warning(message).with_hint(hint);
            self.report(Rule::NearlyAField, finding.at(self.source.path.clone(), Some(sample.line)));
        }
    }

    /// A last message of the assistant of which the suite does not say whether it goes on.
    fn turn(&mut self, sample: &Sample) {
        if self.prompts.is_some_and(|prompts| prompts.builder.leaves_open_turn(sample)) {
            let message = format!(
                "the case `{}` ends with a message of the assistant: it is closed, and another is asked for",
                sample.id
            );
            let hint = "say `prompt: {continue_final_message: true}` to go on with it, or false";
            let finding = Finding::warning(message).with_hint(hint);
            self.report(Rule::OpenTurn, finding.at(self.source.path.clone(), Some(sample.line)));
        }
    }

    /// Roles that no template knows: their messages may be left out, or printed under a name that the model never saw.
    fn roles(&mut self, sample: &Sample) {
        let Input::Messages(messages) = &sample.input else { return };
        let renderer = self.prompts.and_then(|prompts| prompts.renderer);
        let odd = |role: &str| match renderer {
            Some(renderer) => renderer.odd_role(role),
            None => odd_role(role, None),
        };
        let mut roles = messages.iter().filter_map(|message| message.get("role")?.as_str());
        if let Some((role, odd)) = roles.find_map(|role| Some((role, odd(role)?))) {
            let message = format!("the case `{}` has a message whose role `{role}` {}", sample.id, odd.what);
            let finding = Finding::warning(message).with_hint(odd.hint);
            self.report(Rule::OddRole, finding.at(self.source.path.clone(), Some(sample.line)));
        }
    }

    /// Holds the case against the scorers that look at it.
    fn scored(&mut self, checks: &[ScorerSpec], sample: &Sample) {
        let (path, line, id) = (self.source.path.clone(), Some(sample.line), &sample.id);
        if let Some(error) = lint_scorers::bad_target(&self.scorers, checks, sample) {
            let finding = Finding::from(&error);
            let message = format!("the case `{id}`: {}", finding.message);
            self.report(Rule::BadTarget, Finding { message, ..finding }.at(&path, line));
        }
        if let Some(language) = lint_scorers::unknown_language(self.suite, self.dataset, checks, sample) {
            let message = format!("the case `{id}` looks like {language}, and `refusal` knows English");
            let hint = "an answer in another language is an error of its case: let `regex` or `contains` look at it";
            self.report(Rule::OtherLanguage, Finding::warning(message).with_hint(hint).at(&path, line));
        }
    }

    fn input(&mut self, sample: &Sample) {
        let (path, line, id) = (self.source.path.clone(), Some(sample.line), &sample.id);
        let Input::Text(text) = &sample.input else { return };
        if text.trim().is_empty() {
            let finding = Finding::warning(format!("the case `{id}` has an empty input"));
            self.report(Rule::EmptyInput, finding.at(&path, line));
        }
        // Bytes first: counting characters is only worth it when there can be enough of them.
        if text.len() > LONG_INPUT && text.chars().count() > LONG_INPUT {
            let message = format!("the input of the case `{id}` has {} characters", text.chars().count());
            self.report(Rule::LongInput, Finding::warning(message).at(&path, line));
        }
        if text.contains('\r') {
            let finding = Finding::warning(format!("the input of the case `{id}` holds carriage returns"));
            self.report(Rule::CarriageReturn, finding.at(&path, line).with_hint(RETURNS));
        }
        if self.prompts.is_some_and(|prompts| prompts.builder.has_example(sample)) {
            let finding = Finding::warning(format!("the case `{id}` is also a few-shot example: its answer is shown"));
            self.report(Rule::AnswerShown, finding.at(&path, line));
        }
    }

    fn prompt(&mut self, sample: &Sample) {
        let Some(prompts) = self.prompts else { return };
        let path = self.source.path.clone();
        let tokenized = self.tokenized > 0;
        self.tokenized = self.tokenized.saturating_sub(1);
        let question = match prompts.build(sample, tokenized) {
            Ok(question) => question,
            Err(error) => {
                let finding = Finding::from(&error);
                let message = format!("the case `{}`: {}", sample.id, finding.message);
                return self.report(Rule::CannotBuild, Finding { message, ..finding }.at(&path, Some(sample.line)));
            }
        };
        let (key, targets) = (question_hash(&question), short_hash(sample.target.join("\u{1f}").as_bytes()));
        match self.asked.get(&key) {
            None => {
                self.asked.insert(key, (targets, sample.line));
            }
            Some((first, line)) if *first != targets => {
                let message = format!("the case `{}` has the prompt of line {line} and another target", sample.id);
                self.report(Rule::Contradiction, Finding::warning(message).at(&path, Some(sample.line)));
            }
            Some(_) => {}
        }
    }

    /// The findings, with the numbers of those not listed, and what holds for the dataset as a whole.
    fn finish(mut self, index: usize) -> Vec<Finding> {
        for rule in Rule::ALL.into_iter().filter(|rule| self.counts[*rule as usize] > LISTED) {
            let message = format!("there are {} more {}", self.counts[rule as usize] - LISTED, rule.about());
            let hidden_error = self.hidden_errors[rule as usize];
            let finding = if hidden_error { Finding::error(message) } else { Finding::warning(message) };
            self.findings.push(finding.at(&self.source.path, None));
        }
        for (field, count) in [("context", self.with_context), ("choices", self.with_choices)] {
            let generated = self.dataset.request.is_generate();
            let unused = generated && self.prompts.is_some_and(|prompts| !prompts.builder.uses(field));
            if unused && count > 0 {
                let message =
                    format!("{count} cases of `{}` have `{field}`, which the template never uses", self.dataset.name);
                let finding = Finding::warning(message).with_hint(format!("add {{{{ {field} }}}} to the template"));
                self.findings.push(self.suite.placed(&format!("datasets.{index}.file"), finding));
            }
        }
        self.findings
    }
}

/// Whether a run would refuse the suite or give wrong results.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
