//! The report as JUnit XML, which CI servers show: datasets as suites, cases by name, gates as a suite of their own.
//!
//! XML 1.0 has no way to write most control characters; they and what is invisible are shown as `\u{1b}`. Outputs are cut: the file is for lists
//! of what failed, not for reading answers.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::Report;
use super::html::Shown;
use crate::compare::{Pair, Tier};
use crate::error::{Error, Result};
use crate::record::{AnswerOutcome, Outcome, ResultLine, RuleResult};
use crate::score::seen;
use crate::stats::format::fixed;

/// Characters of an output or an error.
const LONGEST: usize = 2_000;

/// The report, with a line break at the end. Cases come in order of dataset.
///
/// # Errors
/// Those of the cases.
pub fn render(report: &Report<'_>, cases: impl Iterator<Item = Result<Shown>>) -> Result<Vec<u8>> {
    let mut page = Page { writer: Writer::new_with_indent(Vec::new(), b' ', 1), suite: None };
    page.put(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let seconds = report.performance.map_or(0.0, |performance| performance.wall_seconds);
    let name = format!("karat {}", report.suite);
    page.open("testsuites", &[("name", &name), ("time", &format!("{seconds:.3}"))])?;
    for case in cases {
        match case? {
            // A case that the candidate lacks is in no suite of it; danger gates name it.
            Shown::Compared(Pair::Removed(_)) => {}
            Shown::Alone(line) | Shown::Compared(Pair::Both(_, line) | Pair::Added(line)) => {
                page.case(report, &line)?
            }
        }
    }
    page.close_suite(report)?;
    page.unseen(report)?;
    page.gates(report)?;
    page.close("testsuites")?;
    let mut bytes = page.writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

struct Page {
    writer: Writer<Vec<u8>>,
    /// The dataset whose cases come.
    suite: Option<String>,
}

impl Page {
    fn put(&mut self, event: Event<'_>) -> Result<()> {
        self.writer.write_event(event).map_err(|e| Error::internal("failed to write XML").caused_by(e))
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> Result<()> {
        self.put(Event::Start(start(name, attributes)))
    }

    fn close(&mut self, name: &str) -> Result<()> {
        self.put(Event::End(BytesEnd::new(name)))
    }

    /// An element with text in it.
    fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> Result<()> {
        self.open(name, attributes)?;
        self.put(Event::Text(BytesText::new(&allowed(text))))?;
        self.close(name)
    }

    fn case(&mut self, report: &Report<'_>, line: &ResultLine) -> Result<()> {
        if self.suite.as_ref() != Some(&line.dataset) {
            self.close_suite(report)?;
            let found = report.summary.and_then(|summary| summary.dataset(&line.dataset));
            let missing = missing(report, &line.dataset);
            let (cases, passed, errored) = found.map_or((0, 0, 0), |d| (d.cases, d.passed, d.errored));
            self.open_suite(
                &line.dataset,
                [cases + u64::from(missing > 0), cases - passed - errored, errored + u64::from(missing > 0), 0],
            )?;
            self.outcomes(report, &line.dataset)?;
            self.suite = Some(line.dataset.clone());
        }
        let name = if line.repeat == 0 { line.id.clone() } else { format!("{} #{}", line.id, line.repeat + 1) };
        let class = format!("{}.{}", report.suite, line.dataset);
        let attributes = [("classname", class.as_str()), ("name", &name), ("time", "0")];
        if line.passed {
            return self.put(Event::Empty(start("testcase", &attributes)));
        }
        self.open("testcase", &attributes)?;
        match &line.error {
            Some(error) => self.text("error", &[("message", first_line(error)), ("type", "error")], error)?,
            None => {
                let failed: Vec<_> = line.scores.iter().filter(|(_, score)| !score.passed).collect();
                let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
                let mut text = String::new();
                for (name, score) in &failed {
                    text.push_str(&format!("{name}: {} {}\n", fixed(score.value), score.explanation));
                }
                if let Some(output) = &line.output {
                    text.push_str(&format!("output: {output}"));
                }
                let message = if names.is_empty() { "no score".to_owned() } else { names.join(", ") };
                self.text("failure", &[("message", &message), ("type", "score")], &text)?;
            }
        }
        self.close("testcase")
    }

    /// What became of the answers of a dataset, as properties of its suite.
    fn outcomes(&mut self, report: &Report<'_>, dataset: &str) -> Result<()> {
        let found = report.summary.and_then(|summary| summary.dataset(dataset)?.outcomes);
        let Some(found) = found else { return Ok(()) };
        self.open("properties", &[])?;
        for outcome in AnswerOutcome::ALL.into_iter().filter(|outcome| found.count(*outcome) > 0) {
            let count = found.count(outcome).to_string();
            self.put(Event::Empty(start("property", &[("name", outcome.name()), ("value", &count)])))?;
        }
        self.close("properties")
    }

    /// Tests, failures, errors and skipped ones of a suite.
    fn open_suite(&mut self, name: &str, counts: [u64; 4]) -> Result<()> {
        let [tests, failures, errors, skipped] = counts.map(|count| count.to_string());
        let attributes = [
            ("name", name),
            ("tests", &tests),
            ("failures", &failures),
            ("errors", &errors),
            ("skipped", &skipped),
            ("time", "0"),
        ];
        self.open("testsuite", &attributes)
    }

    fn close_suite(&mut self, report: &Report<'_>) -> Result<()> {
        let Some(dataset) = self.suite.take() else { return Ok(()) };
        self.lacking(report, &dataset)?;
        self.close("testsuite")
    }

    /// Selected cases without a result are errors, not absent.
    fn lacking(&mut self, report: &Report<'_>, dataset: &str) -> Result<()> {
        let missing = missing(report, dataset);
        if missing == 0 {
            return Ok(());
        }
        let class = format!("{}.{dataset}", report.suite);
        self.open("testcase", &[("classname", &class), ("name", "(cases without a result)"), ("time", "0")])?;
        let message = format!("{missing} selected cases have no result");
        self.text("error", &[("message", &message), ("type", "missing")], &message)?;
        self.close("testcase")
    }

    /// Datasets of which there is no result at all.
    fn unseen(&mut self, report: &Report<'_>) -> Result<()> {
        let recorded = |name: &str| report.summary.is_some_and(|summary| summary.dataset(name).is_some());
        let unseen = report.missing.into_iter().flatten().filter(|(name, _)| !recorded(name));
        for (dataset, _) in unseen {
            self.open_suite(dataset, [1, 0, 1, 0])?;
            self.lacking(report, dataset)?;
            self.close("testsuite")?;
        }
        Ok(())
    }

    fn gates(&mut self, report: &Report<'_>) -> Result<()> {
        let Some(verdict) = report.verdict else { return Ok(()) };
        let count =
            |reported: Reported| verdict.rules.iter().filter(|rule| Reported::of(rule) == reported).count() as u64;
        let tests = verdict.rules.len() as u64;
        self.open_suite("gates", [tests, count(Reported::Failure), count(Reported::Error), count(Reported::Skipped)])?;
        let class = format!("{}.gates", report.suite);
        for rule in &verdict.rules {
            let attributes = [("classname", class.as_str()), ("name", &rule.rule), ("time", "0")];
            self.open("testcase", &attributes)?;
            match Reported::of(rule) {
                Reported::Passed => self.text("system-out", &[], &rule.reason)?,
                Reported::Skipped => self.put(Event::Empty(start("skipped", &[("message", &rule.reason)])))?,
                Reported::Error => {
                    self.text("error", &[("message", &rule.reason), ("type", "inconclusive")], &rule.reason)?;
                }
                Reported::Failure => {
                    let cases: Vec<String> =
                        rule.cases.iter().map(|case| format!("{}/{}", case.dataset, case.id)).collect();
                    let text = format!("{}\n{}", rule.reason, cases.join("\n"));
                    self.text("failure", &[("message", &rule.reason), ("type", "gate")], &text)?;
                }
            }
            self.close("testcase")?;
        }
        self.close("testsuite")
    }
}

/// A rule as JUnit knows it. What never changes the exit code is skipped: servers fail a build for failures and errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reported {
    Passed,
    Failure,
    Error,
    Skipped,
}

impl Reported {
    fn of(rule: &RuleResult) -> Self {
        match rule.outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Skipped => Self::Skipped,
            Outcome::Failed | Outcome::Inconclusive if rule.tier() == Tier::Advisory => Self::Skipped,
            Outcome::Failed => Self::Failure,
            Outcome::Inconclusive => Self::Error,
        }
    }
}

fn missing(report: &Report<'_>, dataset: &str) -> u64 {
    report.missing.and_then(|missing| missing.get(dataset)).copied().unwrap_or(0)
}

fn start<'a>(name: &'a str, attributes: &[(&str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (key, value) in attributes {
        // A line break in an attribute would come back as a space.
        element.push_attribute((*key, allowed(&value.replace(['\n', '\r', '\t'], " ")).as_str()));
    }
    element
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Text as XML 1.0 can hold it, cut.
fn allowed(text: &str) -> String {
    let mut shown = String::new();
    for (at, (c, seen)) in seen(text).enumerate() {
        if at == LONGEST {
            shown.push('…');
            break;
        }
        // Whatever XML cannot hold is not seen either.
        if seen || matches!(c, '\n' | '\t') { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests_support::{broken, line};
    use crate::record::{CaseRef, Verdict};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn parsed(bytes: &[u8]) -> roxmltree::Document<'_> {
        roxmltree::Document::parse(std::str::from_utf8(bytes).unwrap()).unwrap()
    }

    #[test]
    fn suites_cases_and_gates() {
        let lines =
            [line("danger", "d", true), line("golden", "1", true), line("golden", "2", false), broken("golden", "3")];
        let summary = crate::record::summarise(lines.iter().cloned().map(Ok)).unwrap();
        let rule = |rule: &str, outcome| RuleResult {
            rule: rule.into(),
            tier: (rule == "e").then_some(Tier::Advisory),
            outcome,
            reason: "because <x>".into(),
            observed: None,
            limit: None,
            baseline: None,
            evidence: None,
            corrected_p_value: None,
            detectable: None,
            cases: vec![CaseRef::new("golden", "2")],
            cases_total: 1,
        };
        let rules = vec![
            rule("a", Outcome::Passed),
            rule("b", Outcome::Failed),
            rule("c", Outcome::Skipped),
            rule("d", Outcome::Inconclusive),
            rule("e", Outcome::Failed),
        ];
        let verdict = Verdict::of(None, rules);
        let missing = BTreeMap::from([("golden".to_owned(), 2), ("other".to_owned(), 5)]);
        let report = Report {
            suite: "desk",
            summary: Some(&summary),
            verdict: Some(&verdict),
            missing: Some(&missing),
            ..Report::default()
        };
        let bytes = render(&report, lines.into_iter().map(|line| Ok(Shown::Alone(line)))).unwrap();
        let document = parsed(&bytes);
        let suites: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testsuite")).collect();
        let told: Vec<_> = suites
            .iter()
            .map(|suite| ["name", "tests", "failures", "errors", "skipped"].map(|key| suite.attribute(key).unwrap()))
            .collect();
        let expected = [
            ["danger", "1", "0", "0", "0"],
            ["golden", "4", "1", "2", "0"],
            ["other", "1", "0", "1", "0"],
            ["gates", "5", "1", "1", "2"],
        ];
        assert_eq!(told, expected);
        for (suite, counts) in suites.iter().zip(expected) {
            let count = |tag| suite.descendants().filter(|node| node.has_tag_name(tag)).count().to_string();
            assert_eq!([count("testcase"), count("failure"), count("error"), count("skipped")], counts[1..]);
        }
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("message"), Some("match"));
        assert_eq!(failure.text(), Some("match: 0.0000 because\noutput: answer false"));
    }

    proptest! {
        #[test]
        fn any_text_is_well_formed(text in any::<String>()) {
            let mut case = line("golden", &text, false);
            (case.output, case.dataset) = (Some(text.clone()), text.clone());
            let mut erred = case.clone();
            erred.error = Some(text.clone());
            let report = Report { suite: &text, ..Report::default() };
            let bytes = render(&report, [case, erred].into_iter().map(|line| Ok(Shown::Alone(line)))).unwrap();
            let count = parsed(&bytes).descendants().filter(|node| node.has_tag_name("testcase")).count();
            prop_assert_eq!(count, 2);
        }
    }
}
