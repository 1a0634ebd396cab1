//! The report on a terminal: table, what changed and why, worst regressions, verdict. Plain text where colour is off.

use super::page::{Column, Page, Paint, wrap};
use super::rows::{Figures, OutcomeRow, Row, outcomes, remarks, rows, scorer_name};
use super::text::{NONE_DETECTABLE, changed_words, count, detectable, one_line};
use super::{Errored, Report};
use crate::compare::{
    CaseChange, ChangeKind, Comparison, Decision, Effect, Outcome, RuleResult, SliceComparison, Tier, Verdict,
};
use crate::dataset::Kind;
use crate::stats::format::{figure, interval, or_dash, p_value, signed, signed_interval};

pub use super::page::Style;

/// How many causes and how many cases of a rule to show.
const LISTED: usize = 12;

/// The report as text with a line break at the end.
pub fn render(report: &Report<'_>, style: Style) -> String {
    let mut out = Page::new(style);
    out.line(0, &[(Paint::Bold, report.suite), (Paint::Plain, "  "), (Paint::Dim, report.run_id)]);
    if let Some(comparison) = report.comparison {
        out.line(0, &[(Paint::Dim, &format!("compared with {}", comparison.base.run_id))]);
    }
    if let Some(partial) = report.partial() {
        out.line(0, &[(Paint::Bad, &partial)]);
    }
    out.blank();
    out.figures(&rows(report), report.comparison.is_some());
    for (dataset, text) in remarks(report) {
        out.line(0, &[(Paint::Bold, &dataset), (Paint::Plain, ": ")]);
        for line in wrap(&text, style.width.saturating_sub(2)) {
            out.line(2, &[(Paint::Plain, &line)]);
        }
    }
    out.outcomes(&outcomes(report));
    if report.missing_cases() > 0 {
        out.blank();
        let text = format!("incomplete: {} of the plan without a result", count(report.missing_cases(), "case"));
        out.line(0, &[(Paint::Bad, &text)]);
    }
    if let Some(errored) = report.errored.filter(|errored| errored.total > 0) {
        out.errored(errored);
    }
    if let Some(comparison) = report.comparison {
        out.changes(comparison);
        out.slices(comparison);
        out.regressions(comparison);
    }
    if let Some(verdict) = report.verdict {
        out.verdict(verdict);
    }
    out.text
}

/// The sections of the report.
impl Page {
    fn figures(&mut self, rows: &[Row], compared: bool) {
        if rows.is_empty() {
            self.line(0, &[(Paint::Dim, "no cases")])
        } else {
            let titles = self.table(columns_of(rows, compared));
            if titles.contains(&"detectable") && rows.iter().any(|row| detectable(row.detectable()) == "none") {
                self.notes(NONE_DETECTABLE);
            }
        }
    }

    /// A legend, which wraps.
    fn notes(&mut self, text: &str) {
        for line in wrap(text, self.style.width) {
            self.line(0, &[(Paint::Dim, &line)]);
        }
    }

    /// What became of answers: many of one kind is a warning.
    fn outcomes(&mut self, rows: &[OutcomeRow]) {
        if rows.is_empty() {
            return;
        }
        self.blank();
        self.line(0, &[(Paint::Bold, "answers")]);
        for row in rows {
            let mark = if row.notable { "warning: " } else { "" };
            let text = format!("{}: {mark}{}", row.dataset, row.text);
            let paint = if row.notable { Paint::Bad } else { Paint::Plain };
            for (at, line) in wrap(&text, self.style.width.saturating_sub(4)).iter().enumerate() {
                self.line(if at == 0 { 2 } else { 4 }, &[(paint, line)]);
            }
        }
    }

    /// Errored cases by name, each with its reason.
    fn errored(&mut self, errored: &Errored) {
        self.blank();
        let shown = &errored.cases[..errored.cases.len().min(LISTED)];
        self.line(0, &[(Paint::Bold, &format!("errored cases ({} of {})", shown.len(), errored.total))]);
        for case in shown {
            self.line(2, &[(Paint::Bad, &case.name())]);
            for line in wrap(&one_line(&case.error, 4 * self.style.width), self.style.width.saturating_sub(4)) {
                self.line(4, &[(Paint::Plain, &line)]);
            }
        }
    }

    /// Slices that changed for sure, and where none did, that so many were looked at.
    fn slices(&mut self, comparison: &Comparison) {
        let slices = &comparison.slices;
        if slices.is_empty() {
            return;
        }
        self.blank();
        let real: Vec<&SliceComparison> =
            slices.iter().filter(|slice| slice.significance.is_some_and(|s| s.significant)).collect();
        let more = if comparison.slices_left_out { " (there are more than are looked at)" } else { "" };
        let looked = format!(
            "slices: {} of {} differ beyond chance, corrected for their number{more}",
            real.len(),
            slices.len()
        );
        self.line(0, &[(Paint::Bold, &looked)]);
        let shown = &real[..real.len().min(LISTED)];
        if shown.is_empty() {
            return;
        }
        let plain = |text: String| (Paint::Plain, text);
        let table = vec![
            Column::left("dataset", shown, |row| plain(row.dataset.clone())),
            Column::left("slice", shown, |row| plain(row.slice.to_string())),
            Column::left("scorer", shown, |row| plain(scorer_name(&row.metric).to_owned())),
            Column::right("cases", 0, shown, |row| plain(row.cases.to_string())),
            Column::right("regressed", 2, shown, |row| plain(row.regressed.to_string())),
            Column::right("improved", 2, shown, |row| plain(row.improved.to_string())),
            Column::right("baseline", 1, shown, |row| plain(figure(row.base_rate))),
            Column::right("rate", 0, shown, |row| plain(figure(row.candidate_rate))),
            Column::right("p", 0, shown, |row| plain(or_dash(row.significance, |s| p_value(s.p_value)))),
        ];
        self.table(table);
    }

    fn changes(&mut self, comparison: &Comparison) {
        self.blank();
        let kinds = ChangeKind::ALL.into_iter().map(|kind| (kind, comparison.count(kind))).filter(|(_, n)| *n > 0);
        let mut parts: Vec<String> = kinds.map(|(kind, n)| format!("{n} {}", kind.label())).collect();
        parts.push(format!("{} unchanged", comparison.unchanged));
        if comparison.unselected > 0 {
            parts.push(format!("{} not selected", comparison.unselected));
        }
        let what = if comparison.repeated { "answers: " } else { "cases: " };
        self.line(0, &[(Paint::Bold, what), (Paint::Plain, &parts.join(", "))]);
        if comparison.unexplained() {
            let text = "nothing that the records hold explains the change: same model, prompt, data and parameters";
            self.line(0, &[(Paint::Bad, text)]);
        }
        for cause in comparison.causes.iter().take(LISTED) {
            let value = |value: &Option<String>| value.as_deref().map_or("none".into(), |value| one_line(value, 24));
            let text = format!(": {}: {} -> {}", cause.what, value(&cause.base), value(&cause.candidate));
            let kind = (Paint::Bold, cause.kind.label());
            match cause.effect {
                None => self.line(0, &[(Paint::Plain, "not the same "), kind, (Paint::Plain, &text)]),
                Some(effect) => {
                    let paint = if effect == Effect::Tightened { Paint::Plain } else { Paint::Bad };
                    self.line(0, &[kind, (Paint::Plain, " "), (paint, effect.label()), (Paint::Plain, &text)]);
                }
            }
        }
        if comparison.causes.len() > LISTED {
            let text = format!("and {} more differences", comparison.causes.len() - LISTED);
            self.line(0, &[(Paint::Dim, &text)]);
        }
    }

    fn regressions(&mut self, comparison: &Comparison) {
        let bad = [
            (ChangeKind::Regressed, "regressions"),
            (ChangeKind::Errored, "errored cases"),
            (ChangeKind::Removed, "removed cases"),
        ];
        let total: u64 = bad.into_iter().map(|(kind, _)| comparison.count(kind)).sum();
        if total == 0 || self.style.regressions == 0 {
            return;
        }
        let shown = comparison.changes.iter().filter(|case| bad.iter().any(|(kind, _)| *kind == case.change));
        let shown: Vec<&CaseChange> = shown.take(self.style.regressions).collect();
        let there = bad.into_iter().filter(|(kind, _)| comparison.count(*kind) > 0);
        let kinds: Vec<&str> = there.map(|(_, kind)| kind).collect();
        self.blank();
        self.line(0, &[(Paint::Bold, &format!("worst {} ({} of {total})", kinds.join(", "), shown.len()))]);
        for case in shown {
            self.case(case, comparison.numerics_differ());
        }
    }

    fn case(&mut self, case: &CaseChange, numerics: bool) {
        let scorers: Vec<&str> =
            case.scorers.iter().filter(|s| case.regressed(Some(&s.scorer))).map(|s| s.scorer.as_str()).collect();
        let name = format!("{}/{}", case.dataset, case.id);
        let what = format!("  {}  {}", case.change.label(), scorers.join(", "));
        let note = if numerics && case.class == Kind::Danger { "  numerics may differ" } else { "" };
        self.line(2, &[(Paint::Bad, &name), (Paint::Dim, what.trim_end()), (Paint::Plain, note)]);
        if let (Some(base), Some(candidate)) = (&case.base, &case.candidate)
            && let (Some(before), Some(after)) = (&base.prompt, &candidate.prompt)
        {
            let shown = changed_words(before, after, self.style.width.saturating_sub(12));
            self.line(4, &[(Paint::Dim, "prompt  "), (Paint::Plain, &shown)]);
        }
        for (label, view) in [("before  ", &case.base), ("after   ", &case.candidate)] {
            let Some(view) = view else { continue };
            let shown = match (&view.error, &view.output) {
                (Some(error), _) => format!("error: {error}"),
                (None, Some(output)) => output.clone(),
                (None, None) => "(output not kept)".into(),
            };
            self.line(
                4,
                &[(Paint::Dim, label), (Paint::Plain, &one_line(&shown, self.style.width.saturating_sub(12)))],
            );
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.blank();
        let paint = match verdict.outcome {
            Decision::Passed => Paint::Good,
            Decision::Failed | Decision::Inconclusive => Paint::Bad,
        };
        let against = verdict.baseline.as_ref().map_or(String::new(), |run| format!(" against {run}"));
        self.line(0, &[(paint, &verdict.headline()), (Paint::Dim, &against)]);
        for warning in &verdict.warnings {
            for line in wrap(&format!("warning: {warning}"), self.style.width) {
                self.line(0, &[(Paint::Bad, &line)]);
            }
        }
        for rule in &verdict.rules {
            let advisory = rule.tier() == Tier::Advisory;
            let (paint, word) = match rule.outcome {
                Outcome::Passed => (Paint::Good, "ok    "),
                Outcome::Failed if advisory => (Paint::Bad, "warn  "),
                Outcome::Failed => (Paint::Bad, "FAIL  "),
                Outcome::Inconclusive => (Paint::Bad, "inconclusive  "),
                Outcome::Skipped => (Paint::Dim, "skip  "),
            };
            let tier = rule.tier.map_or(String::new(), |tier| format!(" ({})", tier.word()));
            self.line(2, &[(paint, word), (Paint::Plain, &rule.rule), (Paint::Dim, &tier)]);
            // The figures are the point: they wrap instead of being cut.
            for line in wrap(&rule.reason, self.style.width.saturating_sub(8)) {
                self.line(8, &[(Paint::Dim, &line)]);
            }
            if rule.cases_total > 0 {
                self.line(8, &[(Paint::Plain, &rule_cases(rule))]);
            }
        }
    }
}

/// The cases behind a rule: the first by name, the rest by number.
fn rule_cases(rule: &RuleResult) -> String {
    let shown: Vec<String> =
        rule.cases.iter().take(LISTED).map(|case| format!("{}/{}", case.dataset, case.id)).collect();
    let more = rule.cases_total - (shown.len() as u64).min(rule.cases_total);
    match (shown.is_empty(), more) {
        (true, more) => count(more, "case"),
        (false, 0) => shown.join(", "),
        (false, _) => format!("{}, … ({} in all)", shown.join(", "), rule.cases_total),
    }
}

fn columns_of(rows: &[Row], compared: bool) -> Vec<Column> {
    let plain = |text: String| (Paint::Plain, text);
    let mut table = vec![
        Column::left("dataset", rows, |row| plain(row.dataset.clone())),
        Column::left("scorer", rows, |row| plain(row.scorer.clone())),
        Column::right("cases", 0, rows, |row| plain(row.figures.cases.to_string())),
        Column::right("passed", 5, rows, |row| {
            let Figures { cases, answers, passed, .. } = row.figures;
            plain(if cases == answers { passed.to_string() } else { format!("{passed} of {answers} answers") })
        }),
    ];
    if rows.iter().any(|row| row.figures.errored > 0) {
        table.push(Column::right("errors", 0, rows, |row| {
            let paint = if row.figures.errored > 0 { Paint::Bad } else { Paint::Plain };
            (paint, row.figures.errored.to_string())
        }));
    }
    table.push(Column::right("rate", 0, rows, |row| plain(figure(row.figures.rate))));
    table.push(Column::right("95 %", 6, rows, |row| plain(or_dash(row.figures.interval, interval))));
    table.push(Column::right("mean", 7, rows, |row| plain(figure(row.figures.mean))));
    if compared {
        table.push(Column::right("baseline", 2, rows, |row| plain(figure(row.base_rate))));
        table.push(Column::right("change", 0, rows, |row| {
            let Some(difference) = row.difference else { return plain("–".into()) };
            let real = row.significance.is_some_and(|significance| significance.significant);
            let paint = match difference.difference {
                d if real && d < 0.0 => Paint::Bad,
                d if real && d > 0.0 => Paint::Good,
                _ => Paint::Plain,
            };
            (paint, signed(difference.difference))
        }));
        table.push(Column::right("95 %", 3, rows, |row| {
            plain(or_dash(row.difference.and_then(|d| d.interval), signed_interval))
        }));
        table.push(Column::right("p", 1, rows, |row| plain(or_dash(row.significance, |s| p_value(s.p_value)))));
        // What "not significant" could have overlooked.
        table.push(Column::right("detectable", 4, rows, |row| plain(detectable(row.detectable()))));
    }
    table
}

#[cfg(test)]
mod tests;
