//! Cases as a table of typed columns: what CSV and Parquet hold.
//!
//! `dataset, id, repeat, kind, tags, passed, error, finish, prompt_tokens, output`, then `<scorer>.passed` and
//! `<scorer>.value` of every scorer in order of name. A comparison has the same columns again for the base run, behind
//! `base.`, and `change` in front of them.

use super::Report;
use super::html::Shown;
use crate::compare::{Pair, change};
use crate::record::ResultLine;

/// What a column holds; every cell may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text of few values.
    Word,
    Flag,
    Integer,
    Number,
    List,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// A value; [`Cell::Empty`] fits every column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Text(String),
    Flag(bool),
    Integer(i64),
    Number(f64),
    List(Vec<String>),
}

/// The columns of a report, and rows by them.
pub(super) struct Table {
    scorers: Vec<String>,
    compared: bool,
}

impl Table {
    /// The table of a report: its scorers are those of the run and of the one it is compared with.
    pub fn of(report: &Report<'_>) -> Self {
        let own = report.summary.iter().flat_map(|summary| &summary.datasets).flat_map(|dataset| &dataset.scorers);
        let other = report.comparison.iter().flat_map(|c| &c.datasets).flat_map(|dataset| &dataset.scorers);
        let mut scorers: Vec<String> = own.map(|s| s.scorer.clone()).chain(other.map(|s| s.metric.clone())).collect();
        scorers.sort_unstable();
        scorers.dedup();
        Self { scorers, compared: report.comparison.is_some() }
    }

    /// The columns in order.
    pub fn columns(&self) -> Vec<Column> {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let mut columns = vec![
            column("dataset", Kind::Word),
            column("id", Kind::Text),
            column("repeat", Kind::Integer),
            column("kind", Kind::Word),
            column("tags", Kind::List),
        ];
        columns.extend(self.side(""));
        if self.compared {
            columns.push(column("change", Kind::Word));
            columns.extend(self.side("base."));
        }
        columns
    }

    fn side(&self, prefix: &str) -> Vec<Column> {
        let column = |name: String, kind| Column { name: format!("{prefix}{name}"), kind };
        let mut columns = vec![
            column("passed".into(), Kind::Flag),
            column("error".into(), Kind::Text),
            column("finish".into(), Kind::Word),
            column("prompt_tokens".into(), Kind::Integer),
            column("output".into(), Kind::Text),
        ];
        for scorer in &self.scorers {
            columns.push(column(format!("{scorer}.passed"), Kind::Flag));
            columns.push(column(format!("{scorer}.value"), Kind::Number));
        }
        columns
    }

    /// The row of a case.
    pub fn row(&self, shown: &Shown) -> Vec<Cell> {
        let (base, candidate, kind) = match shown {
            Shown::Alone(line) => (None, Some(line), None),
            Shown::Compared(pair) => {
                let kind = Some(change(pair).map_or("unchanged", |kind| kind.label()));
                match pair {
                    Pair::Both(base, candidate) => (Some(base), Some(candidate), kind),
                    Pair::Removed(base) => (Some(base), None, kind),
                    Pair::Added(candidate) => (None, Some(candidate), kind),
                }
            }
        };
        let Some(line) = candidate.or(base) else { return Vec::new() };
        let mut row = vec![
            Cell::Text(line.dataset.clone()),
            Cell::Text(line.id.clone()),
            Cell::Integer(i64::from(line.repeat)),
            Cell::Text(line.kind.name().into()),
            Cell::List(line.tags.clone()),
        ];
        self.cells(candidate, &mut row);
        if self.compared {
            row.push(kind.map_or(Cell::Empty, |kind| Cell::Text(kind.into())));
            self.cells(base, &mut row);
        }
        row
    }

    fn cells(&self, line: Option<&ResultLine>, row: &mut Vec<Cell>) {
        let Some(line) = line else {
            row.extend(std::iter::repeat_n(Cell::Empty, 5 + 2 * self.scorers.len()));
            return;
        };
        let text = |text: &Option<String>| text.clone().map_or(Cell::Empty, Cell::Text);
        // As the record spells it.
        let finish = line.finish.and_then(|finish| serde_json::to_value(finish).ok()?.as_str().map(str::to_owned));
        let tokens = line.prompt_tokens.and_then(|tokens| i64::try_from(tokens).ok());
        row.push(Cell::Flag(line.passed));
        row.push(text(&line.error));
        row.push(finish.map_or(Cell::Empty, Cell::Text));
        row.push(tokens.map_or(Cell::Empty, Cell::Integer));
        row.push(text(&line.output));
        for scorer in &self.scorers {
            let score = line.scores.get(scorer);
            row.push(score.map_or(Cell::Empty, |score| Cell::Flag(score.passed)));
            row.push(score.map_or(Cell::Empty, |score| Cell::Number(score.value)));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::tests_support::{broken, compared, line};

    /// Two cases of a run alone, and one that regressed beside one that is gone.
    pub fn reports(check: impl Fn(&Report<'_>, Vec<Shown>)) {
        let summary = crate::record::summarise([Ok(line("golden", "1", true)), Ok(broken("golden", "2"))].into_iter());
        let report = Report { summary: summary.as_ref().ok(), ..Report::default() };
        check(&report, vec![Shown::Alone(line("golden", "1", true)), Shown::Alone(broken("golden", "2"))]);
        let mut hostile = line("golden", "1", false);
        hostile.output = Some("=cmd|' /C calc'!A0\n\"quoted\", ü \u{1}".into());
        hostile.tags = vec!["a".into(), "b;c".into()];
        let comparison = compared(vec![line("golden", "1", true), line("golden", "2", true)], vec![hostile.clone()]);
        let both = Pair::Both(line("golden", "1", true), hostile);
        let cases = vec![Shown::Compared(both), Shown::Compared(Pair::Removed(line("golden", "2", true)))];
        check(&Report::of_comparison(&comparison), cases);
    }

    #[test]
    fn every_cell_fits_its_column() {
        reports(|report, cases| {
            let table = Table::of(report);
            let columns = table.columns();
            for case in &cases {
                let row = table.row(case);
                assert_eq!(row.len(), columns.len());
                for (cell, column) in row.iter().zip(&columns) {
                    let fits = matches!(
                        (cell, column.kind),
                        (Cell::Empty, _)
                            | (Cell::Text(_), Kind::Text | Kind::Word)
                            | (Cell::Flag(_), Kind::Flag)
                            | (Cell::Integer(_), Kind::Integer)
                            | (Cell::Number(_), Kind::Number)
                            | (Cell::List(_), Kind::List)
                    );
                    assert!(fits, "{cell:?} in {column:?}");
                }
            }
        });
    }
}
