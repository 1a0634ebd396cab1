//! Cases as CSV (RFC 4180): a row per case, the columns of `super::table`.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, and an output
//! can begin with anything: in columns of text such a cell gets a `'` in front, as OWASP advises ("CSV Injection"). Programs
//! differ in what they skip at the beginning of a cell (blanks, quotes, what nobody sees), take the full-width forms for the same,
//! and split at semicolons, tabs and line breaks where they do not expect commas: what stands behind one of these is looked at as
//! a cell of its own, each of the tags that are joined by `;` among them. Numbers stay numbers, in columns of text, too. Whoever
//! wants outputs as they are takes Parquet or JSON.

use super::Report;
use super::html::Shown;
use super::table::{Cell, Table};
use crate::error::{Error, Result};
use crate::score::is_invisible;

/// The cases as CSV, with a row of names first.
///
/// # Errors
/// Those of the cases.
pub fn render(report: &Report<'_>, cases: impl Iterator<Item = Result<Shown>>) -> Result<Vec<u8>> {
    let failed = |e: csv::Error| Error::internal("failed to write CSV").caused_by(e);
    let table = Table::of(report);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let names: Vec<String> = table.columns().into_iter().map(|column| harmless(column.name)).collect();
    writer.write_record(names).map_err(failed)?;
    for case in cases {
        let row: Vec<String> = table.row(&case?).into_iter().map(text).collect();
        writer.write_record(row).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::internal("failed to write CSV").caused_by(e.into_error()))
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

/// Where a cell may begin within a cell, for a program that does not expect commas or heeds no quotes.
const ENDS: [char; 4] = [';', '\t', '\n', '\r'];
/// What makes a formula, also in full width.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The text with a `'` before everything that a spreadsheet could compute.
fn harmless(text: String) -> String {
    if !text.contains(FORMULA) && !text.starts_with(['\t', '\r']) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for (at, part) in text.split_inclusive(ENDS).enumerate() {
        let first = at == 0 && text.starts_with(['\t', '\r']);
        if first || computes(part.strip_suffix(ENDS).unwrap_or(part)) {
            safe.push('\'');
        }
        safe.push_str(part);
    }
    safe
}

/// Whether a cell may be computed: it begins with what makes a formula, once what is skipped is gone, and is no number.
fn computes(cell: &str) -> bool {
    let skipped = |c: char| {
        c.is_whitespace() || c.is_control() || is_invisible(c) || matches!(c, '"' | '\'' | '\u{2800}' | '“' | '”')
    };
    // A quote of ours, or of the text's own, makes text of the cell already where it comes first.
    !cell.starts_with('\'') && cell.trim_start_matches(skipped).starts_with(FORMULA) && !is_number(cell)
}

/// A decimal number, as spreadsheets read it: with a sign, a fraction and an exponent.
fn is_number(cell: &str) -> bool {
    let unsigned = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    unsigned.starts_with(|c: char| c.is_ascii_digit()) && unsigned.parse::<f64>().is_ok()
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

    #[test]
    fn whatever_a_spreadsheet_would_compute_is_text() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1+1", "'＝1+1"),
            ("－2+3", "'－2+3"),
            ("  =1", "'  =1"),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\u{200b}=1", "'\u{200b}=1"),
            ("\"=1\"", "'\"=1\""),
            ("\t=1", "'\t'=1"),
            ("\tplain", "'\tplain"),
            ("\rplain", "'\rplain"),
            ("a;=1", "a;'=1"),
            ("a; \"=1", "a;' \"=1"),
            ("a\n=1;b\t+c", "a\n'=1;b\t'+c"),
            ("'=1", "'=1"),
            ("--5", "'--5"),
            ("-inf", "'-inf"),
            // Numbers, and what begins with neither.
            ("-5", "-5"),
            ("+4.25e-3", "+4.25e-3"),
            ("1;-2;3", "1;-2;3"),
            ("a=b", "a=b"),
            ("a - b", "a - b"),
            ("", ""),
        ] {
            assert_eq!(harmless(text.to_owned()), safe, "{text:?}");
        }
        assert_eq!(super::text(Cell::List(vec!["a".into(), "=b".into(), " @c".into(), "-1".into()])), "a;'=b;' @c;-1");
        assert_eq!(super::text(Cell::Number(-0.5)), "-0.5");
    }

    proptest! {
        #[test]
        fn no_part_of_a_cell_begins_a_formula(parts in proptest::collection::vec(0usize..14, 0..10)) {
            const PARTS: [&str; 14] =
                ["=", "+", "-", "＠", "1", "a", " ", "\"", "'", ";", "\t", "\r\n", "\u{200b}", "\u{3000}"];
            let text: String = parts.iter().map(|at| PARTS[*at]).collect();
            let safe = harmless(text.clone());
            for cell in safe.split(ENDS) {
                let begun = cell.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\u{200b}'));
                prop_assert!(is_number(cell) || !begun.starts_with(FORMULA), "{:?} of {:?}", safe, text);
            }
            prop_assert_eq!(harmless(safe.clone()), safe);
        }

        #[test]
        fn any_output_comes_back_and_begins_no_formula(output in any::<String>()) {
            let mut case = line("golden", "1", true);
            case.output = Some(output.clone());
            let bytes = render(&Report::default(), std::iter::once(Ok(Shown::Alone(case)))).unwrap();
            let rows = read(&bytes);
            let cell = &rows[1][rows[0].iter().position(|name| name == "output").unwrap()];
            prop_assert!(is_number(cell) || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            // Nothing but quotes is added.
            prop_assert_eq!(cell.replace('\'', ""), output.replace('\'', ""));
        }
    }
}
