//! The report as GitHub-flavoured Markdown, small enough for a pull-request comment: below 65,536 characters whatever it is about.
//! Each part has a budget of its own, so that none takes another's place, the verdict's least of all; what a part has no room for is
//! counted, "… and 12 more rules". Cases take the rest.
//!
//! Everything that comes from data or a model stands in `<code>` or `<pre>` with its punctuation as character
//! references: no table, emphasis, link, HTML, mention or issue number can be made from it.

use std::fmt::Write;

use super::rows::{Row, outcomes, remarks, rows, scorer_name};
use super::text::{NONE_DETECTABLE, count, detectable, one_line, visible};
use super::{Errored, Report};
use crate::compare::{
    CaseChange, CaseView, Cause, ChangeKind, Comparison, Decision, Outcome, RuleResult, ScorerChange, SliceComparison,
    TextSide, Verdict, word_diff,
};
use crate::dataset::Kind;
use crate::stats::format::{figure, fixed, interval, or_dash, p_value, signed, signed_interval};

/// GitHub takes comments of 65,536 characters; the rest is room for what a workflow puts around. Characters are counted in units
/// of UTF-16, of which a character has one or two.
const LIMIT: usize = 60_000;
/// Budget of the parts before the cases; together with the head, and with what says that there is more, below [`LIMIT`].
const WARNINGS: usize = 4_000;
const RULES: usize = 16_000;
const ERRORED: usize = 5_000;
const FIGURES: usize = 9_000;
const REPEATS: usize = 2_000;
const OUTCOMES: usize = 3_000;
const CAUSES: usize = 8_000;
const SLICES: usize = 4_000;
/// Budget behind the cases of a list, for its end, the heads of the lists still to come, and the last line.
const END: usize = 1_500;
/// Rows, causes and rules to show.
const LISTED: usize = 60;
/// Budget of the scorers of a case.
const SCORERS: usize = 6_000;
/// Characters of an output or an explanation.
const OUTPUT: usize = 600;
/// Characters of what stayed to show beside what changed.
const AROUND: usize = 120;

/// The report.
pub fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    let word = report.verdict.map_or(String::new(), |verdict| format!(": {}", verdict.outcome.word()));
    line(&mut out, &format!("## karat {}{word}\n", code(report.suite, 100)));
    let against = report.comparison.map(|c| format!(" against {}", code(&c.base.run_id, 60))).unwrap_or_default();
    line(&mut out, &format!("Run {}{against}.\n", code(report.run_id, 60)));
    if let Some(partial) = report.partial() {
        line(&mut out, &format!("**Partial**: {}.\n", code(&partial, 200)));
    }
    if report.missing_cases() > 0 {
        line(
            &mut out,
            &format!("**Incomplete**: {} without a result.\n", count(report.missing_cases(), "selected case")),
        );
    }
    if let Some(verdict) = report.verdict {
        rules(&mut out, verdict);
    }
    if let Some(errored) = report.errored.filter(|errored| errored.total > 0) {
        self::errored(&mut out, errored);
    }
    table(&mut out, report);
    let repeated = remarks(report).into_iter();
    let repeated = repeated.map(|(dataset, text)| format!("{}: {}.\n", code(&dataset, 60), text.replace('^', "\\^")));
    list(&mut out, REPEATS, "datasets with several answers to a case", repeated);
    // Warnings first: they are what must not be left out.
    let (notable, plain): (Vec<_>, Vec<_>) = outcomes(report).into_iter().partition(|row| row.notable);
    let outcomes = notable.into_iter().chain(plain).map(|row| {
        let mark = if row.notable { "**Warning**: " } else { "" };
        format!("- {mark}{} {}", code(&row.dataset, 60), code(&row.text, 240))
    });
    if list(&mut out, OUTCOMES, "lines on what became of answers", outcomes) {
        line(&mut out, "");
    }
    if let Some(comparison) = report.comparison {
        changes(&mut out, comparison);
        slices(&mut out, comparison);
        cases(&mut out, comparison);
    }
    out
}

/// Text from data on one line, as code. Punctuation becomes character references where Markdown or HTML could read it
/// as anything but text; a dot only where it would make a link of `www.`.
pub(super) fn code(text: &str, width: usize) -> String {
    let mut shown = String::from("<code>");
    let mut before = ' ';
    for c in one_line(text, width).chars() {
        let link = c == '.' && before.eq_ignore_ascii_case(&'w');
        if c.is_ascii_punctuation() && (link || !",;%()/+=-.".contains(c)) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "&#{};", u32::from(c));
        } else {
            shown.push(c);
        }
        before = c;
    }
    shown.push_str("</code>");
    shown
}

/// Text from data over several lines. In a `<pre>` block only HTML counts, and it ends only with its own tag.
fn block(text: &str) -> String {
    let cut: String = text.chars().take(OUTPUT).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    let mut shown = escaped(&cut);
    shown.truncate(shown.trim_end().len());
    format!("<pre>\n{shown}{more}\n</pre>\n")
}

/// Two texts in one block: what is gone struck out, what is new underlined, long stretches that stayed cut.
fn difference(before: &str, after: &str) -> String {
    let mut shown = String::from("<pre>\n");
    let (mut left, pieces) = (OUTPUT, word_diff(before, after));
    for (at, (side, text)) in pieces.iter().enumerate() {
        let (tag, budget) = match side {
            TextSide::Both => ("", left.min(if at == 0 || at + 1 == pieces.len() { AROUND } else { 2 * AROUND })),
            TextSide::Before => ("del", left),
            TextSide::After => ("ins", left),
        };
        let count = text.chars().count();
        left = left.saturating_sub(count.min(budget));
        let kept = match (count <= budget, side) {
            (true, _) => escaped(text),
            (false, TextSide::Both) => {
                let (head, tail) = match (at == 0, at + 1 == pieces.len()) {
                    (true, _) => (0, budget),
                    (_, true) => (budget, 0),
                    _ => (budget / 2, budget / 2),
                };
                let start: String = text.chars().take(head).collect();
                let end: String = text.chars().skip(count - tail).collect();
                format!("{}…{}", escaped(&start), escaped(&end))
            }
            (false, _) => escaped(&text.chars().take(budget).collect::<String>()) + "…",
        };
        match tag {
            "" => shown.push_str(&kept),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "<{tag}>{kept}</{tag}>");
            }
        }
        if left == 0 {
            break;
        }
    }
    shown.truncate(shown.trim_end().len());
    shown.push_str("\n</pre>\n");
    shown
}

/// Text as it may stand in a `<pre>` block.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, part) in text.split('\n').enumerate() {
        if at > 0 {
            shown.push('\n');
        }
        for c in visible(part.trim_end_matches('\r')).chars() {
            match c {
                '&' | '<' | '>' | '"' | '@' | '#' | '`' | '[' | ']' => {
                    let _ = write!(shown, "&#{};", u32::from(c));
                }
                _ => shown.push(c),
            }
        }
    }
    shown
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Characters as a comment's limit counts them.
fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Adds lines, [`LISTED`] of them at most and only while the budget lasts, and says how many it leaves out. Whether there are any.
pub(super) fn list(out: &mut String, budget: usize, noun: &str, lines: impl Iterator<Item = String>) -> bool {
    list_of_more(out, (budget, noun), 0, lines)
}

/// [`list`], where there are so many beyond the lines.
fn list_of_more(
    out: &mut String,
    (budget, noun): (usize, &str),
    beyond: u64,
    lines: impl Iterator<Item = String>,
) -> bool {
    let (mut left, mut shown, mut full, mut more) = (budget, 0, false, beyond);
    for text in lines {
        let size = size(&text) + 1;
        full |= shown == LISTED || size > left;
        if full {
            more += 1;
            continue;
        }
        line(out, &text);
        (left, shown) = (left - size, shown + 1);
    }
    if more > 0 {
        line(out, &format!("\n… and {more} more {noun}."));
    }
    shown > 0 || more > 0
}

/// Errored cases by name, each with its reason.
fn errored(out: &mut String, errored: &Errored) {
    line(out, &format!("**{} errored**:\n", count(errored.total, "case")));
    let cases = errored.cases.iter().map(|case| format!("- {}: {}", code(&case.name(), 120), code(&case.error, 240)));
    let beyond = errored.total.saturating_sub(errored.cases.len() as u64);
    list_of_more(out, (ERRORED, "errored cases"), beyond, cases);
    line(out, "");
}

fn rules(out: &mut String, verdict: &Verdict) {
    if verdict.outcome != Decision::Failed {
        line(out, &format!("{}.\n", verdict.headline()));
    }
    let warnings = verdict.warnings.iter().map(|warning| format!("**Warning**: {}.\n", code(warning, 240)));
    list(out, WARNINGS, "warnings", warnings);
    if verdict.rules.is_empty() {
        return;
    }
    line(out, "| gate | | figures | cases |\n|---|---|---|---|");
    // Failures first: they are what the reader came for.
    let order = |outcome| verdict.rules.iter().filter(move |rule| rule.outcome == outcome);
    let open = order(Outcome::Inconclusive).chain(order(Outcome::Skipped));
    let rules = order(Outcome::Failed).chain(open).chain(order(Outcome::Passed));
    let row = |rule: &RuleResult| {
        let word = match rule.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "**failed**",
            Outcome::Inconclusive => "**inconclusive**",
            Outcome::Skipped => "not judged",
        };
        let word = rule.tier.map_or(word.to_owned(), |tier| format!("{word} ({})", tier.word()));
        let mut cases: Vec<String> =
            rule.cases.iter().take(5).map(|case| code(&format!("{}/{}", case.dataset, case.id), 60)).collect();
        if rule.cases_total > cases.len() as u64 {
            cases.push(format!("{} in all", rule.cases_total));
        }
        format!("| {} | {word} | {} | {} |", code(&rule.rule, 120), code(&rule.reason, 240), cases.join(", "))
    };
    list(out, RULES, "rules", rules.map(row));
    line(out, "");
}

fn table(out: &mut String, report: &Report<'_>) {
    let rows = rows(report);
    let compared = report.comparison.is_some();
    out.push_str("| dataset | scorer | cases | passed | errors | rate | 95 % | mean |");
    line(out, if compared { " baseline | change | 95 % | p | detectable |" } else { "" });
    out.push_str("|---|---|--:|--:|--:|--:|--:|--:|");
    line(out, if compared { "--:|--:|--:|--:|--:|" } else { "" });
    list(out, FIGURES, "rows", rows.iter().map(|row| figures(row, compared)));
    if compared && rows.iter().any(|row| detectable(row.detectable()) == "none") {
        line(out, &format!("\n{NONE_DETECTABLE}."));
    }
    line(out, "");
}

/// A row of the table.
fn figures(row: &Row, compared: bool) -> String {
    let f = &row.figures;
    let interval = or_dash(f.interval, interval);
    let errors = if f.errored > 0 { format!("**{}**", f.errored) } else { "0".into() };
    let names = format!("| {} | {} ", code(&row.dataset, 60), code(&row.scorer, 60));
    let (rate, mean) = (figure(f.rate), figure(f.mean));
    let mut shown = format!("{names}| {} | {} | {errors} | {rate} | {interval} | {mean} |", f.cases, f.passed);
    if compared {
        let change = or_dash(row.difference, |d| signed(d.difference));
        let change = if row.significance.is_some_and(|s| s.significant) { format!("**{change}**") } else { change };
        let interval = or_dash(row.difference.and_then(|d| d.interval), signed_interval);
        let p = or_dash(row.significance, |s| p_value(s.p_value));
        let detectable = detectable(row.detectable());
        shown.push_str(&format!(" {} | {change} | {interval} | {p} | {detectable} |", figure(row.base_rate)));
    }
    shown
}

fn changes(out: &mut String, comparison: &Comparison) {
    let kinds = ChangeKind::ALL.into_iter().map(|kind| (kind, comparison.count(kind))).filter(|(_, n)| *n > 0);
    let mut parts: Vec<String> = kinds.map(|(kind, n)| format!("{n} {}", kind.label())).collect();
    parts.push(format!("{} unchanged", comparison.unchanged));
    if comparison.unselected > 0 {
        parts.push(format!("{} not selected", comparison.unselected));
    }
    let what = if comparison.repeated { "Answers" } else { "Cases" };
    line(out, &format!("{what}: {}.\n", parts.join(", ")));
    if comparison.unexplained() {
        line(out, "**Nothing that the records hold explains the change**: same model, prompt, data and parameters.\n");
    }
    if comparison.causes.is_empty() {
        return;
    }
    line(out, "| what differs | | baseline | candidate |\n|---|---|---|---|");
    let row = |cause: &Cause| {
        let value = |value: &Option<String>| or_dash(value.as_deref(), |value| code(value, 60));
        let (what, base, candidate) = (code(&cause.what, 80), value(&cause.base), value(&cause.candidate));
        let effect = cause.effect.map_or(String::new(), |effect| format!(" {}", effect.label()));
        format!("| {}{effect} | {what} | {base} | {candidate} |", cause.kind.label())
    };
    list(out, CAUSES, "differences", comparison.causes.iter().map(row));
    line(out, "");
}

/// Slices that changed beyond chance, and how many were looked at.
fn slices(out: &mut String, comparison: &Comparison) {
    let total = comparison.slices.len();
    if total == 0 {
        return;
    }
    let real: Vec<_> = comparison.slices.iter().filter(|s| s.significance.is_some_and(|s| s.significant)).collect();
    let more = if comparison.slices_left_out { "; there are more than are looked at" } else { "" };
    line(out, &format!("Slices: {} of {total} differ beyond chance (corrected for their number{more}).\n", real.len()));
    if real.is_empty() {
        return;
    }
    line(out, "| dataset | slice | scorer | cases | regressed | improved | baseline | rate | p |");
    line(out, "|---|---|---|--:|--:|--:|--:|--:|--:|");
    let row = |slice: &SliceComparison| {
        let names = [&*slice.dataset, &slice.slice.to_string(), scorer_name(&slice.metric)]
            .map(|name| code(name, 60))
            .join(" | ");
        let (base, rate) = (figure(slice.base_rate), figure(slice.candidate_rate));
        let p = or_dash(slice.significance, |s| p_value(s.p_value));
        let counts = format!("{} | {} | {}", slice.cases, slice.regressed, slice.improved);
        format!("| {names} | {counts} | {base} | {rate} | {p} |")
    };
    list(out, SLICES, "slices", real.into_iter().map(row));
    line(out, "");
}

/// Collapsible lists by kind of change, worst first, as many cases as the limit allows.
fn cases(out: &mut String, comparison: &Comparison) {
    let mut left = LIMIT.saturating_sub(size(out) + END);
    for kind in ChangeKind::ALL {
        let total = comparison.count(kind);
        if total == 0 {
            continue;
        }
        let head = format!("<details><summary>{total} {}</summary>\n", kind.label());
        if size(&head) > left {
            line(out, "… and more changed cases, for which there is no room here.\n");
            break;
        }
        line(out, &head);
        left -= size(&head);
        let mut shown = 0;
        for case in comparison.changes.iter().filter(|case| case.change == kind) {
            let text = self::case(case, comparison.numerics_differ());
            if size(&text) > left {
                break;
            }
            out.push_str(&text);
            left -= size(&text);
            shown += 1;
        }
        if shown < total {
            line(out, &format!("{shown} of {total} shown.\n"));
        }
        line(out, "</details>\n");
    }
}

/// A case whole; of very many scorers some.
fn case(case: &CaseChange, numerics: bool) -> String {
    let mut out = String::new();
    let prompt = if case.prompt_changed == Some(true) { " (another prompt)" } else { "" };
    let numerics = if numerics && case.class == Kind::Danger { " (numerics may differ)" } else { "" };
    let note = format!("{prompt}{numerics}");
    line(&mut out, &format!("**{}**{note}\n", code(&format!("{}/{}", case.dataset, case.id), 120)));
    let row = |scorer: &ScorerChange| {
        let say = |score: &Option<crate::score::Score>| match score {
            Some(score) => {
                let word = if score.passed { "pass" } else { "fail" };
                format!("{word} {} {}", fixed(score.value), code(&score.explanation, 120))
            }
            None => "not scored".into(),
        };
        format!("- {}: {} → {}", code(&scorer.scorer, 60), say(&scorer.base), say(&scorer.candidate))
    };
    list(&mut out, SCORERS, "scorers", case.scorers.iter().map(row));
    line(&mut out, "");
    if let (Some(base), Some(candidate)) = (&case.base, &case.candidate)
        && let (Some(before), Some(after)) = (&base.prompt, &candidate.prompt)
    {
        line(&mut out, &format!("Prompt:\n\n{}", difference(before, after)));
    }
    let text = |view: &CaseView| match (&view.error, &view.output) {
        (Some(error), _) => format!("Error:\n\n{}", block(error)),
        (None, Some(output)) => block(output),
        (None, None) => "(output not kept)\n".into(),
    };
    match (&case.base, &case.candidate) {
        (Some(base), Some(candidate)) if (&base.output, &base.error) == (&candidate.output, &candidate.error) => {
            line(&mut out, &format!("Same output:\n\n{}", text(base)));
        }
        (
            Some(CaseView { output: Some(before), error: None, .. }),
            Some(CaseView { output: Some(after), error: None, .. }),
        ) => {
            line(&mut out, &format!("Output:\n\n{}", difference(before, after)));
        }
        (base, candidate) => {
            for (label, view) in [("Before", base), ("After", candidate)] {
                if let Some(view) = view {
                    line(&mut out, &format!("{label}:\n\n{}", text(view)));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
