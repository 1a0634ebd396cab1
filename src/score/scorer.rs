//! A compiled scorer: two pure functions, `needs` and `score`.
//!
//! It runs no model: the driver collects the needs of all scorers and cases, removes duplicates, batches them and hands
//! back the answers. A scorer that cannot judge returns an error, never a pass.

use super::contains::Contains;
use super::exact_match::ExactMatch;
use super::likelihood::Likelihoods;
use super::likelihood_scorers::{ChoiceOptions, LoglikelihoodOptions, PerplexityOptions};
use super::reasoning::{On, Output};
use super::refusal::Refusal;
use super::regex_match::RegexMatch;
use super::similarity::Similarity;
use super::spec::{CompileContext, ScorerSpec};
use super::token_f1::TokenF1;
use super::toxicity::Toxicity;
use super::types::{Answer, Lacking, Need, Score};
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// A compiled scorer; cheap to share between threads.
#[derive(Clone, Debug)]
pub struct Scorer {
    name: String,
    needs_target: bool,
    on: On,
    family: Family,
}

#[derive(Clone, Debug)]
enum Family {
    ExactMatch(ExactMatch),
    Contains(Contains),
    Regex(RegexMatch),
    TokenF1(TokenF1),
    Similarity(Similarity),
    Toxicity(Toxicity),
    Refusal(Refusal),
    Choice(ChoiceOptions),
    Loglikelihood(LoglikelihoodOptions),
    Perplexity(PerplexityOptions),
}

impl Scorer {
    pub(super) fn compile(spec: &ScorerSpec, context: &CompileContext) -> Result<Self> {
        let name = spec.name();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::input(format!("failed to read {}: the name `{}`", spec.kind(), name.escape_debug()))
                .with_hint("letters, digits, `_` and `-`: a gate spells it as <dataset>.<scorer>.<statistic>"));
        }
        let family = match spec {
            ScorerSpec::ExactMatch(options) => Family::ExactMatch(options.compile()?),
            ScorerSpec::Contains(options) => Family::Contains(options.compile()?),
            ScorerSpec::Regex(options) => Family::Regex(options.compile()?),
            ScorerSpec::TokenF1(options) => Family::TokenF1(options.compile()?),
            ScorerSpec::Similarity(options) => Family::Similarity(options.compile()?),
            ScorerSpec::Toxicity(options) => Family::Toxicity(options.compile(context.toxic_labels.as_deref())?),
            ScorerSpec::Refusal(options) => Family::Refusal(options.compile()?),
            ScorerSpec::Choice(options) => options.check().map(|()| Family::Choice(options.clone()))?,
            ScorerSpec::Loglikelihood(options) => options.check().map(|()| Family::Loglikelihood(options.clone()))?,
            ScorerSpec::Perplexity(options) => options.check().map(|()| Family::Perplexity(options.clone()))?,
        };
        Ok(Self { name: name.to_owned(), needs_target: spec.needs_target(), on: spec.on(), family })
    }

    /// The name in reports and gates.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which texts other models must look at before this answer can be scored.
    pub fn needs(&self, sample: &Sample, output: &Output<'_>) -> Vec<Need> {
        let Some(output) = output.on(self.on) else { return Vec::new() };
        match &self.family {
            Family::Similarity(scorer) => scorer.needs(sample, output),
            Family::Toxicity(scorer) => scorer.needs(output),
            Family::ExactMatch(_)
            | Family::Contains(_)
            | Family::Regex(_)
            | Family::TokenF1(_)
            | Family::Refusal(_)
            | Family::Choice(_)
            | Family::Loglikelihood(_)
            | Family::Perplexity(_) => Vec::new(),
        }
    }

    /// What can be said of a case before there is an answer to it: whether its targets are such that one could match them.
    ///
    /// # Errors
    /// A target that is not one number where numbers are compared, or no pattern where it is to be one. The error has no place.
    pub fn check(&self, sample: &Sample) -> Result<()> {
        match &self.family {
            Family::ExactMatch(scorer) => scorer.check(sample),
            Family::Regex(scorer) => scorer.check(sample),
            Family::Contains(_)
            | Family::TokenF1(_)
            | Family::Similarity(_)
            | Family::Toxicity(_)
            | Family::Refusal(_)
            | Family::Choice(_)
            | Family::Loglikelihood(_)
            | Family::Perplexity(_) => Ok(()),
        }
    }

    /// Scores `output`; `answers` are those to [`Scorer::needs`] of the same arguments, in the same order.
    ///
    /// # Errors
    /// A case without the target that the scorer needs, a failed answer, and what the families name.
    pub fn score(&self, sample: &Sample, output: &Output<'_>, answers: &[Answer]) -> Result<Score> {
        if self.needs_target && sample.target.is_empty() {
            return Err(Error::input(format!("{}: the case has no target", self.name))
                .with_hint("add a `target` to the case or leave this scorer out of its dataset"));
        }
        let Some(output) = output.on(self.on) else { return self.check(sample).map(|()| self.no_answer()) };
        match &self.family {
            Family::ExactMatch(scorer) => scorer.score(sample, output),
            Family::Contains(scorer) => scorer.score(sample, output),
            Family::Regex(scorer) => scorer.score(sample, output),
            Family::TokenF1(scorer) => scorer.score(sample, output),
            Family::Similarity(scorer) => scorer.score(sample, output, answers),
            Family::Toxicity(scorer) => scorer.score(output, answers),
            Family::Refusal(scorer) => scorer.score(sample, output),
            Family::Choice(_) | Family::Loglikelihood(_) | Family::Perplexity(_) => {
                Err(Error::input(format!("{}: an answer was generated, and no log-likelihood is known", self.name)))
            }
        }
    }

    /// Scores log-likelihoods; none where the scorer looks at an answer.
    ///
    /// # Errors
    /// The case was asked for other log-likelihoods.
    pub fn score_likelihoods(&self, sample: &Sample, likelihoods: &Likelihoods) -> Option<Result<Score>> {
        match &self.family {
            Family::Choice(scorer) => Some(scorer.score(sample, likelihoods)),
            Family::Loglikelihood(scorer) => Some(scorer.score(likelihoods)),
            Family::Perplexity(scorer) => Some(scorer.score(likelihoods)),
            _ => None,
        }
    }
}

impl Scorer {
    /// The score of an answer that was never given: it fails, and its value is the worst.
    fn no_answer(&self) -> Score {
        let value = match &self.family {
            Family::Toxicity(_) => 1.0,
            Family::ExactMatch(_)
            | Family::Contains(_)
            | Family::Regex(_)
            | Family::TokenF1(_)
            | Family::Similarity(_)
            | Family::Refusal(_)
            | Family::Choice(_)
            | Family::Loglikelihood(_)
            | Family::Perplexity(_) => 0.0,
        };
        let explanation = "no answer was given: the text ends within a thought".to_owned();
        Score { passed: false, value, explanation, outcome: Some(Lacking::NoAnswer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;
    use proptest::prelude::*;

    /// A text without thoughts.
    fn text(all: &str) -> Output<'_> {
        Output::read(all, &crate::score::Reasoning::None, false)
    }

    fn scorer(json: &str) -> Scorer {
        let spec: ScorerSpec = serde_json::from_str(json).unwrap();
        spec.compile(&CompileContext::default()).unwrap()
    }

    #[test]
    fn a_missing_target_is_an_error() {
        for json in [
            "\"exact_match\"",
            "\"token_f1\"",
            "\"contains\"",
            "{\"regex\":{\"target_as_pattern\":true}}",
            "\"similarity\"",
        ] {
            let error = scorer(json).score(&sample(&[]), &text("x"), &[]).unwrap_err();
            assert!(error.message().ends_with("the case has no target"), "{json}");
        }
        assert!(scorer("\"refusal\"").score(&sample(&[]), &text("x"), &[]).is_ok());
    }

    #[test]
    fn names_fit_gates() {
        for name in ["", "a.b", "a b", "ä"] {
            let spec: ScorerSpec = serde_json::from_value(serde_json::json!({"refusal": {"name": name}})).unwrap();
            assert!(spec.validate().is_err(), "{name}");
        }
    }

    #[test]
    fn scorers_look_at_the_answer_alone() {
        use crate::score::Reasoning;
        let score = |json: &str, output: &str| {
            let output = Output::read(output, &Reasoning::Auto, false);
            scorer(json).score(&sample(&["Paris"]), &output, &[]).unwrap()
        };
        let text = "<think>It is Paris.</think>London";
        assert!(!score("\"contains\"", text).passed);
        assert!(score("{\"contains\":{\"on\":\"all\"}}", text).passed);
        assert!(score("{\"contains\":{\"on\":\"thought\"}}", text).passed);
        assert!(score("\"exact_match\"", "<think>Or London?</think>\n\nParis").passed);
        for json in ["\"contains\"", "\"refusal\"", "{\"contains\":{\"absent\":true,\"values\":\"x\"}}"] {
            let cut = score(json, "<think>Sorry, I can't help. Paris");
            assert_eq!((cut.passed, cut.value, cut.outcome), (false, 0.0, Some(Lacking::NoAnswer)), "{json}");
        }
        assert_eq!(score("\"toxicity\"", "<think>hm").value, 1.0);
        let cut = Output::read("<think>hm", &Reasoning::Auto, false);
        assert!(scorer("\"toxicity\"").needs(&sample(&[]), &cut).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(output in any::<String>(), target in any::<String>()) {
            for json in [
                "\"exact_match\"", "\"contains\"", "\"token_f1\"", "\"refusal\"", "{\"regex\":{\"target_as_pattern\":true}}",
                "{\"exact_match\":{\"extract\":\"number\",\"marker\":\":\"}}", "{\"contains\":{\"words\":true}}",
                "{\"exact_match\":{\"extract\":\"regex\",\"pattern\":\"(.)$\"}}",
            ] {
                let scorer = scorer(json);
                let sample = sample(&[&target]);
                prop_assert!(scorer.needs(&sample, &text(&output)).is_empty());
                if let Ok(score) = scorer.score(&sample, &text(&output), &[]) {
                    prop_assert!((0.0..=1.0).contains(&score.value));
                    prop_assert!(!score.explanation.contains(char::is_control));
                    prop_assert!(score.explanation.chars().count() <= 160);
                }
            }
        }
    }
}
