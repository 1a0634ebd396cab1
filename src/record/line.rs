//! One case of a saved run: a line of `results.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ThoughtEnd;
use crate::dataset::Kind;
use crate::engine::Finish;
use crate::error::{Error, Result};
use crate::score::{Likelihoods, Score};

/// One answer to one case: what was asked, answered and scored. Keys are written in this order; what does not exist (the
/// token ids of a recorded response, the output under `--no-outputs`) is `null`, so that every line has the same keys. Only
/// what a suite has to ask for (repeats, groups, metadata), timestamps and outcomes of the answer have no key where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultLine {
    /// Dataset name.
    pub dataset: String,
    /// Case id, unique within its dataset.
    pub id: String,
    /// Which of the case's answers this is, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repeat: u32,
    /// What the dataset is for.
    pub kind: Kind,
    /// Labels to slice by.
    pub tags: Vec<String>,
    /// The metadata that the suite slices by, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Cases of one group hang together (questions on one text, turns of one conversation): statistics count groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When recorded traffic was answered, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// SHA-256 (hex) over the prompt's token ids; for recorded responses, which were never tokenized, over the prompt's text
    /// or messages. None where there is no prompt.
    pub prompt_hash: Option<String>,
    /// The answer.
    pub output: Option<String>,
    /// The answer's token ids; none for recorded responses.
    pub output_ids: Option<Vec<u32>>,
    /// Why the answer ended; none where that is not known.
    pub finish: Option<Finish>,
    /// Number of prompt tokens; none for recorded responses.
    pub prompt_tokens: Option<u64>,
    /// The prompt ended with the start of a thought: the output begins within one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub thought_opened: bool,
    /// Whether the thoughts of the output ended; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought: Option<ThoughtEnd>,
    /// Whether the answer is blank, where the output does not tell: it is not recorded, or has thoughts before the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
    /// What was scored in place of an answer, where the dataset asks for log-likelihoods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihoods: Option<Likelihoods>,
    /// Scores by scorer name.
    pub scores: BTreeMap<String, Score>,
    /// Whether the case passed: see [`ResultLine::earned`].
    pub passed: bool,
    /// Why the case could not be answered or scored.
    pub error: Option<String>,
}

impl ResultLine {
    /// Whether the case has earned `passed`: it has scores, all of them passed, and nothing failed on the way. A case
    /// without any score has shown nothing and does not pass.
    pub fn earned(&self) -> bool {
        self.error.is_none() && !self.scores.is_empty() && self.scores.values().all(|score| score.passed)
    }

    /// What lines are sorted and paired by.
    pub fn key(&self) -> (&str, &str, u32) {
        (&self.dataset, &self.id, self.repeat)
    }

    /// Dataset and id: all repeats of a case have one.
    pub fn case(&self) -> (&str, &str) {
        (&self.dataset, &self.id)
    }

    /// Writes the line as serde does: most of the time that takes goes into keys, which are known.
    pub(super) fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let Self { dataset, id, repeat, kind, tags, prompt_hash, output, output_ids, finish, .. } = self;
        put(to, "{\"dataset\":", dataset)?;
        put(to, ",\"id\":", id)?;
        if !is_first(repeat) {
            put(to, ",\"repeat\":", repeat)?;
        }
        put(to, ",\"kind\":", kind)?;
        put(to, ",\"tags\":", tags)?;
        if !self.metadata.is_empty() {
            put(to, ",\"metadata\":", &self.metadata)?;
        }
        if let Some(group) = &self.group {
            put(to, ",\"group\":", group)?;
        }
        if let Some(timestamp) = &self.timestamp {
            put(to, ",\"timestamp\":", timestamp)?;
        }
        put(to, ",\"prompt_hash\":", prompt_hash)?;
        put(to, ",\"output\":", output)?;
        put(to, ",\"output_ids\":", output_ids)?;
        put(to, ",\"finish\":", finish)?;
        put(to, ",\"prompt_tokens\":", &self.prompt_tokens)?;
        if self.thought_opened {
            put(to, ",\"thought_opened\":", &true)?;
        }
        if let Some(thought) = &self.thought {
            put(to, ",\"thought\":", thought)?;
        }
        if let Some(empty) = &self.empty {
            put(to, ",\"empty\":", empty)?;
        }
        if let Some(likelihoods) = &self.likelihoods {
            put(to, ",\"likelihoods\":", likelihoods)?;
        }
        to.extend_from_slice(b",\"scores\":{");
        for (index, (name, Score { passed, value, explanation, outcome })) in self.scores.iter().enumerate() {
            put(to, if index == 0 { "" } else { "," }, name)?;
            put(to, ":{\"passed\":", passed)?;
            put(to, ",\"value\":", value)?;
            put(to, ",\"explanation\":", explanation)?;
            if let Some(outcome) = outcome {
                put(to, ",\"outcome\":", outcome)?;
            }
            to.push(b'}');
        }
        put(to, "},\"passed\":", &self.passed)?;
        put(to, ",\"error\":", &self.error)?;
        to.push(b'}');
        Ok(())
    }

    /// Rounds the values, sets `passed` to what the case has earned, and refuses what cannot be written.
    pub fn settle(&mut self) -> Result<()> {
        for (name, score) in &mut self.scores {
            let Some(value) = round(score.value) else {
                let place = format!("`{name}` of case `{}` in dataset `{}`", self.id, self.dataset);
                return Err(Error::internal(format!(
                    "failed to record the score {place}: its value is {}",
                    score.value
                )));
            };
            score.value = value;
        }
        for logprob in self.likelihoods.iter_mut().flat_map(Likelihoods::logprobs_mut) {
            *logprob = round(*logprob).ok_or_else(|| {
                let place = format!("case `{}` in dataset `{}`", self.id, self.dataset);
                Error::internal(format!("failed to record a log-likelihood of {place}: it is {logprob}"))
            })?;
        }
        self.passed = self.earned();
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_first(repeat: &u32) -> bool {
    *repeat == 0
}

fn put(to: &mut Vec<u8>, key: &str, value: &impl Serialize) -> serde_json::Result<()> {
    to.extend_from_slice(key.as_bytes());
    serde_json::to_writer(to, value)
}

/// A value as records hold it: six decimals, no negative zero; `None` where it is not finite.
pub fn round(value: f64) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 {
        return Some(value + 0.0);
    }
    let millionths = value * 1e6;
    // Multiplying rounds, by less than this for such values: all but ties fall to the side on which they lie, and a quotient
    // of two whole numbers is the double next to the decimal fraction.
    if value.abs() < 1e3 && (millionths.fract().abs() - 0.5).abs() > 1e-6 {
        return Some(millionths.round() / 1e6 + 0.0);
    }
    // By way of decimal text.
    let rounded: f64 = format!("{value:.6}").parse().ok()?;
    Some(rounded + 0.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::score::ChoiceLikelihoods;
    use proptest::prelude::*;

    /// A plain line for the tests of all readers: one scorer `match`.
    pub(crate) fn line(dataset: &str, id: &str, passed: bool) -> ResultLine {
        let score = Score { passed, value: f64::from(u8::from(passed)), explanation: String::new(), outcome: None };
        ResultLine {
            dataset: dataset.into(),
            id: id.into(),
            repeat: 0,
            kind: Kind::Golden,
            tags: vec![],
            metadata: BTreeMap::new(),
            group: None,
            timestamp: None,
            prompt_hash: Some("ab".into()),
            output: Some("out".into()),
            output_ids: Some(vec![1, 2]),
            finish: Some(Finish::Eos),
            prompt_tokens: Some(3),
            thought_opened: false,
            thought: None,
            empty: None,
            likelihoods: None,
            scores: BTreeMap::from([("match".to_owned(), score)]),
            passed,
            error: None,
        }
    }

    #[test]
    fn keys_stand_in_the_pinned_order() {
        let expected = concat!(
            r#"{"dataset":"golden","id":"1","kind":"golden","tags":[],"prompt_hash":"ab","output":"out","#,
            r#""output_ids":[1,2],"finish":"eos","prompt_tokens":3,"#,
            r#""scores":{"match":{"passed":true,"value":1.0,"explanation":""}},"passed":true,"error":null}"#
        );
        assert_eq!(serde_json::to_string(&line("golden", "1", true)).unwrap(), expected);
    }

    #[test]
    fn values_are_rounded_and_finite() {
        for (value, rounded) in
            [(0.12345678, 0.123457), (-1e-9, 0.0), (-0.0, 0.0), (1e300, 1e300), (2.0 / 3.0, 0.666667)]
        {
            let got = round(value).unwrap();
            assert_eq!((got, got.is_sign_negative()), (rounded, false), "{value}");
        }
        assert_eq!(round(f64::NAN), None);
        let mut bad = line("golden", "1", true);
        bad.scores.get_mut("match").unwrap().value = f64::INFINITY;
        let error = bad.settle().unwrap_err().to_string();
        assert_eq!(error, "failed to record the score `match` of case `1` in dataset `golden`: its value is inf");
    }

    #[test]
    fn passing_is_earned() {
        let mut case = line("golden", "1", true);
        assert!(case.earned());
        case.error = Some("no answer".into());
        assert!(!case.earned());
        case.error = None;
        case.scores.clear();
        case.settle().unwrap();
        assert!(!case.passed);
    }

    proptest! {
        #[test]
        fn is_written_as_serde_writes_it(
            texts in proptest::collection::vec(any::<String>(), 4),
            tags in proptest::collection::vec(any::<String>(), 0..3),
            output in any::<Option<String>>(),
            ids in any::<Option<Vec<u32>>>(),
            scores in proptest::collection::btree_map(any::<String>(), (any::<bool>(), -1e9..1e9, any::<String>()), 0..3),
            rest in any::<(bool, bool, Option<u64>, bool)>(),
        ) {
            let mut case = line(&texts[0], &texts[1], rest.0);
            case.scores = scores
                .into_iter()
                .map(|(name, (passed, value, explanation))| (name, Score { passed, value, explanation, outcome: None }))
                .collect();
            (case.tags, case.output, case.output_ids, case.prompt_tokens) = (tags, output, ids, rest.2);
            if rest.3 {
                case.repeat = u32::try_from(texts[3].len()).unwrap();
                case.metadata.insert(texts[3].clone(), texts[2].clone());
                (case.group, case.timestamp) = (Some(texts[2].clone()), Some(texts[3].clone()));
            }
            if rest.0 {
                (case.thought_opened, case.thought, case.empty) = (true, Some(ThoughtEnd::Cut), Some(rest.3));
                let lacking = crate::score::Lacking::NotExtracted;
                case.scores.values_mut().for_each(|score| score.outcome = Some(lacking));
                let choice = ChoiceLikelihoods { logprobs: vec![-0.5, -1.0], tokens: vec![1, 2], greedy: vec![true, false], ..Default::default() };
                case.likelihoods = Some(Likelihoods::Choice(choice));
            }
            if rest.1 {
                (case.kind, case.finish, case.prompt_hash) = (Kind::Danger, None, None);
                case.error = Some(texts[2].clone());
            }
            let mut written = Vec::new();
            case.write(&mut written).unwrap();
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&case).unwrap());
        }

        #[test]
        fn rounding_is_that_of_decimal_text(value in -2e3..2e3, ten_millionths in -20_000_000_000i64..20_000_000_000) {
            // The second is a tie, or one place beside.
            for value in [value, value / 1e3, ten_millionths as f64 / 1e7] {
                let text: f64 = format!("{value:.6}").parse().unwrap();
                prop_assert_eq!(round(value).unwrap().to_bits(), (text + 0.0).to_bits(), "{}", value);
            }
        }

        #[test]
        fn rounding_twice_changes_nothing(value in proptest::num::f64::NORMAL) {
            let once = round(value).unwrap();
            prop_assert_eq!(round(once).unwrap().to_bits(), once.to_bits());
        }
    }
}
