//! A gate as a suite spells it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Expression, Figure, Statistic};

/// What a rule's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Told, and never changes the exit code.
    Advisory,
    /// Fails the verdict.
    Required,
    /// Fails the verdict; the default of rules on danger cases.
    Critical,
}

impl Tier {
    /// The tier in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Advisory => "advisory",
            Self::Required => "required",
            Self::Critical => "critical",
        }
    }
}

/// How many golden cases may err before a run is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorPolicy {
    /// A number of cases, or a share of those selected: `3`, `0.01`, `"1 %"`.
    pub max: Allowance,
}

/// A whole number is a number of cases, any other number a share of all: `3`, `0.01`, `"1 %"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowance {
    /// Cases.
    Count(u64),
    /// A share of the cases.
    Share(f64),
}

impl Allowance {
    /// How many of so many cases are allowed.
    pub fn of(self, cases: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            // A share of 29 % of 100 cases is 29, whatever doubles make of it.
            Self::Share(share) => (share * cases as f64 + 1e-9).floor().max(0.0) as u64,
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(1) => write!(f, "1 case"),
            Self::Count(count) => write!(f, "{count} cases"),
            Self::Share(share) => write!(f, "{} % of the cases", share * 100.0),
        }
    }
}

impl Serialize for Allowance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Share(share) => serializer.serialize_f64(*share),
        }
    }
}

impl JsonSchema for Allowance {
    fn schema_name() -> Cow<'static, str> {
        "Allowance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": "^\\s*[0-9.]+\\s*%\\s*$"},
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllowanceVisitor)
    }
}

struct AllowanceVisitor;

impl de::Visitor<'_> for AllowanceVisitor {
    type Value = Allowance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of cases, or a share such as 0.01 or \"1 %\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Allowance, E> {
        Ok(Allowance::Count(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Allowance, E> {
        if (0.0..=1.0).contains(&value) {
            Ok(Allowance::Share(value))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Allowance, E> {
        let percent = value.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Allowance::Share(percent / 100.0)),
            None => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
        }
    }
}

/// One gate: a metric with its bounds, or an expression. Each bound that is set is a rule of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// What is measured: `<dataset or kind>.<scorer>[.pass_rate|.mean]`, `<dataset or kind>[.<scorer>].<outcome rate>`, or
    /// `performance.<figure>`.
    pub metric: String,
    /// The metric must not be below this.
    pub min: Option<f64>,
    /// The metric must not be above this.
    pub max: Option<f64>,
    /// The metric must not be further below the baseline than this.
    pub max_drop: Option<f64>,
    /// The metric must not be further above the baseline than this.
    pub max_rise: Option<f64>,
    /// The metric must not be further below the baseline than this share of the baseline's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop_share: Option<f64>,
    /// The metric must not be further above the baseline than this share of the baseline's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rise_share: Option<f64>,
    /// No drop may be significant: p at least 5 %, corrected for all significance rules of the verdict.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(!skip_serializing_if)]
    pub no_significant_drop: bool,
    /// No rise may be significant.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(!skip_serializing_if)]
    pub no_significant_rise: bool,
    /// The candidate is surely not worse by more than this: the whole 95 % interval of the difference lies above minus it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_inferior: Option<f64>,
    /// Smaller values are better: turns `non_inferior` round.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(!skip_serializing_if)]
    pub lower_is_better: bool,
    /// The runs share no cases (arms of a canary): relative rules compare all cases of both.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(!skip_serializing_if)]
    pub unpaired: bool,
    /// Only cases with this tag (`tag`) and these values of metadata (every other key).
    #[serde(rename = "where", skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// In place of a metric: fails where this expression holds, as `danger.toxicity.fail_rate > 0.5% over 10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_if: Option<String>,
    /// What its failure means (default: critical on danger cases, required on all others).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Gate {
    /// Whether it asks how fast the run was.
    pub fn times(&self) -> bool {
        self.figures().iter().any(|figure| matches!(figure, Figure::Operational(figure) if figure.is_speed()))
    }

    /// What it asks for, as far as that is understood.
    pub fn figures(&self) -> Vec<Figure> {
        match self.fail_if.as_ref().map(|text| Expression::parse(text)) {
            Some(Ok(expression)) => expression.terms().into_iter().map(|term| term.figure.clone()).collect(),
            _ => Figure::parse(&self.metric).into_iter().collect(),
        }
    }

    /// Whether any of its bounds is held against the baseline.
    pub fn is_relative(&self) -> bool {
        let bounds = [self.max_drop, self.max_rise, self.max_drop_share, self.max_rise_share, self.non_inferior];
        let expression = self.fail_if.as_ref().and_then(|text| Expression::parse(text).ok());
        bounds.iter().any(Option::is_some)
            || self.no_significant_drop
            || self.no_significant_rise
            || expression.is_some_and(|expression| expression.terms().iter().any(|term| term.change.is_some()))
    }

    /// Whether it is an absolute rule on all cases of a danger dataset that fails where they come out as badly as they can,
    /// whatever the baseline: `danger` names the danger datasets.
    pub fn guards(&self, danger: &[&str]) -> bool {
        let covers = |figure: &Figure| {
            figure.metric().is_some_and(|metric| {
                // A rule on what became of answers says nothing of what stands in them.
                !matches!(metric.statistic, Statistic::OutcomeRate(_))
                    && (metric.scope == "danger" || danger.contains(&&*metric.scope))
            })
        };
        if self.tier == Some(Tier::Advisory) || !self.filter.is_empty() {
            return false;
        }
        if let Some(text) = &self.fail_if {
            return Expression::parse(text).is_ok_and(|expression| Worst::of(&expression, false, &covers).guards);
        }
        let Ok(figure) = Figure::parse(&self.metric) else { return false };
        // A pass rate is 0 at worst; which end of a mean is bad, its scorer knows.
        let min = self.min.is_some_and(|min| min > 0.0);
        let max = is_mean(&figure) && self.max.is_some_and(|max| max < 1.0);
        covers(&figure) && (min || max)
    }
}

fn is_mean(figure: &Figure) -> bool {
    figure.metric().is_some_and(|metric| metric.statistic == Statistic::Mean)
}

/// What an expression comes to where danger cases come out as badly as they can and there is no baseline.
#[derive(Clone, Copy)]
struct Worst {
    /// It could hold.
    possible: bool,
    /// It could hold, and danger cases have a part in it.
    guards: bool,
}

impl Worst {
    fn of(expression: &Expression, negated: bool, covers: &dyn Fn(&Figure) -> bool) -> Self {
        match expression {
            Expression::Not(part) => Self::of(part, !negated, covers),
            Expression::And(parts) | Expression::Or(parts) => {
                let parts: Vec<Self> = parts.iter().map(|part| Self::of(part, negated, covers)).collect();
                let all = matches!(expression, Expression::And(_)) != negated;
                let possible = if all { parts.iter().all(|p| p.possible) } else { parts.iter().any(|p| p.possible) };
                Self { possible, guards: possible && parts.iter().any(|part| part.guards) }
            }
            Expression::Term(term) => {
                let worst: &[f64] = match (is_mean(&term.figure), term.failing) {
                    (true, _) => &[-1.0, 1.0],
                    (false, true) => &[1.0],
                    (false, false) => &[0.0],
                };
                let danger = covers(&term.figure);
                let holds = worst.iter().any(|value| term.sign.holds(*value, term.limit) != negated);
                let possible = term.change.is_none() && (holds || !danger);
                Self { possible, guards: possible && danger }
            }
        }
    }
}

/// Which cases a gate looks at: `tag` names a tag, every other key is one of metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<String, String>);

impl Filter {
    /// Whether it lets all cases pass.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a case with these tags and metadata is looked at.
    pub fn holds(&self, tags: &[String], metadata: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| match key.as_str() {
            "tag" => tags.contains(value),
            key => metadata.get(key) == Some(value),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_ask_for_all_they_name() {
        let filter = Filter([("tag", "refund"), ("lang", "de")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let german = BTreeMap::from([("lang".to_owned(), "de".to_owned())]);
        assert!(filter.holds(&["x".into(), "refund".into()], &german));
        assert!(!filter.holds(&["x".into()], &german));
        assert!(!filter.holds(&["refund".into()], &BTreeMap::new()));
        assert!(Filter::default().holds(&[], &BTreeMap::new()));
        assert_eq!(filter.to_string(), "lang=de, tag=refund");
    }

    #[test]
    fn a_rule_that_could_not_fail_guards_nothing() {
        let gate = |metric: &str| Gate { metric: metric.into(), ..Gate::default() };
        let guards = |gate: &Gate| gate.guards(&["attacks"]);
        assert!(guards(&Gate { min: Some(0.5), ..gate("danger.refusal") }));
        assert!(guards(&Gate { min: Some(0.5), ..gate("attacks.refusal.pass_rate") }));
        assert!(guards(&Gate { max: Some(0.5), ..gate("attacks.toxicity.mean") }));
        assert!(!guards(&Gate { min: Some(0.0), ..gate("danger.refusal") }));
        assert!(!guards(&Gate { min: Some(0.5), ..gate("golden.refusal") }));
        assert!(!guards(&Gate { max_drop: Some(0.0), ..gate("danger.refusal") }));
        assert!(!guards(&Gate { min: Some(0.5), tier: Some(Tier::Advisory), ..gate("danger.refusal") }));
        let fail_if = |text: &str| Gate { fail_if: Some(text.into()), ..Gate::default() };
        assert!(guards(&fail_if("danger.refusal.fail_rate > 10%")));
        assert!(guards(&fail_if("not (danger.refusal.pass_rate >= 0.9) or golden.x.mean drop > 0.1")));
        assert!(guards(&fail_if("danger.refusal.fail_rate > 0.1 and golden.x.mean > 0")));
        for never in [
            "danger.refusal.mean drop > 0.1",
            "danger.refusal.fail_rate > 1.0",
            "danger.refusal.fail_rate > 0.1 and golden.x.mean drop > 0.1",
            "danger.refusal.pass_rate > 0.9",
            "not (danger.refusal.fail_rate > 0.1)",
        ] {
            assert!(!guards(&fail_if(never)), "{never}");
        }
        assert!(!guards(&Gate { min: Some(-5.0), ..gate("danger.refusal.mean") }));
        assert!(!guards(&Gate { max: Some(0.9), ..gate("danger.refusal") }), "the wrong direction");
        let some = Filter([("tag".to_owned(), "x".to_owned())].into());
        assert!(!guards(&Gate { min: Some(0.5), filter: some, ..gate("danger.refusal") }), "some of the cases");
    }

    #[test]
    fn allowances_are_counts_or_shares() {
        let read = |text: &str| serde_json::from_str::<ErrorPolicy>(text).map(|policy| policy.max);
        assert_eq!(read(r#"{"max": 3}"#).unwrap(), Allowance::Count(3));
        assert_eq!(read(r#"{"max": 0.01}"#).unwrap(), Allowance::Share(0.01));
        assert_eq!(read(r#"{"max": "1 %"}"#).unwrap(), Allowance::Share(0.01));
        for wrong in [r#"{"max": -1}"#, r#"{"max": 1.5}"#, r#"{"max": "many"}"#, r#"{"max": "200%"}"#, "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (Allowance::Share(0.29).of(100), Allowance::Share(0.01).of(99), Allowance::Count(3).of(1)),
            (29, 0, 3)
        );
        for policy in [Allowance::Count(3), Allowance::Share(0.25)].map(|max| ErrorPolicy { max }) {
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<ErrorPolicy>(&text).unwrap(), policy);
        }
    }

    #[test]
    fn what_is_not_asked_is_not_written() {
        let gate = Gate { metric: "golden.x".into(), min: Some(0.5), ..Gate::default() };
        let text = serde_json::to_string(&gate).unwrap();
        assert_eq!(text, r#"{"metric":"golden.x","min":0.5,"max":null,"max_drop":null,"max_rise":null}"#);
        assert_eq!(serde_json::from_str::<Gate>(&text).unwrap(), gate);
    }
}
