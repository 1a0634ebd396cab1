//! The report on a terminal: table, what changed and why, worst regressions, verdict. Plain text where colour is off.

use std::fmt::Write;

use super::Report;
use super::rows::{Row, rows};
use super::text::{columns, count, number, one_line, p_value};
use crate::compare::{CaseChange, ChangeKind, Comparison, Outcome, RuleResult, Verdict};

/// How to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// How many regressions to show.
    pub regressions: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 100, color: false, regressions: 10 }
    }
}

/// How many causes and how many cases of a rule to show.
const LISTED: usize = 12;

/// The report as text with a line break at the end.
pub fn render(report: &Report<'_>, style: Style) -> String {
    let mut out = Page { text: String::new(), style };
    out.line(0, &[(Paint::Bold, report.suite), (Paint::Plain, "  "), (Paint::Dim, report.run_id)]);
    if let Some(comparison) = report.comparison {
        out.line(0, &[(Paint::Dim, &format!("compared with {}", comparison.base.run_id))]);
    }
    out.blank();
    out.table(&rows(report), report.comparison.is_some());
    if report.missing_cases() > 0 {
        out.blank();
        let text = format!("incomplete: {} of the plan without a result", count(report.missing_cases(), "case"));
        out.line(0, &[(Paint::Bad, &text)]);
    }
    if let Some(comparison) = report.comparison {
        out.changes(comparison);
        out.regressions(comparison);
    }
    if let Some(verdict) = report.verdict {
        out.verdict(verdict);
    }
    out.text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

struct Page {
    text: String,
    style: Style,
}

/// A table column: title, cells, whether numbers (to the right), and in which order columns give way (0 never).
struct Column {
    title: &'static str,
    cells: Vec<(Paint, String)>,
    right: bool,
    gives_way: u8,
}

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().map(|(_, cell)| columns(cell)).fold(columns(self.title), usize::max)
    }
}

impl Page {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line of painted pieces, cut at the width.
    fn line(&mut self, indent: usize, pieces: &[(Paint, &str)]) {
        self.text.push_str(&" ".repeat(indent));
        let mut left = self.style.width.saturating_sub(indent);
        for (paint, piece) in pieces {
            let shown = if columns(piece) <= left && !piece.contains(char::is_control) {
                (*piece).to_owned()
            } else {
                one_line(piece, left)
            };
            left -= columns(&shown).min(left);
            self.paint(*paint, &shown);
        }
        self.text.push('\n');
    }

    fn paint(&mut self, paint: Paint, text: &str) {
        let code = match paint {
            Paint::Plain => "",
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Bad => "31",
        };
        if code.is_empty() || !self.style.color || text.is_empty() {
            self.text.push_str(text);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.text, "\u{1b}[{code}m{text}\u{1b}[0m");
        }
    }

    fn table(&mut self, rows: &[Row], compared: bool) {
        if rows.is_empty() {
            return self.line(0, &[(Paint::Dim, "no cases")]);
        }
        let mut table = columns_of(rows, compared);
        // The widest names may take a third of the width each.
        let most = (self.style.width / 3).max(8);
        for column in table.iter_mut().filter(|column| !column.right) {
            column.cells.iter_mut().for_each(|(_, cell)| *cell = one_line(cell, most));
        }
        let total = |table: &[Column]| table.iter().map(|column| column.width() + 2).sum::<usize>().saturating_sub(2);
        while total(&table) > self.style.width {
            let first = table.iter().enumerate().filter(|(_, c)| c.gives_way > 0).max_by_key(|(_, c)| c.gives_way);
            let Some((place, _)) = first else { break };
            table.remove(place);
        }
        let titles: Vec<_> = table.iter().map(|column| (Paint::Dim, column.title.to_owned())).collect();
        self.cells(&table, &titles);
        for row in 0..rows.len() {
            let cells: Vec<_> = table.iter().map(|column| column.cells[row].clone()).collect();
            self.cells(&table, &cells);
        }
    }

    fn cells(&mut self, table: &[Column], cells: &[(Paint, String)]) {
        let mut gap = 0;
        for (column, (paint, cell)) in table.iter().zip(cells) {
            let pad = column.width() - columns(cell);
            let before = gap + if column.right { pad } else { 0 };
            self.text.push_str(&" ".repeat(before));
            self.paint(*paint, cell);
            gap = 2 + if column.right { 0 } else { pad };
        }
        self.text.push('\n');
    }

    fn changes(&mut self, comparison: &Comparison) {
        self.blank();
        let kinds = ChangeKind::ALL.into_iter().map(|kind| (kind, comparison.count(kind))).filter(|(_, n)| *n > 0);
        let mut parts: Vec<String> = kinds.map(|(kind, n)| format!("{n} {}", kind.label())).collect();
        parts.push(format!("{} unchanged", comparison.unchanged));
        self.line(0, &[(Paint::Bold, "cases: "), (Paint::Plain, &parts.join(", "))]);
        if comparison.unexplained() {
            let text = "nothing that the records hold explains the change: same model, prompt, data and parameters";
            self.line(0, &[(Paint::Bad, text)]);
        }
        for cause in comparison.causes.iter().take(LISTED) {
            let value = |value: &Option<String>| value.as_deref().map_or("none".into(), |value| one_line(value, 24));
            let text = format!(": {}: {} -> {}", cause.what, value(&cause.base), value(&cause.candidate));
            self.line(0, &[(Paint::Plain, "not the same "), (Paint::Bold, cause.kind.label()), (Paint::Plain, &text)]);
        }
        if comparison.causes.len() > LISTED {
            let text = format!("and {} more differences", comparison.causes.len() - LISTED);
            self.line(0, &[(Paint::Dim, &text)]);
        }
    }

    fn regressions(&mut self, comparison: &Comparison) {
        let bad = [ChangeKind::Regressed, ChangeKind::Errored, ChangeKind::Removed];
        let total: u64 = bad.into_iter().map(|kind| comparison.count(kind)).sum();
        if total == 0 || self.style.regressions == 0 {
            return;
        }
        let shown: Vec<&CaseChange> =
            comparison.changes.iter().filter(|case| bad.contains(&case.change)).take(self.style.regressions).collect();
        self.blank();
        self.line(0, &[(Paint::Bold, &format!("worst regressions ({} of {total})", shown.len()))]);
        for case in shown {
            self.case(case);
        }
    }

    fn case(&mut self, case: &CaseChange) {
        let scorers: Vec<&str> =
            case.scorers.iter().filter(|s| case.regressed(Some(&s.scorer))).map(|s| s.scorer.as_str()).collect();
        let name = format!("{}/{}", case.dataset, case.id);
        let what = format!("  {}  {}", case.change.label(), scorers.join(", "));
        self.line(2, &[(Paint::Bad, &name), (Paint::Dim, what.trim_end())]);
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
        let (paint, word) = if verdict.passed { (Paint::Good, "passed") } else { (Paint::Bad, "failed") };
        let against = verdict.baseline.as_ref().map_or(String::new(), |run| format!(" against {run}"));
        self.line(0, &[(Paint::Bold, "gates "), (paint, word), (Paint::Dim, &against)]);
        for rule in &verdict.rules {
            let (paint, word) = match rule.outcome {
                Outcome::Passed => (Paint::Good, "ok    "),
                Outcome::Failed => (Paint::Bad, "FAIL  "),
                Outcome::Skipped => (Paint::Dim, "skip  "),
            };
            self.line(2, &[(paint, word), (Paint::Plain, &rule.rule)]);
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

/// Breaks text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn columns_of(rows: &[Row], compared: bool) -> Vec<Column> {
    let column = |title, right, gives_way, cell: &dyn Fn(&Row) -> (Paint, String)| Column {
        title,
        right,
        gives_way,
        cells: rows.iter().map(cell).collect(),
    };
    let plain = |text: String| (Paint::Plain, text);
    let mut table = vec![
        column("dataset", false, 0, &|row| plain(row.dataset.clone())),
        column("scorer", false, 0, &|row| plain(row.scorer.clone())),
        column("cases", true, 0, &|row| plain(row.figures.cases.to_string())),
        column("passed", true, 3, &|row| plain(row.figures.passed.to_string())),
    ];
    if rows.iter().any(|row| row.figures.errored > 0) {
        table.push(column("errors", true, 0, &|row| {
            let paint = if row.figures.errored > 0 { Paint::Bad } else { Paint::Plain };
            (paint, row.figures.errored.to_string())
        }));
    }
    table.push(column("rate", true, 0, &|row| plain(number(row.figures.rate))));
    table.push(column("95 %", true, 4, &|row| {
        let interval = row.figures.interval.map(|i| format!("{:.4}–{:.4}", i.low, i.high));
        plain(interval.unwrap_or_else(|| "–".into()))
    }));
    table.push(column("mean", true, 6, &|row| plain(number(row.figures.mean))));
    if compared {
        table.push(column("baseline", true, 2, &|row| plain(number(row.base_rate))));
        table.push(column("change", true, 0, &|row| {
            let Some(difference) = row.difference else { return plain("–".into()) };
            let real = row.significance.is_some_and(|significance| significance.significant);
            let paint = match difference.difference {
                d if real && d < 0.0 => Paint::Bad,
                d if real && d > 0.0 => Paint::Good,
                _ => Paint::Plain,
            };
            (paint, format!("{:+.4}", difference.difference))
        }));
        table.push(column("95 %", true, 5, &|row| {
            let interval = row.difference.and_then(|d| d.interval).map(|i| format!("{:+.4}, {:+.4}", i.low, i.high));
            plain(interval.unwrap_or_else(|| "–".into()))
        }));
        table.push(column("p", true, 1, &|row| plain(row.significance.map_or("–".into(), |s| p_value(s.p_value)))));
    }
    table
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
