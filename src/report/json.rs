//! The report as JSON: everything that the other formats show, in full figures and stable key order.

use serde::Serialize;

use super::{Errored, Report};
use crate::compare::{Comparison, Decision, Verdict};
use crate::error::{Error, Result};
use crate::record::{DatasetSummary, Totals};

/// The format that this file writes.
pub const FORMAT: &str = "karat-report/1";

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    suite: &'a str,
    run_id: &'a str,
    missing: u64,
    outcome: Option<Decision>,
    verdict: Option<&'a Verdict>,
    summary: Option<Figures<'a>>,
    comparison: Option<&'a Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errored: Option<&'a Errored>,
}

/// The summary without the verdict that those of older records hold.
#[derive(Serialize)]
struct Figures<'a> {
    totals: &'a Totals,
    datasets: &'a [DatasetSummary],
}

/// The report, indented, with a line break at the end.
pub fn render(report: &Report<'_>) -> Result<Vec<u8>> {
    let document = Document {
        format: FORMAT,
        suite: report.suite,
        run_id: report.run_id,
        missing: report.missing_cases(),
        outcome: report.verdict.map(|verdict| verdict.outcome),
        verdict: report.verdict,
        summary: report.summary.map(|summary| Figures { totals: &summary.totals, datasets: &summary.datasets }),
        comparison: report.comparison,
        errored: report.errored.filter(|errored| errored.total > 0),
    };
    let mut bytes =
        serde_json::to_vec_pretty(&document).map_err(|e| Error::internal("failed to write JSON").caused_by(e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests_support::{compared, line};

    #[test]
    fn holds_what_the_others_show() {
        let comparison = compared(vec![line("golden", "1", true)], vec![line("golden", "1", false)]);
        let bytes = render(&Report::of_comparison(&comparison)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["format", "suite", "run_id", "missing", "outcome", "verdict", "summary", "comparison"]);
        assert_eq!(value["comparison"]["counts"]["regressed"], 1);
        assert_eq!(value["comparison"]["changes"][0]["scorers"][0]["direction"], "worse");
        assert_eq!(bytes.last(), Some(&b'\n'));
    }
}
