//! A gate as a suite spells it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One gate: a metric with its bounds, or an expression. Each bound that is set is a rule of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// `<dataset or kind>.<scorer>[.pass_rate|.mean]`, or `performance.<figure>` ([`super::Operational`]).
    pub metric: String,
    /// The metric must not be below this.
    pub min: Option<f64>,
    /// The metric must not be above this.
    pub max: Option<f64>,
    /// The metric must not be further below the baseline than this.
    pub max_drop: Option<f64>,
    /// The metric must not be further above the baseline than this.
    pub max_rise: Option<f64>,
    /// The same as a share of the baseline's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop_share: Option<f64>,
    /// The same as a share of the baseline's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rise_share: Option<f64>,
    /// No drop may be significant: p at least 5 %, corrected for all significance rules of the verdict.
    #[serde(skip_serializing_if = "is_false")]
    pub no_significant_drop: bool,
    /// No rise may be significant.
    #[serde(skip_serializing_if = "is_false")]
    pub no_significant_rise: bool,
    /// The candidate is surely not worse by more than this: the whole 95 % interval of the difference lies above minus it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_inferior: Option<f64>,
    /// Smaller values are better: turns `non_inferior` round.
    #[serde(skip_serializing_if = "is_false")]
    pub lower_is_better: bool,
    /// The runs share no cases (arms of a canary): relative rules compare all cases of both.
    #[serde(skip_serializing_if = "is_false")]
    pub unpaired: bool,
    /// Only cases with this tag, these values of metadata.
    #[serde(rename = "where", skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// In place of a metric: fails where this holds ([`super::Expression`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_if: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Which cases a gate looks at: `tag` names a tag, every other key is one of metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    fn what_is_not_asked_is_not_written() {
        let gate = Gate { metric: "golden.x".into(), min: Some(0.5), ..Gate::default() };
        let text = serde_json::to_string(&gate).unwrap();
        assert_eq!(text, r#"{"metric":"golden.x","min":0.5,"max":null,"max_drop":null,"max_rise":null}"#);
        assert_eq!(serde_json::from_str::<Gate>(&text).unwrap(), gate);
    }
}
