//! What the page holds, and what it cannot hold.

use super::*;
use crate::compare::tests_support::{compared, line};
use crate::report::visible;
use proptest::prelude::*;
use serde_json::Value;

fn page(report: Report<'_>, cases: Vec<(Shown, Prompts)>) -> String {
    let mut page = Page::new(report);
    cases.into_iter().for_each(|(shown, prompts)| page.add(shown, prompts));
    String::from_utf8(page.finish().unwrap()).unwrap()
}

/// The block of data as a browser reads it: up to the first end tag.
fn data(page: &str) -> Value {
    let begin = "<script type=\"application/json\" id=\"data\">";
    let block = &page[page.find(begin).unwrap() + begin.len()..];
    serde_json::from_str(&block[..block.find("</script").unwrap()]).unwrap()
}

fn both(before: ResultLine, after: ResultLine) -> (Shown, Prompts) {
    (Shown::Compared(Pair::Both(before, after)), (None, None))
}

#[test]
fn a_compared_run() {
    let (before, mut after) = (line("golden", "1", true), line("golden", "1", false));
    after.tags = vec!["refund".into()];
    let comparison =
        compared(vec![before.clone(), line("golden", "2", true)], vec![after.clone(), line("golden", "2", true)]);
    let prompts = (Some("Be kind.".to_owned()), Some("Be brief.".to_owned()));
    let cases = || {
        let same = both(line("golden", "2", true), line("golden", "2", true));
        vec![same, (Shown::Compared(Pair::Both(before.clone(), after.clone())), prompts.clone())]
    };
    let report = Report::of_comparison(&comparison);
    let text = page(report, cases());
    assert_eq!(text, page(report, cases()), "the same bytes");
    let data = data(&text);
    assert_eq!(data["base"], comparison.base.run_id.as_str());
    let first = &data["cases"][0];
    assert_eq!((&first["i"], &first["c"], &first["b"], &first["a"]), (&"1".into(), &0.into(), &2.into(), &1.into()));
    assert_eq!(first["o"], serde_json::json!([[0, "answer "], [1, "true"], [2, "false"]]));
    assert_eq!(first["p"], serde_json::json!([[0, "Be "], [1, "kind."], [2, "brief."]]));
    assert_eq!(first["s"][0][1], serde_json::json!([true, 1.0, "because"]));
    assert_eq!((&data["cases"][1]["c"], &data["cases"][1]["o"]), (&(-1).into(), &"answer true".into()));
    assert_eq!(data["transitions"], serde_json::json!([{"dataset": 0, "counts": [1, 1, 0, 0]}]));
    assert_eq!((&data["tags"][0], &first["t"][0]), (&"refund".into(), &0.into()));
    assert_eq!(data["metrics"][0]["base_rate"], 1.0);
}

#[test]
fn a_run_alone() {
    let head = "A common beginning that is long enough to be written only once: ";
    let case = |id: &str, passed| (Shown::Alone(line("golden", id, passed)), (None, Some(format!("{head}{id}"))));
    let text =
        page(Report { suite: "desk", run_id: "r", ..Report::default() }, vec![case("1", true), case("2", false)]);
    let data = data(&text);
    assert_eq!((&data["base"], &data["head"]), (&Value::Null, &head.into()));
    // What failed comes first.
    assert_eq!((&data["cases"][0]["i"], &data["cases"][0]["p"]), (&"2".into(), &"2".into()));
    assert_eq!(data["cases"][1]["n"], serde_json::json!([null, [1, 1]]));
    assert_eq!(data["scores"], serde_json::json!([]), "passing says it all");
}

#[test]
fn scores_are_counted_on_both_sides() {
    let scored = |value: f64| {
        let mut line = line("golden", "1", true);
        line.scores.get_mut("match").unwrap().value = value;
        line
    };
    let (before, after) = (scored(0.25), scored(-0.5));
    let comparison = compared(vec![before.clone()], vec![after.clone()]);
    let data = data(&page(Report::of_comparison(&comparison), vec![both(before, after)]));
    let histogram = &data["scores"][0];
    assert_eq!((&histogram["low"], &histogram["high"]), (&(-0.5).into(), &1.0.into()));
    assert_eq!((&histogram["after"][0], &histogram["before"][16]), (&1.into(), &1.into()));
}

#[test]
fn latency_is_shown_where_it_was_probed() {
    use crate::record::{Performance, Probe, ProbedCase};
    let case = |n: u32| ProbedCase { first_token_seconds: 0.1, total_seconds: f64::from(n), ..ProbedCase::default() };
    let performance =
        Performance { probe: Some(Probe { cases: (1..=4).map(case).collect() }), ..Performance::default() };
    let report = Report { performance: Some(&performance), ..Report::default() };
    let data = data(&page(report, vec![]));
    assert_eq!(data["latency"][1]["note"], "p50 2.50 s, p95 3.85 s, p99 3.97 s of 4 cases");
    assert_eq!((&data["latency"][0]["label_high"], &data["latency"][1]["before"]), (&"100 ms".into(), &Value::Null));
}

#[test]
fn cases_are_bounded_and_changed_ones_stay() {
    let same = |i: usize| both(line("golden", &format!("{i:06}"), true), line("golden", &format!("{i:06}"), true));
    let cases: Vec<_> =
        (0..cases::MOST + 7).map(same).chain([both(line("golden", "x", true), line("golden", "x", false))]).collect();
    let comparison = compared(vec![line("golden", "x", true)], vec![line("golden", "x", false)]);
    let data = data(&page(Report::of_comparison(&comparison), cases));
    assert_eq!(data["cases"].as_array().unwrap().len(), cases::MOST);
    assert_eq!((&data["cases"][0]["i"], &data["left_out"]), (&"x".into(), &8.into()));
    let mut long = line("golden", "1", true);
    long.output = Some("ä".repeat(30_000));
    let data = self::data(&page(Report::default(), vec![(Shown::Alone(long), (None, None))]));
    assert!(data["cases"][0]["o"].as_str().unwrap().ends_with("ä… (10000 more characters)"));
}

/// Everything without end: the page stays within its budget, says what it leaves out, and the worst stays.
#[test]
fn a_page_is_bounded_in_bytes_whatever_it_is_about() {
    use crate::compare::{Cause, CauseKind, Outcome};
    use crate::record::{CaseRef, RuleResult};
    const SMALL: Budget = Budget { cases: 2_000_000, rest: 900_000 };
    for filler in ["<", "\u{e0041}", "\u{1b}", "a"] {
        let name = |at: usize| format!("{at:04}{}", filler.repeat(1_100));
        let case = |at: usize, passed: bool| {
            let mut line = line(if at == 29 { "danger" } else { "golden" }, &name(at), passed);
            (line.output, line.tags) = (Some(format!("{}{passed}", name(at).repeat(20))), (0..120).map(name).collect());
            line.metadata = (0..120).map(|at| (name(at), name(at))).collect();
            let score = crate::score::Score { explanation: name(at), ..line.scores["match"].clone() };
            line.scores = (0..9).map(|at| (name(at), score.clone())).collect();
            line
        };
        let mut comparison = compared(vec![case(0, true)], vec![case(0, false)]);
        let cause =
            |at| Cause { kind: CauseKind::Gates, what: name(at), effect: None, base: Some(name(at)), candidate: None };
        comparison.causes = (0..700).map(cause).collect();
        let rule = |at| RuleResult {
            rule: name(at),
            tier: None,
            outcome: if at == 699 { Outcome::Failed } else { Outcome::Passed },
            reason: name(at),
            observed: None,
            limit: None,
            baseline: None,
            evidence: None,
            corrected_p_value: None,
            detectable: None,
            cases: (0..20).map(|at| CaseRef::new(&name(at), &name(at))).collect(),
            cases_total: 20,
        };
        let mut verdict = Verdict::of(Some(name(0)), (0..700).map(rule).collect());
        verdict.warnings = (0..700).map(name).collect();
        let name = name(0);
        let report =
            Report { suite: &name, run_id: &name, verdict: Some(&verdict), ..Report::of_comparison(&comparison) };
        let mut page = Page::within(report, SMALL);
        for at in 0..30 {
            let passes = at % 3 == 0;
            let prompts = (Some(case(at, true).output.unwrap()), Some(case(at, false).output.unwrap()));
            page.add(Shown::Compared(Pair::Both(case(at, true), case(at, passes))), prompts);
        }
        let text = String::from_utf8(page.finish().unwrap()).unwrap();
        assert!(text.len() < SMALL.cases + SMALL.rest + 400_000, "{filler:?}: {}", text.len());
        let data = data(&text);
        let kept = data["cases"].as_array().unwrap();
        assert!(
            !kept.is_empty() && kept[0]["i"].as_str().unwrap().starts_with("0029"),
            "{filler:?}: the danger case first"
        );
        let out = data["left_out"].as_u64().unwrap();
        assert_eq!(out + kept.len() as u64, 30, "{filler:?}");
        assert!(data["left_out_changed"].as_u64().unwrap() + kept.len() as u64 >= 20, "{filler:?}");
        assert_eq!(data["outcome"], "failed");
        let rules = data["verdict"]["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule["outcome"] == "failed"), "{filler:?}: the rule that failed stays");
        let more = data["more"].to_string();
        assert!(["rules", "warnings", "differences"].iter().all(|noun| more.contains(noun)), "{filler:?}: {more}");
    }
    const { assert!(BUDGET.cases + BUDGET.rest + (1 << 20) < LONGEST) };
}

#[test]
fn the_policy_names_what_is_there_and_nothing_else() {
    let text = page(Report::default(), vec![]);
    let between = |open: &str, close: &str| {
        let rest = &text[text.rfind(open).unwrap() + open.len()..];
        rest[..rest.find(close).unwrap()].to_owned()
    };
    for (open, close, directive) in [("<style>", "</style>", "style-src"), ("<script>", "</script>", "script-src")] {
        let hash = STANDARD.encode(Sha256::digest(between(open, close)));
        assert!(text.contains(&format!("{directive} 'sha256-{hash}'")), "{directive}");
    }
    assert!(!text.contains("{{") && !SCRIPT.contains("innerHTML") && !SCRIPT.contains("</"));
    assert!(
        !text.contains("http://")
            || text.matches("http://").count() == text.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!text.contains("https://"));
}

const HOSTILE: [&str; 15] = [
    "</script>",
    "<!--",
    "<script>",
    "]]>",
    "{{script}}",
    "\u{2028}",
    "&lt;",
    "\\u003c",
    "\u{202e}",
    "\u{1b}[2J",
    "\u{0}",
    "\u{8}\u{c}",
    "\\",
    "\"\u{9b}",
    "\u{e0041}",
];

proptest! {
    /// Whatever an output holds, the block of data is text to a parser of HTML and comes back as it was, but for what nobody sees.
    #[test]
    fn outputs_are_text(
        parts in proptest::collection::vec((0..HOSTILE.len(), "\\PC{0,6}"), 0..8),
    ) {
        let evil: String = parts.iter().map(|(at, text)| HOSTILE[*at].to_owned() + text).collect();
        let mut case = line(&evil, "1", false);
        case.output = Some(evil.clone());
        (case.tags, case.error) = (vec![evil.clone()], Some(evil.clone()));
        case.scores.get_mut("match").unwrap().explanation = evil.clone();
        let text = page(Report { suite: &evil, run_id: &evil, ..Report::default() }, vec![(Shown::Alone(case), (None, Some(evil.clone())))]);
        let begin = "id=\"data\">";
        let start = text.find(begin).unwrap() + begin.len();
        let block = &text[start..start + text[start..].find('<').unwrap()];
        prop_assert!(text[start + block.len()..].starts_with("</script>\n<script>\"use strict\";"));
        let data: Value = serde_json::from_str(block).unwrap();
        for place in ["/suite", "/datasets/0", "/tags/0", "/cases/0/o", "/cases/0/p", "/cases/0/e/1", "/cases/0/s/0/2/2"] {
            let shown = evil.split('\n').map(visible).collect::<Vec<_>>().join("\n");
            prop_assert_eq!(data.pointer(place).and_then(Value::as_str), Some(shown.as_str()), "{}", place);
        }
    }
}
