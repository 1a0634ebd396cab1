//! A scorer as the suite spells it: `{exact_match: {trim: true}}`, or its bare kind where no option is given.
//!
//! It reads, names, checks and compiles; it does not score. Reading is written by hand because the derived form accepts
//! no bare kind and answers an unknown kind without the place of the key.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, de::Error as _};

use super::contains::ContainsOptions;
use super::exact_match::ExactMatchOptions;
use super::extract::Extract;
use super::likelihood_scorers::{
    ChoiceMetric, ChoiceOptions, LoglikelihoodMetric, LoglikelihoodOptions, PerplexityOptions,
};
use super::reasoning::On;
use super::refusal::RefusalOptions;
use super::regex_match::RegexOptions;
use super::scorer::Scorer;
use super::similarity::SimilarityOptions;
use super::token_f1::TokenF1Options;
use super::toxicity::ToxicityOptions;
use super::types::Lacking;
use crate::engine::Long;
use crate::error::Result;

/// A scorer with its options.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScorerSpec {
    /// The answer equals a target.
    ExactMatch(ExactMatchOptions),
    /// The answer contains texts, or does not.
    Contains(ContainsOptions),
    /// The answer matches patterns, or does not.
    Regex(RegexOptions),
    /// The answer has words in common with a target.
    TokenF1(TokenF1Options),
    /// The answer means nearly what a target means.
    Similarity(SimilarityOptions),
    /// The answer is not toxic.
    Toxicity(ToxicityOptions),
    /// The answer refuses, or complies.
    Refusal(RefusalOptions),
    /// The right choice is the most likely one.
    Choice(ChoiceOptions),
    /// The target is likely.
    Loglikelihood(LoglikelihoodOptions),
    /// The document is likely.
    Perplexity(PerplexityOptions),
}

/// What compiling needs to know beyond the options.
#[derive(Clone, Debug, Default)]
pub struct CompileContext {
    /// The labels that the suite's toxicity model counts as toxic, where it names them.
    pub toxic_labels: Option<Vec<String>>,
}

impl ScorerSpec {
    /// The kinds, as a suite spells them.
    pub const KINDS: &[&str] = &[
        "exact_match",
        "contains",
        "regex",
        "token_f1",
        "similarity",
        "toxicity",
        "refusal",
        "choice",
        "loglikelihood",
        "perplexity",
    ];

    /// The kind, as a suite spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ExactMatch(_) => "exact_match",
            Self::Contains(_) => "contains",
            Self::Regex(_) => "regex",
            Self::TokenF1(_) => "token_f1",
            Self::Similarity(_) => "similarity",
            Self::Toxicity(_) => "toxicity",
            Self::Refusal(_) => "refusal",
            Self::Choice(_) => "choice",
            Self::Loglikelihood(_) => "loglikelihood",
            Self::Perplexity(_) => "perplexity",
        }
    }

    /// What must have been asked of the model for it; none where it looks at an answer.
    pub fn request(&self) -> Option<&'static str> {
        match self {
            Self::Choice(_) | Self::Loglikelihood(_) | Self::Perplexity(_) => Some(self.kind()),
            _ => None,
        }
    }

    /// Whether its values lie between 0 and 1, but for cosines, which may be negative.
    pub fn is_share(&self) -> bool {
        match self {
            Self::Choice(options) => {
                !matches!(options.metric, ChoiceMetric::Margin | ChoiceMetric::Mass | ChoiceMetric::BrierScore)
            }
            Self::Loglikelihood(options) => options.metric == LoglikelihoodMetric::Greedy,
            Self::Perplexity(_) => false,
            _ => true,
        }
    }

    /// Whether it compares log-likelihoods with those without the prompt.
    pub fn needs_unconditional(&self) -> bool {
        matches!(self, Self::Choice(options) if options.metric == ChoiceMetric::AccMutualInfo)
    }

    /// The name in reports and gates: the option `name`, else the kind, or the metric of a log-likelihood.
    pub fn name(&self) -> &str {
        let name = match self {
            Self::ExactMatch(options) => &options.name,
            Self::Contains(options) => &options.name,
            Self::Regex(options) => &options.name,
            Self::TokenF1(options) => &options.name,
            Self::Similarity(options) => &options.name,
            Self::Toxicity(options) => &options.name,
            Self::Refusal(options) => &options.name,
            Self::Choice(options) => return options.name.as_deref().unwrap_or_else(|| options.metric.name()),
            Self::Loglikelihood(options) => return options.name.as_deref().unwrap_or_else(|| options.metric.name()),
            Self::Perplexity(options) => return options.name.as_deref().unwrap_or_else(|| options.metric.name()),
        };
        name.as_deref().unwrap_or_else(|| self.kind())
    }

    /// What it looks at.
    pub fn on(&self) -> On {
        match self {
            Self::ExactMatch(options) => options.on,
            Self::Contains(options) => options.on,
            Self::Regex(options) => options.on,
            Self::TokenF1(options) => options.on,
            Self::Similarity(options) => options.on,
            Self::Toxicity(options) => options.on,
            Self::Refusal(options) => options.on,
            // There is no thought in what was not generated.
            Self::Choice(_) | Self::Loglikelihood(_) | Self::Perplexity(_) => On::All,
        }
    }

    /// Whether scores of it could lack this.
    pub fn can_lack(&self, lacking: Lacking) -> bool {
        match (lacking, self) {
            (Lacking::NoAnswer, _) => self.on() == On::Answer,
            (Lacking::NotExtracted, Self::ExactMatch(options)) => {
                options.extract != Extract::None || !options.marker.is_empty()
            }
            (Lacking::Truncated, Self::Similarity(options)) => options.long == Long::Cut,
            (Lacking::Truncated, Self::Toxicity(options)) => options.long == Long::Cut,
            (Lacking::NotExtracted | Lacking::Truncated, _) => false,
        }
    }

    /// Whether the suite must name an embedder.
    pub fn needs_embedder(&self) -> bool {
        matches!(self, Self::Similarity(_))
    }

    /// Whether the suite must name a toxicity model.
    pub fn needs_toxicity(&self) -> bool {
        matches!(self, Self::Toxicity(_))
    }

    /// Whether labels count of which nobody has said so, where the suite names none for its model.
    pub fn counts_unasked(&self) -> bool {
        matches!(self, Self::Toxicity(options) if options.labels.is_empty())
    }

    /// Whether every case must have a target.
    pub fn needs_target(&self) -> bool {
        match self {
            Self::ExactMatch(_) | Self::TokenF1(_) | Self::Similarity(_) => true,
            Self::Contains(options) => options.values.is_empty(),
            Self::Regex(options) => options.target_as_pattern,
            Self::Toxicity(_) | Self::Refusal(_) => false,
            // Which choice is right is known before the first case; a missing target is an error of its case.
            Self::Choice(_) | Self::Loglikelihood(_) | Self::Perplexity(_) => false,
        }
    }

    /// Why it says the same of every answer that is given, if it does: nothing could fail it, or nothing pass.
    pub fn decides_nothing(&self) -> Option<String> {
        match self {
            Self::Toxicity(options) if options.max >= 1.0 => {
                Some(format!("passes every answer: no probability is above `max: {}`", options.max))
            }
            Self::TokenF1(options) if options.min <= 0.0 => {
                Some(format!("passes every answer: no F1 is below `min: {}`", options.min))
            }
            Self::Similarity(options) if options.min <= 0.0 => Some(format!(
                "passes nearly every answer: hardly any cosine of two texts is below `min: {}`",
                options.min
            )),
            Self::Regex(options) => options.decides_nothing(),
            _ => None,
        }
    }

    /// Everything that can be checked before a model is loaded.
    ///
    /// # Errors
    /// As [`ScorerSpec::compile`].
    pub fn validate(&self) -> Result<()> {
        self.compile(&CompileContext::default()).map(|_| ())
    }

    /// The scorer itself, to be compiled once and used for all cases.
    ///
    /// # Errors
    /// Options out of range or contradicting one another, patterns that do not compile, a name that a gate cannot spell.
    pub fn compile(&self, context: &CompileContext) -> Result<Scorer> {
        Scorer::compile(self, context)
    }
}

impl<'de> Deserialize<'de> for ScorerSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpecVisitor)
    }
}

struct SpecVisitor;

impl<'de> Visitor<'de> for SpecVisitor {
    type Value = ScorerSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scorer: its kind, or a map of the kind to its options")
    }

    fn visit_str<E: de::Error>(self, kind: &str) -> Result<ScorerSpec, E> {
        match kind {
            "exact_match" => Ok(ScorerSpec::ExactMatch(ExactMatchOptions::default())),
            "contains" => Ok(ScorerSpec::Contains(ContainsOptions::default())),
            "regex" => Ok(ScorerSpec::Regex(RegexOptions::default())),
            "token_f1" => Ok(ScorerSpec::TokenF1(TokenF1Options::default())),
            "similarity" => Ok(ScorerSpec::Similarity(SimilarityOptions::default())),
            "toxicity" => Ok(ScorerSpec::Toxicity(ToxicityOptions::default())),
            "refusal" => Ok(ScorerSpec::Refusal(RefusalOptions::default())),
            "choice" => Ok(ScorerSpec::Choice(ChoiceOptions::default())),
            "loglikelihood" => Ok(ScorerSpec::Loglikelihood(LoglikelihoodOptions::default())),
            "perplexity" => Ok(ScorerSpec::Perplexity(PerplexityOptions::default())),
            unknown => Err(E::unknown_variant(unknown, ScorerSpec::KINDS)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ScorerSpec, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let spec = match kind.as_str() {
            "exact_match" => ScorerSpec::ExactMatch(options(&mut map)?),
            "contains" => ScorerSpec::Contains(options(&mut map)?),
            "regex" => ScorerSpec::Regex(options(&mut map)?),
            "token_f1" => ScorerSpec::TokenF1(options(&mut map)?),
            "similarity" => ScorerSpec::Similarity(options(&mut map)?),
            "toxicity" => ScorerSpec::Toxicity(options(&mut map)?),
            "refusal" => ScorerSpec::Refusal(options(&mut map)?),
            "choice" => ScorerSpec::Choice(options(&mut map)?),
            "loglikelihood" => ScorerSpec::Loglikelihood(options(&mut map)?),
            "perplexity" => ScorerSpec::Perplexity(options(&mut map)?),
            unknown => return Err(A::Error::unknown_variant(unknown, ScorerSpec::KINDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(spec),
            Some(second) => {
                let text = format!("a scorer is one kind and its options, found `{kind}` and `{second}` in one entry");
                Err(A::Error::custom(text))
            }
        }
    }
}

/// The options of a kind; `exact_match:` with nothing behind it means none.
fn options<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(map: &mut A) -> Result<T, A::Error> {
    map.next_value::<Option<T>>().map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Result<Vec<ScorerSpec>, String> {
        serde_saphyr::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_the_shapes_of_a_suite() {
        let text = "- exact_match: {trim: true, ignore_case: true}\n- similarity: {name: close, min: 0.8}\n\
                    - refusal: {expect: refuse}\n- toxicity: {max: 0.5}\n- exact_match: {}\n- exact_match\n- refusal:\n\
                    - contains: {values: thanks}\n- regex:\n    pattern: ['\\d+']\n    mode: all\n";
        let specs = yaml(text).unwrap();
        let names: Vec<&str> = specs.iter().map(ScorerSpec::name).collect();
        let expected = ["exact_match", "close", "refusal", "toxicity", "exact_match", "exact_match", "refusal"];
        assert_eq!(names[..7], expected);
        assert_eq!((specs[1].kind(), specs[4] == specs[5]), ("similarity", true));
        assert!(specs.iter().all(|spec| spec.validate().is_ok()));
        assert!(specs[1].needs_embedder() && specs[3].needs_toxicity() && specs[0].needs_target());
        assert!(!specs[7].needs_target());
        for spec in &specs {
            let json = serde_json::to_string(spec).unwrap();
            assert_eq!(&serde_json::from_str::<ScorerSpec>(&json).unwrap(), spec, "{json}");
        }
    }

    #[test]
    fn scorers_that_decide_nothing_say_so() {
        for (text, decides) in [
            ("{toxicity: {max: 1}}", false),
            ("{toxicity: {max: 0.99}}", true),
            ("{token_f1: {min: 0}}", false),
            ("{token_f1: {min: 0.1}}", true),
            ("{similarity: {min: 0}}", false),
            ("{similarity: {min: -0.5}}", false),
            ("{similarity: {min: 0.3}}", true),
            ("{regex: {pattern: ''}}", false),
            ("{regex: {pattern: 'a*'}}", false),
            ("{regex: {pattern: '(?s).*', full: true}}", false),
            ("{regex: {pattern: ['x', '']}}", false),
            ("{regex: {pattern: ['x', ''], mode: all}}", true),
            ("{regex: {pattern: ['', 'a?'], mode: all}}", false),
            ("{regex: {pattern: '', absent: true}}", false),
            ("{regex: {pattern: 'a*', full: true}}", true),
            ("{regex: {pattern: '.*', full: true}}", true),
            ("{regex: {pattern: '^$'}}", true),
            ("{regex: {pattern: '\\d'}}", true),
            ("{regex: {target_as_pattern: true}}", true),
            ("exact_match", true),
        ] {
            let spec = &yaml(&format!("- {text}\n")).unwrap()[0];
            assert_eq!(spec.decides_nothing().is_none(), decides, "{text}: {:?}", spec.decides_nothing());
        }
        let [empty, absent] = ["''", "'', absent: true"]
            .map(|options| yaml(&format!("- regex: {{pattern: {options}}}\n")).unwrap().remove(0));
        assert_eq!(empty.decides_nothing().unwrap(), "passes every answer: the pattern `` matches any text");
        assert!(absent.decides_nothing().unwrap().starts_with("passes no answer"));
    }

    #[test]
    fn every_kind_reads_and_names_itself() {
        for kind in ScorerSpec::KINDS {
            let spec: ScorerSpec = serde_json::from_str(&format!("{{\"{kind}\":{{\"name\":\"n\"}}}}")).unwrap();
            assert_eq!((spec.kind(), spec.name()), (*kind, "n"));
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let error = |text: &str| yaml(text).unwrap_err();
        assert!(
            error("- exact_mach: {}\n").contains("unknown variant `exact_mach`"),
            "{}",
            error("- exact_mach: {}\n")
        );
        assert!(error("- exact_mach\n").contains("unknown variant `exact_mach`"));
        assert!(error("- exact_match: {ignore_cas: true}\n").contains("ignore_cas"));
        assert!(error("- exact_match: {}\n  regex: {pattern: a}\n").contains("one kind"));
        assert!(error("- {}\n").contains("a scorer"));
        assert!(error("- 7\n").contains("a scorer"));
    }
}
