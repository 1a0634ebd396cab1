//! A list of runs for a terminal.

use super::page::{Column, Page, Paint, Style};
use super::text::one_line;

/// A run in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
    /// Its generator, as the suite names it.
    pub model: Option<String>,
    /// What it is called.
    pub label: Option<String>,
    /// What its gates said when it ran, or why it cannot be read.
    pub verdict: String,
    /// When it started, in UTC.
    pub date: String,
    /// Its call selected only some cases.
    pub partial: bool,
}

/// The list as text, with a line break at the end.
pub fn terminal(runs: &[Listed], style: Style) -> String {
    let mut page = Page::new(style);
    let plain = |text: &str| (Paint::Plain, one_line(text, 60));
    let or_dash = |text: &Option<String>| plain(text.as_deref().unwrap_or("–"));
    page.table(vec![
        Column::left("suite", runs, |run| plain(&run.suite)),
        Column::left("run", runs, |run| plain(&run.run_id)),
        Column::left("model", runs, |run| or_dash(&run.model)),
        Column::left("label", runs, |run| or_dash(&run.label)),
        Column::left("verdict", runs, |run| {
            let paint = if run.verdict == "passed" { Paint::Good } else { Paint::Bad };
            (
                paint,
                if run.partial {
                    format!("{} (partial)", one_line(&run.verdict, 40))
                } else {
                    one_line(&run.verdict, 60)
                },
            )
        }),
        Column::right("date (UTC)", 1, runs, |run| plain(&run.date)),
    ]);
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_run_and_no_control_character() {
        let run = Listed {
            suite: "desk".into(),
            run_id: "20261120T110455Z-1a2b3c".into(),
            label: Some("night\u{1b}[31m".into()),
            verdict: "inconclusive".into(),
            date: "2026-11-20 11:04".into(),
            partial: true,
            ..Listed::default()
        };
        let text = terminal(&[run], Style { width: 200, ..Style::default() });
        assert!(text.contains("inconclusive (partial)") && text.contains(r"night\u{1b}"), "{text}");
        assert!(text.starts_with("suite") && text.lines().count() == 2, "{text}");
    }
}
