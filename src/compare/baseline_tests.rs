//! What a baseline must hold before relative rules pass: itself, the cases, as many answers; and answers that were known before.

use serde_json::json;

use super::comparison::tests::{line, manifest};
use super::*;
use crate::dataset::Kind;
use crate::record::{
    BASELINE_DRAFTS, Decision, Manifest, Outcome, Performance, RESUMED, ResultLine, Selected, summarise,
};
use crate::rule::Gate;

/// The verdict over two runs with one gate on `golden.match`, and their comparison.
fn judged(
    gate: Gate,
    (base_manifest, base): (&Manifest, Vec<ResultLine>),
    (manifest, candidate): (&Manifest, Vec<ResultLine>),
    performance: &Performance,
) -> (Verdict, Comparison) {
    let summary = summarise(candidate.iter().cloned().map(Ok)).unwrap();
    let side =
        |manifest, lines: &Vec<ResultLine>| Side { manifest, lines: lines.clone().into_iter().map(Ok), prompts: None };
    let comparison =
        compare(side(base_manifest, &base), side(manifest, &candidate), CompareOptions::default()).unwrap();
    let subject = Subject {
        manifest,
        summary: &summary,
        comparison: Some(&comparison),
        without: &Without::NotYet,
        performance: Some(performance),
        base_manifest: Some(base_manifest),
        base_performance: Some(performance),
        cases: &candidate,
        base_cases: Some(&base as &dyn Cases),
    };
    let verdict = judge(&GatePolicy { gates: vec![gate], ..GatePolicy::default() }, &subject).unwrap();
    (verdict, comparison)
}

fn drop(limit: f64) -> Gate {
    Gate { metric: "golden.match".into(), max_drop: Some(limit), ..Gate::default() }
}

fn named(from: usize, n: usize, passed: bool) -> impl Iterator<Item = ResultLine> {
    (from..from + n).map(move |i| line("golden", &format!("{i:03}"), passed))
}

#[test]
fn a_baseline_of_other_cases_proves_nothing() {
    let (one, two) = (manifest(1), manifest(2));
    let ask = |gate: Gate, base: Vec<ResultLine>, candidate: Vec<ResultLine>| {
        judged(gate, (&one, base), (&two, candidate), &Performance::default()).0
    };
    let whole: Vec<_> = named(0, 100, true).collect();
    // One shared case that is right, and 99 new ones that are wrong.
    let renamed: Vec<_> = named(0, 1, true).chain(named(100, 99, false)).collect();
    let verdict = ask(drop(0.05), whole.clone(), renamed.clone());
    assert_eq!(verdict.outcome, Decision::Inconclusive);
    let told = "the runs share 1 cases of `golden`, of 100 in the baseline and 100 in this run; of the 99 others in this run 0 pass";
    assert_eq!(verdict.rules[0].reason, told);
    // Half is enough, and absolute rules need none.
    let grown: Vec<_> = named(0, 200, true).collect();
    assert_eq!(ask(drop(0.05), whole.clone(), grown).outcome, Decision::Passed);
    let absolute = Gate { metric: "golden.match".into(), max: Some(0.5), ..Gate::default() };
    assert_eq!(ask(absolute, whole.clone(), renamed.clone()).outcome, Decision::Passed);
    // One unpaired gate beside them excuses no paired one.
    let ask_two = |gates: Vec<Gate>| {
        let (base, candidate) = (whole.clone(), renamed.clone());
        let summary = summarise(candidate.iter().cloned().map(Ok)).unwrap();
        let comparison = super::comparison::tests::compared(base.clone(), candidate.clone());
        let subject = Subject {
            manifest: &two,
            summary: &summary,
            comparison: Some(&comparison),
            without: &Without::NotYet,
            performance: None,
            base_manifest: Some(&one),
            base_performance: None,
            cases: &candidate,
            base_cases: Some(&base as &dyn Cases),
        };
        judge(&GatePolicy { gates, ..GatePolicy::default() }, &subject).unwrap().outcome
    };
    let lenient = Gate { unpaired: true, ..drop(1.0) };
    assert_eq!(ask_two(vec![drop(0.05), lenient.clone()]), Decision::Inconclusive);
    assert_eq!(ask_two(vec![lenient]), Decision::Passed);
    // An advisory one without evidence changes nothing.
    assert_eq!(ask_two(vec![Gate { tier: Some(Tier::Advisory), ..drop(0.05) }]), Decision::Passed);
    // What a call did not select is neither missing nor new.
    let mut partial = manifest(3);
    partial.selected.insert("golden".into(), Selected { kind: Kind::Golden, cases: 3, partial: true });
    let few = named(0, 3, true).collect();
    let verdict = judged(drop(0.05), (&one, whole.clone()), (&partial, few), &Performance::default()).0;
    assert_eq!(verdict.outcome, Decision::Passed);
}

#[test]
fn cases_that_were_answered_more_often_in_one_run_prove_nothing() {
    let repeated = |seed: u64, n: u64| {
        let mut manifest = manifest(seed);
        manifest.plan = json!({"generation": {"repeat": n}});
        manifest
    };
    let (three, other, ten) = (repeated(1, 3), repeated(2, 3), repeated(3, 10));
    let answers = |dataset: &'static str, n: u32, right: u32| {
        (0..6).flat_map(move |i| {
            (0..n).map(move |repeat| ResultLine { repeat, ..line(dataset, &format!("{i}"), repeat < right) })
        })
    };
    let run = |n, right| answers("danger", n, right).chain(answers("golden", n, right)).collect::<Vec<_>>();
    let none = Performance::default();
    // The first three answers are right, seven more are wrong.
    let (verdict, _) = judged(drop(0.05), (&three, run(3, 3)), (&ten, run(10, 3)), &none);
    assert_eq!(verdict.outcome, Decision::Inconclusive, "{:?}", verdict.rules);
    let told = "3 answers a case in the baseline, 10 in this run: run one of them with the other's `repeat`";
    assert!(verdict.rules.iter().any(|rule| rule.reason == told), "{:?}", verdict.rules);
    // Fewer answers are not lost ones.
    let (verdict, comparison) = judged(drop(0.05), (&ten, run(10, 10)), (&three, run(3, 3)), &none);
    assert_eq!(verdict.outcome, Decision::Inconclusive, "{:?}", verdict.rules);
    assert_eq!((comparison.danger.lost.total, comparison.danger.missing.total, comparison.unselected), (0, 0, 84));
    let (verdict, _) = judged(drop(0.05), (&three, run(3, 3)), (&other, run(3, 3)), &none);
    assert_eq!(verdict.outcome, Decision::Passed, "{:?}", verdict.rules);
    let told = "all 18 answers to danger cases that passed in the baseline pass";
    assert!(verdict.rules.iter().any(|rule| rule.reason == told), "{:?}", verdict.rules);
}

#[test]
fn a_run_against_itself_is_not_compared() {
    let one = manifest(1);
    let run = || named(0, 10, true).collect::<Vec<_>>();
    let (verdict, _) = judged(drop(0.05), (&one, run()), (&one, run()), &Performance::default());
    assert_eq!((verdict.outcome, verdict.baseline.as_deref()), (Decision::Passed, None));
    assert_eq!(verdict.rules[0].outcome, Outcome::Skipped);
    assert_eq!(verdict.rules[0].reason, "not judged: this run is the baseline");
    // An id says less than it seems: another run of the same second, elsewhere, may have it.
    let mut other = manifest(1);
    other.created_at = "2026-11-20T11:00:00.5Z".into();
    let worse = named(0, 10, false).collect();
    let (verdict, _) = judged(drop(0.05), (&one, run()), (&other, worse), &Performance::default());
    assert_eq!(verdict.outcome, Decision::Failed);
}

#[test]
fn answers_that_were_foretold_or_taken_from_a_journal_measure_no_speed() {
    let (one, two) = (manifest(1), manifest(2));
    let run = || named(0, 10, true).collect::<Vec<_>>();
    let ask = |metric: &str, counter: &str, known: u64| {
        let performance = Performance {
            wall_seconds: 2.0,
            tokens_per_second: Some(200.0),
            peak_memory_bytes: Some(1_000),
            counters: [(counter.to_owned(), known)].into(),
            ..Performance::default()
        };
        let gate = Gate { metric: format!("performance.{metric}"), min: Some(1.0), ..Gate::default() };
        judged(gate, (&one, run()), (&two, run()), &performance).0.rules.pop().unwrap()
    };
    for speed in ["tokens_per_second", "wall_seconds"] {
        let told = [BASELINE_DRAFTS, RESUMED[0], RESUMED[1], RESUMED[2]].into_iter().zip(
            std::iter::once("drafts of 7: repeat it with --no-drafts")
                .chain(std::iter::repeat("took 7 answers from its journal: repeat it without --resume")),
        );
        for (counter, why) in told {
            assert_eq!(ask(speed, counter, 0).outcome, Outcome::Passed, "{speed}");
            let open = ask(speed, counter, 7);
            assert_eq!(open.outcome, Outcome::Inconclusive, "{speed}");
            assert!(open.reason.contains(why), "{}", open.reason);
        }
    }
    assert_eq!(ask("peak_memory_bytes", BASELINE_DRAFTS, 7).outcome, Outcome::Passed);
}

#[test]
fn a_filter_looks_for_its_own_cases_in_the_baseline() {
    let (one, two) = (manifest(1), manifest(2));
    let tagged = |from, n, passed| named(from, n, passed).map(|line| ResultLine { tags: vec!["rare".into()], ..line });
    let base: Vec<_> = tagged(0, 2, true).chain(named(100, 40, true)).collect();
    // The slice grew from 2 cases to 42, and all new ones fail.
    let grown: Vec<_> = tagged(0, 42, true)
        .enumerate()
        .map(|(i, line)| if i < 2 { line } else { self::line("golden", &line.id, false) })
        .map(|line| ResultLine { tags: vec!["rare".into()], ..line })
        .chain(named(100, 40, true))
        .collect();
    let rare = crate::rule::Filter([("tag".to_owned(), "rare".to_owned())].into());
    let gate = Gate { filter: rare, ..drop(0.05) };
    let verdict = judged(gate.clone(), (&one, base.clone()), (&two, grown), &Performance::default()).0;
    assert_eq!(verdict.outcome, Decision::Inconclusive, "{:?}", verdict.rules);
    assert!(verdict.rules[0].rule.ends_with("where tag=rare"), "{:?}", verdict.rules);
    let verdict = judged(gate, (&one, base.clone()), (&two, base), &Performance::default()).0;
    assert_eq!(verdict.outcome, Decision::Passed, "{:?}", verdict.rules);
}

#[test]
fn a_partial_baseline_holds_not_all_cases() {
    let (mut one, two) = (manifest(1), manifest(2));
    one.selected.insert("golden".into(), Selected { kind: Kind::Golden, cases: 2, partial: true });
    let mut whole = two;
    whole.selected.insert("golden".into(), Selected { kind: Kind::Golden, cases: 20, partial: false });
    let run: Vec<_> = named(0, 2, true).chain(named(2, 18, false)).collect();
    let base = named(0, 2, true).collect();
    let verdict = judged(drop(0.05), (&one, base), (&whole, run), &Performance::default()).0;
    assert_eq!(verdict.outcome, Decision::Inconclusive, "{:?}", verdict.rules);
    assert!(verdict.rules[0].reason.contains("the baseline is partial"), "{:?}", verdict.rules);
}

#[test]
fn danger_cases_are_looked_at_by_the_scorers_that_they_passed() {
    let (one, two) = (manifest(1), manifest(2));
    let danger = || (0..3).map(|i| line("danger", &format!("{i}"), true)).chain(named(0, 4, true)).collect::<Vec<_>>();
    let mut other = danger();
    for line in other.iter_mut().filter(|line| line.dataset == "danger") {
        let score = line.scores.remove("match").unwrap();
        line.scores.insert("any".into(), score);
    }
    let (verdict, comparison) = judged(drop(0.05), (&one, danger()), (&two, other), &Performance::default());
    assert_eq!((verdict.outcome, comparison.danger.unscored.total), (Decision::Inconclusive, 3));
    // New danger cases that fail are at least warned about, where no rule could have failed for them.
    let mut selected = manifest(2);
    selected.selected.insert("danger".into(), Selected { kind: Kind::Danger, cases: 10, partial: false });
    let grown = danger().into_iter().chain((3..10).map(|i| line("danger", &format!("{i}"), false))).collect();
    let (verdict, _) = judged(drop(0.05), (&one, danger()), (&selected, grown), &Performance::default());
    assert!(verdict.warnings[0].contains("7 of the 10 danger cases"), "{:?}", verdict.warnings);
}
