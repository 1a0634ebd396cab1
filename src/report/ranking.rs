//! A ranking of several runs: on a terminal, as Markdown, as JSON.

use super::markdown::{code, list};
use super::page::{Column, Page, Paint, Style, wrap};
use super::text::{NONE_DETECTABLE, detectable};
use crate::compare::{Cost, Decision, Detectable, RankedRun, Ranking};
use crate::error::{Error, Result};
use crate::stats::format::{self, figure, or_dash, p_value, signed, signed_interval};

/// Budget of the runs in Markdown: GitHub takes comments of 65,536 characters.
const RUNS: usize = 58_000;
/// What there is to say about figures and marks.
const SAME: &str = "rate, first and change: over the cases that a run shares with the first";
const ERRED: &str =
    "errors: errored cases are no part of rate and change; in the order of the runs they count as failed";
const CORRECTED: &str = "p: corrected for the number of candidates";
const FRONTIER: &str = "*: no other run is as good for less of it (Pareto-optimal)";
const CACHED: &str = "c: some answers were known before (cache, drafts), so these seconds and MiB do not compare";

/// The ranking as text with a line break at the end.
pub fn terminal(ranking: &Ranking, style: Style) -> String {
    let mut page = Page::new(style);
    page.line(0, &[(Paint::Bold, "ranked by "), (Paint::Plain, &ranking.by)]);
    page.blank();
    let runs = &ranking.runs;
    let plain = |text: String| (Paint::Plain, text);
    let shown = page.table(vec![
        Column::left("run", runs, |run| (if run.first { Paint::Bold } else { Paint::Plain }, name(run))),
        Column::left("model", runs, |run| plain(or_dash(run.model.clone(), |model| model))),
        Column::right("cases", 1, runs, |run| plain(run.cases.to_string())),
        Column::right("errors", 0, runs, |run| {
            (if run.errored > 0 { Paint::Bad } else { Paint::Plain }, run.errored.to_string())
        }),
        Column::right("rate", 0, runs, |run| plain(figure(run.quality))),
        Column::right("95 %", 8, runs, |run| plain(interval(run))),
        Column::right("first", 5, runs, |run| plain(figure(run.first_quality))),
        Column::right("change", 0, runs, |run| (paint(run), change(run))),
        Column::right("95 %", 7, runs, |run| plain(change_interval(run))),
        Column::right("p", 3, runs, |run| plain(p(run))),
        Column::right("detectable", 9, runs, |run| plain(overlooked(run))),
        Column::right("danger", 4, runs, |run| plain(figure(run.danger))),
        Column::right("lost", 4, runs, lost),
        Column::right("gates", 2, runs, gates),
        Column::right("tokens/case", 5, runs, |run| plain(cost(run, Cost::Tokens))),
        Column::right("seconds", 6, runs, |run| plain(cost(run, Cost::Seconds))),
        Column::right("MiB", 6, runs, |run| plain(cost(run, Cost::Memory))),
    ]);
    page.blank();
    // What did not fit has no legend either.
    let has = |titles: &[&str]| titles.iter().any(|title| shown.contains(title));
    let mut notes = vec![SAME];
    notes.extend(erred(ranking));
    notes.extend(has(&["p"]).then_some(CORRECTED));
    notes.extend(has(&["tokens/case", "seconds", "MiB"]).then_some(FRONTIER));
    notes.extend((has(&["seconds", "MiB"]) && runs.iter().any(known)).then_some(CACHED));
    let none = runs.iter().any(|run| overlooked(run) == "none");
    notes.extend((has(&["detectable"]) && none).then_some(NONE_DETECTABLE));
    for line in notes.iter().flat_map(|note| wrap(note, style.width)) {
        page.line(0, &[(Paint::Dim, &line)]);
    }
    page.text
}

/// The ranking as GitHub-flavoured Markdown.
pub fn markdown(ranking: &Ranking) -> String {
    let mut out = format!("## karat: ranked by {}\n\n", code(&ranking.by, 120));
    out.push_str("| run | model | cases | errors | rate | 95 % | first | change | 95 % | p | detectable | danger | lost | gates | tokens/case | seconds | MiB |\n");
    out.push_str("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|\n");
    let row = |run: &RankedRun| {
        let model = or_dash(run.model.as_ref(), |model| code(model, 60));
        let change = if run.significance.is_some_and(|significance| significance.significant) {
            format!("**{}**", change(run))
        } else {
            change(run)
        };
        let costs = Cost::ALL.map(|which| cost(run, which).replace('*', "\\*")).join(" | ");
        let cells = [
            code(&name(run), 60),
            model,
            run.cases.to_string(),
            run.errored.to_string(),
            figure(run.quality),
            interval(run),
            figure(run.first_quality),
            change,
            change_interval(run),
            p(run),
            overlooked(run),
            figure(run.danger),
            lost(run).1,
            gates(run).1,
            costs,
        ];
        format!("| {} |", cells.join(" | "))
    };
    list(&mut out, RUNS, "runs", ranking.runs.iter().map(row));
    let mut notes = vec![SAME, CORRECTED, FRONTIER];
    notes.extend(erred(ranking));
    notes.extend(ranking.runs.iter().any(known).then_some(CACHED));
    notes.extend(ranking.runs.iter().any(|run| overlooked(run) == "none").then_some(NONE_DETECTABLE));
    out.push_str(&format!("\n{}.\n", notes.join(". ").replace('*', "\\*")));
    out
}

/// The ranking as JSON, indented, with a line break at the end.
pub fn json(ranking: &Ranking) -> Result<Vec<u8>> {
    let document = serde_json::json!({"format": "karat-ranking/1", "ranking": ranking});
    let mut bytes =
        serde_json::to_vec_pretty(&document).map_err(|e| Error::internal("failed to write JSON").caused_by(e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What there is to say where cases erred.
fn erred(ranking: &Ranking) -> Option<&'static str> {
    ranking.runs.iter().any(|run| run.errored > 0).then_some(ERRED)
}

/// Some of its answers were not computed for it alone.
fn known(run: &RankedRun) -> bool {
    run.costs.cached + run.costs.drafted > 0
}

fn name(run: &RankedRun) -> String {
    let first = if run.first { " (first)" } else { "" };
    format!("{}{first}", run.run.run_id)
}

fn interval(run: &RankedRun) -> String {
    or_dash(run.interval, format::interval)
}

fn paint(run: &RankedRun) -> Paint {
    let real = run.significance.is_some_and(|significance| significance.significant);
    match run.difference.map(|difference| difference.difference) {
        Some(difference) if real && difference < 0.0 => Paint::Bad,
        Some(difference) if real && difference > 0.0 => Paint::Good,
        _ => Paint::Plain,
    }
}

fn change(run: &RankedRun) -> String {
    or_dash(run.difference, |difference| signed(difference.difference))
}

fn change_interval(run: &RankedRun) -> String {
    let interval = run.difference.and_then(|difference| difference.interval);
    or_dash(interval, signed_interval)
}

fn p(run: &RankedRun) -> String {
    or_dash(run.significance, |significance| p_value(significance.p_value))
}

fn overlooked(run: &RankedRun) -> String {
    let found = run.significance.is_some_and(|significance| significance.significant);
    detectable(run.difference.filter(|_| !found).map_or(Detectable::Unknown, |difference| difference.detectable))
}

fn lost(run: &RankedRun) -> (Paint, String) {
    match run.danger_lost {
        None => (Paint::Plain, "–".into()),
        Some(0) => (Paint::Plain, "0".into()),
        Some(lost) => (Paint::Bad, lost.to_string()),
    }
}

fn gates(run: &RankedRun) -> (Paint, String) {
    match run.outcome {
        None => (Paint::Plain, "–".into()),
        Some(outcome @ Decision::Passed) => (Paint::Good, outcome.word().into()),
        Some(outcome) => (Paint::Bad, outcome.word().into()),
    }
}

fn cost(run: &RankedRun, cost: Cost) -> String {
    let value = match cost {
        Cost::Tokens => run.costs.tokens_per_case.map(|tokens| format!("{tokens:.1}")),
        Cost::Seconds => {
            let cached = if known(run) { "c" } else { "" };
            run.costs.seconds.map(|seconds| format!("{seconds:.1}{cached}"))
        }
        Cost::Memory => {
            let cached = if run.costs.cached > 0 { "c" } else { "" };
            run.costs.memory_bytes.map(|bytes| format!("{:.0}{cached}", bytes as f64 / f64::from(1 << 20)))
        }
    };
    let mark = if run.frontier.contains(&cost) { "*" } else { "" };
    or_dash(value, |value| value + mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Costs, Magnitude, RunRef, Significance, TestKind};

    fn ranking() -> Ranking {
        let run = |id: &str, quality| RankedRun {
            run: RunRef { suite: "desk".into(), run_id: id.into() },
            model: Some("m|`x`".into()),
            first: false,
            quality: Some(quality),
            interval: crate::stats::wilson((quality * 100.0) as u64, 100, 0.95),
            cases: 100,
            errored: 0,
            order: Some(quality),
            first_quality: Some(0.4),
            difference: Some(Magnitude {
                difference: 0.2,
                interval: None,
                detectable: Detectable::Effect(0.1),
                sample: crate::compare::Sample::default(),
            }),
            significance: Some(Significance { p_value: 0.001, significant: true, test: TestKind::McNemar }),
            danger: None,
            danger_lost: Some(2),
            outcome: Some(Decision::Inconclusive),
            costs: Costs { tokens_per_case: Some(12.0), seconds: Some(3.0), cached: 1, drafted: 0, memory_bytes: None },
            frontier: vec![Cost::Tokens],
        };
        let first = RankedRun {
            first: true,
            difference: None,
            significance: None,
            outcome: None,
            first_quality: None,
            ..run("base", 0.4)
        };
        Ranking { by: "golden.match".into(), runs: vec![run("better", 0.6), first] }
    }

    #[test]
    fn a_row_for_each_run() {
        let text = terminal(&ranking(), Style { width: 160, ..Style::default() });
        assert!(text.contains("better") && text.contains("+0.2000") && text.contains("12.0*"), "{text}");
        assert!(text.contains("base (first)") && text.contains("3.0c"), "{text}");
        let narrow = terminal(&ranking(), Style { width: 60, ..Style::default() });
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        assert!(narrow.contains("change") && !narrow.contains("MiB"), "{narrow}");
        assert!(!narrow.contains("Pareto") && !narrow.contains("cache"), "no legend of what is not there: {narrow}");
        assert!(text.contains("Pareto") && text.contains("inconclusive") && text.contains("100"), "{text}");
        let text = markdown(&ranking());
        assert!(text.contains("**+0.2000**") && !text.contains("m|`"), "{text}");
        let rows: Vec<usize> =
            text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
        assert_eq!(rows, [18; 4]);
        let value: serde_json::Value = serde_json::from_slice(&json(&ranking()).unwrap()).unwrap();
        assert_eq!(value["ranking"]["runs"][0]["frontier"][0], "tokens");
    }
}
