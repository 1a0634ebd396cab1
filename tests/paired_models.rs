//! Can a comparison be trusted? Four real models compared pairwise, against statsmodels and scipy; what happens where
//! nothing changed; and whether a change that matters is found.
//!
//! The outcomes are those of GSM8K's recorded models (`$KARAT_SHARED` or `../shared`; without them those tests say so and
//! pass). What they promise is also held on outcomes that are drawn here, so that it is always tested.

#![allow(clippy::print_stderr, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use karat::compare::{CompareOptions, Comparison, Side, compare};
use karat::dataset::Kind;
use karat::record::{Manifest, ResultLine, RunId};
use karat::score::Score;
use karat::stats::{
    ALPHA, CounterRng, Differences, Draws, mcnemar_exact, mcnemar_mid_p, pair_test, smallest_detectable,
};
use serde_json::Value;

/// By model, whether each question was answered right.
fn recorded() -> BTreeMap<String, Vec<bool>> {
    let root = std::env::var_os("KARAT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data/datasets/gsm8k/example_model_solutions.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut models = BTreeMap::<String, Vec<bool>>::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        for (model, said) in row.as_object().unwrap() {
            if let Some(right) = said.get("is_correct").and_then(Value::as_bool) {
                models.entry(model.clone()).or_default().push(right);
            }
        }
    }
    models
}

/// Two drawn runs of 600 cases: right in seven of ten, of two minds in one of ten.
fn drawn() -> (Vec<bool>, Vec<bool>) {
    let mut rng = CounterRng::new(17, 0);
    let one: Vec<bool> = (0..600).map(|_| rng.next_unit() < 0.7).collect();
    let two = one.iter().map(|right| if rng.next_unit() < 0.1 { rng.next_unit() < 0.7 } else { *right }).collect();
    (one, two)
}

fn line(at: usize, right: bool) -> ResultLine {
    let score = Score { passed: right, value: f64::from(u8::from(right)), explanation: String::new(), outcome: None };
    ResultLine {
        dataset: "golden".into(),
        id: format!("{at:05}"),
        repeat: 0,
        kind: Kind::Golden,
        tags: vec![],
        metadata: BTreeMap::new(),
        group: None,
        timestamp: None,
        prompt_hash: None,
        output: None,
        output_ids: None,
        finish: None,
        prompt_tokens: None,
        thought_opened: false,
        thought: None,
        empty: None,
        likelihoods: None,
        scores: BTreeMap::from([("right".to_owned(), score)]),
        passed: right,
        error: None,
    }
}

fn compared(one: &[bool], two: &[bool]) -> Comparison {
    let time = "2026-11-20T11:00:00Z".parse().unwrap();
    let manifest = Manifest::new("gsm8k", RunId::new(time, &Value::Null), time, Value::Null);
    let side = |run: &[bool]| {
        let lines: Vec<_> = run.iter().enumerate().map(|(at, right)| Ok(line(at, *right))).collect();
        Side { manifest: &manifest, lines: lines.into_iter(), prompts: None }
    };
    compare(side(one), side(two), CompareOptions::default()).unwrap()
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn four_models_pairwise_as_statsmodels_has_it() {
    let models = recorded();
    let figures: Value = serde_json::from_str(include_str!("gsm8k_figures.json")).unwrap();
    let near = |got: f64, right: &Value, within: f64| {
        let right = right.as_f64().unwrap();
        assert!((got - right).abs() <= within, "{got} {right}");
    };
    assert_eq!(figures["pairs"].as_array().unwrap().len(), 6);
    for pair in figures["pairs"].as_array().unwrap() {
        let [base, candidate] = ["base", "candidate"].map(|side| pair[side].as_str().unwrap());
        let comparison = compared(&models[base], &models[candidate]);
        let metric = &comparison.datasets[0].scorers[0];
        let table =
            [[metric.pairs.both_passed, metric.pairs.regressed], [metric.pairs.improved, metric.pairs.both_failed]];
        assert_eq!(serde_json::json!(table), pair["table"], "{base} {candidate}");
        for (side, name) in [(metric.base, base), (metric.candidate, candidate)] {
            let figures = &figures["models"][name];
            assert_eq!(side.passed, figures["passed"].as_u64().unwrap());
            near(side.interval.unwrap().low, &figures["wilson"][0], 1e-9);
            near(side.interval.unwrap().high, &figures["wilson"][1], 1e-9);
        }
        let p_value = pair["mid_p"].as_f64().unwrap();
        let found = metric.significance.unwrap();
        assert!((found.p_value - p_value).abs() <= 1e-9 * p_value.max(1e-300), "{:e} {p_value:e}", found.p_value);
        let exact = pair["exact"].as_f64().unwrap();
        let got = mcnemar_exact(metric.pairs.regressed, metric.pairs.improved);
        assert!((got - exact).abs() <= 1e-9 * exact.max(1e-300), "{got:e} {exact:e}");
        let difference = metric.rate_difference.unwrap();
        near(difference.difference, &pair["difference"], 1e-12);
        near(difference.detectable.effect().unwrap(), &pair["detectable"], 1e-7);
        let interval = difference.interval.unwrap();
        near(interval.low, &pair["interval"][0], 1e-9);
        near(interval.high, &pair["interval"][1], 1e-9);
        assert_eq!(found.significant, !interval.contains(0.0));
    }
}

/// How often a test calls a change real, of 1,000 runs in which each case's two outcomes are swapped by a fair coin, and of
/// as many in which the candidate is worse by a given share of its cases besides.
struct Study {
    changes: Vec<(bool, bool)>,
}

impl Study {
    const REPEATS: u64 = 1_000;

    fn of(one: &[bool], two: &[bool]) -> Self {
        Self { changes: one.iter().copied().zip(two.iter().copied()).collect() }
    }

    fn detectable(&self) -> f64 {
        let mut differences = Differences::default();
        self.changes
            .iter()
            .for_each(|(one, two)| differences.push(f64::from(u8::from(*two)) - f64::from(u8::from(*one))));
        smallest_detectable(differences.variance().unwrap(), differences.pairs(), ALPHA, 0.8).unwrap()
    }

    fn share(&self, shift: f64, rejects: impl Fn(u64, u64, u64) -> bool) -> f64 {
        let passing =
            self.changes.iter().map(|(one, two)| (f64::from(u8::from(*one)) + f64::from(u8::from(*two))) / 2.0);
        let lost = shift * self.changes.len() as f64 / passing.sum::<f64>();
        let found = (0..Self::REPEATS).filter(|repeat| {
            let mut rng = CounterRng::new(4, *repeat);
            let (mut regressed, mut improved) = (0, 0);
            for (one, two) in &self.changes {
                let (before, mut after) = if rng.next_unit() < 0.5 { (*two, *one) } else { (*one, *two) };
                if after && rng.next_unit() < lost {
                    after = false;
                }
                regressed += u64::from(before && !after);
                improved += u64::from(!before && after);
            }
            rejects(regressed, improved, self.changes.len() as u64)
        });
        found.count() as f64 / Self::REPEATS as f64
    }

    fn holds(&self, name: &str) {
        let mcnemar = |regressed, improved, _| mcnemar_mid_p(regressed, improved) < ALPHA;
        let flipped = |regressed, improved, pairs| {
            let how = Draws { draws: 999, ..Draws::default() };
            pair_test(&Differences::of_outcomes(regressed, improved, pairs), how, (-1.0, 1.0)).unwrap().p_value < ALPHA
        };
        let detectable = self.detectable();
        let nothing = [self.share(0.0, mcnemar), self.share(0.0, flipped)];
        let three = [self.share(3.0 * detectable, mcnemar), self.share(3.0 * detectable, flipped)];
        eprintln!(
            "{name}: nothing changed: McNemar {:.1} %, sign-flip {:.1} %; three times {detectable:.4} lost: {:.1} %, {:.1} %",
            100.0 * nothing[0],
            100.0 * nothing[1],
            100.0 * three[0],
            100.0 * three[1],
        );
        assert!(nothing.iter().all(|share| *share <= 0.065), "{name}: {nothing:?}");
        assert!(three.iter().all(|share| *share >= 0.95), "{name}: {three:?}");
    }
}

#[test]
fn nothing_is_found_where_nothing_changed_and_what_matters_is_found() {
    let (one, two) = drawn();
    let study = Study::of(&one, &two);
    study.holds("drawn");
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn and_so_on_real_models() {
    let models = recorded();
    let all: Vec<_> = models.iter().collect();
    for (at, (one, first)) in all.iter().enumerate() {
        for (two, second) in &all[at + 1..] {
            Study::of(first, second).holds(&format!("{one}, {two}"));
        }
    }
}
