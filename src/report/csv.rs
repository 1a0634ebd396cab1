//! Cases as CSV (RFC 4180): a row per case, the columns of `super::table`.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, and an output
//! can begin with anything: in columns of text such a cell gets a `'` in front, as OWASP advises ("CSV Injection").
//! Numbers stay numbers. Tags are joined by `;`.

use super::Report;
use super::html::Shown;
use super::table::{Cell, Table};
use crate::error::{Error, Result};

/// The cases as CSV, with a row of names first.
///
/// # Errors
/// Those of the cases.
pub fn render(report: &Report<'_>, cases: impl Iterator<Item = Result<Shown>>) -> Result<Vec<u8>> {
    let failed = |e: csv::Error| Error::internal("write CSV").caused_by(e);
    let table = Table::of(report);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let names: Vec<String> = table.columns().into_iter().map(|column| harmless(column.name)).collect();
    writer.write_record(names).map_err(failed)?;
    for case in cases {
        let row: Vec<String> = table.row(&case?).into_iter().map(text).collect();
        writer.write_record(row).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::internal("write CSV").caused_by(e.into_error()))
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => harmless(text),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::List(list) => harmless(list.join(";")),
    }
}

fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests_support::line;
    use crate::report::table::tests::reports;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn rows_come_back() {
        reports(|report, cases| {
            let count = cases.len();
            let rows = read(&render(report, cases.into_iter().map(Ok)).unwrap());
            assert_eq!(rows.len(), count + 1);
            let column = |name: &str| rows[0].iter().position(|other| other == name).unwrap();
            assert_eq!(rows[1][column("id")], "1");
            if report.comparison.is_some() {
                assert_eq!(rows[1][column("output")], "'=cmd|' /C calc'!A0\n\"quoted\", ü \u{1}");
                assert_eq!((&*rows[1][column("change")], &*rows[1][column("tags")]), ("regressed", "a;b;c"));
                assert_eq!((&*rows[2][column("change")], &*rows[2][column("passed")]), ("removed", ""));
                assert_eq!(rows[2][column("base.match.value")], "1");
            } else {
                assert_eq!((&*rows[1][column("match.passed")], &*rows[2][column("error")]), ("true", "no answer"));
            }
        });
    }

    proptest! {
        #[test]
        fn any_output_comes_back_and_begins_no_formula(output in any::<String>()) {
            let mut case = line("golden", "1", true);
            case.output = Some(output.clone());
            let bytes = render(&Report::default(), std::iter::once(Ok(Shown::Alone(case)))).unwrap();
            let rows = read(&bytes);
            let cell = &rows[1][rows[0].iter().position(|name| name == "output").unwrap()];
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            prop_assert_eq!(cell.strip_prefix('\'').filter(|_| !output.starts_with('\'')).unwrap_or(cell), &output);
        }
    }
}
