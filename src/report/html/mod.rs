//! The report as one HTML file that needs nothing else: no network, no framework, no server.
//!
//! The page is three fixed files (`page.html`, `style.css`, `script.js`) and one block of data. Whatever comes from data or
//! a model is in that block, as JSON without a single `<`, and the script shows it as text only. The content security policy
//! names the hashes of style and script, so that nothing else runs or loads, whatever an output contains.
//!
//! Cases are taken one by one, in any number. The file has at most [`LONGEST`] bytes whatever it is about: cases have a budget of their
//! own, changed ones before the others, and everything else is cut until it fits; the page says what it leaves out.

mod cases;
mod figures;
mod limits;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::cases::CaseBlock;
use self::figures::{Histogram, Metric, SliceRow, cards, latency, metrics, slices};
use self::limits::Limits;
use super::Report;
use super::rows::OutcomeRow;
use crate::compare::{Cause, ChangeKind, Pair};
use crate::error::{Error, Result};
use crate::record::{Manifest, ResultLine, Verdict};
use crate::score::seen;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Bytes that a page has at most.
pub const LONGEST: usize = 64 << 20;

/// The budgets of a page, in bytes.
#[derive(Clone, Copy)]
struct Budget {
    /// Bytes of cases.
    cases: usize,
    /// Bytes of everything else but what all pages hold.
    rest: usize,
}

/// What is left of [`LONGEST`] is more than the beginning of all prompts and the page itself take.
const BUDGET: Budget = Budget { cases: 48 << 20, rest: 8 << 20 };

/// A case as the page shows it.
#[expect(clippy::large_enum_variant, reason = "one case lives at a time, and most are of the large kind")]
pub enum Shown {
    /// Of a run that is compared with nothing.
    Alone(ResultLine),
    /// Of two runs.
    Compared(Pair),
}

impl Shown {
    /// Dataset and id.
    pub fn case(&self) -> (&str, &str) {
        match self {
            Self::Alone(line) => line.case(),
            Self::Compared(pair) => pair.case(),
        }
    }
}

/// What a case was asked, in the base run and in the one in question, where that was kept.
pub type Prompts = (Option<String>, Option<String>);

/// A page that takes in cases.
pub struct Page<'a> {
    report: Report<'a>,
    cases: CaseBlock,
    budget: Budget,
}

/// Everything that the script shows.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    cases: cases::Document,
}

/// Everything but the cases.
#[derive(Serialize)]
struct Head<'a> {
    suite: String,
    run: String,
    base: Option<String>,
    model: Option<String>,
    base_model: Option<String>,
    created: Option<String>,
    /// What there is no room for, such as `12 more causes`.
    more: Vec<String>,
    missing: u64,
    partial: Option<String>,
    /// Errored cases: how many.
    errored: u64,
    /// What became of answers.
    outcomes: Vec<OutcomeRow>,
    /// `passed`, `failed` or `inconclusive`, and the verdict in a line.
    outcome: Option<&'static str>,
    headline: Option<String>,
    verdict: Option<Verdict>,
    causes: Vec<Cause>,
    /// Whether any case differs.
    changed: bool,
    cards: Vec<Metric<'a>>,
    metrics: Vec<Metric<'a>>,
    slices: Vec<SliceRow>,
    slices_note: String,
    scores: Vec<Histogram>,
    latency: Vec<Histogram>,
    /// Names of the kinds of change, and which of them are bad or good news.
    changes: [&'static str; ChangeKind::ALL.len()],
    bad: [bool; ChangeKind::ALL.len()],
    good: [bool; ChangeKind::ALL.len()],
}

impl<'a> Page<'a> {
    /// A page of this report without cases yet.
    pub fn new(report: Report<'a>) -> Self {
        Self::within(report, BUDGET)
    }

    fn within(report: Report<'a>, budget: Budget) -> Self {
        Self { report, cases: CaseBlock::new(budget.cases), budget }
    }

    /// Takes in a case; they come in order of dataset and id.
    pub fn add(&mut self, shown: Shown, prompts: Prompts) {
        self.cases.add(shown, prompts);
    }

    /// The file.
    ///
    /// # Errors
    /// None but a bug: data that cannot be written as JSON.
    pub fn finish(self) -> Result<Vec<u8>> {
        let Self { report, cases, budget } = self;
        let (scores, cases) = cases.finish();
        let mut limits = Limits::default();
        loop {
            let mut more = Vec::new();
            let mut rows = super::rows::rows(&report);
            limits.list(&mut rows, "rows of figures", &mut more);
            for row in &mut rows {
                (row.dataset, row.scorer) = (limits.text(&row.dataset), limits.text(&row.scorer));
            }
            let head = head(&report, &rows, (&scores, more), limits);
            let written = |e| Error::internal("failed to write the page").caused_by(e);
            let length = harmless(&serde_json::to_string(&head).map_err(written)?).len();
            if length <= budget.rest || limits == Limits::LEAST {
                let json = serde_json::to_string(&Document { head, cases }).map_err(written)?;
                return Ok(filled(&harmless(&json)).into_bytes());
            }
            limits = limits.smaller();
        }
    }
}

/// Everything but the cases, within limits; `more` names what is left out already.
fn head<'a>(
    report: &Report<'_>,
    rows: &'a [super::rows::Row],
    (scores, mut more): (&[Histogram], Vec<String>),
    limits: Limits,
) -> Head<'a> {
    let comparison = report.comparison;
    let text = |text: &str| limits.text(text);
    let model = |manifest: Option<&Manifest>| manifest?.plan.pointer("/models/generator/model")?.as_str().map(text);
    let mut outcomes = super::rows::outcomes(report);
    let remarks = super::rows::remarks(report).into_iter();
    outcomes.extend(remarks.map(|(dataset, text)| OutcomeRow { dataset, text, notable: false }));
    limits.list(&mut outcomes, "lines on what became of answers", &mut more);
    outcomes.iter_mut().for_each(|row| (row.dataset, row.text) = (text(&row.dataset), text(&row.text)));
    let mut causes = comparison.map_or_else(Vec::new, |comparison| comparison.causes.clone());
    limits.list(&mut causes, "differences from the baseline", &mut more);
    for cause in &mut causes {
        cause.what = text(&cause.what);
        (cause.base, cause.candidate) = (cause.base.as_deref().map(text), cause.candidate.as_deref().map(text));
    }
    let mut scores = scores.to_vec();
    limits.list(&mut scores, "plots of scores", &mut more);
    Head {
        suite: text(report.suite),
        run: text(report.run_id),
        base: comparison.map(|comparison| text(&comparison.base.run_id)),
        model: model(report.manifest),
        base_model: model(report.base_manifest),
        created: report.manifest.map(|manifest| text(&manifest.created_at)),
        missing: report.missing_cases(),
        partial: report.partial().as_deref().map(text),
        errored: report.summary.map_or(0, |summary| summary.totals.errored),
        outcomes,
        outcome: report.verdict.map(|verdict| verdict.outcome.word()),
        headline: report.verdict.map(Verdict::headline),
        verdict: report.verdict.map(|verdict| limits.verdict(verdict, &mut more)),
        causes,
        changed: comparison.is_some_and(|comparison| comparison.changed() > 0),
        cards: cards(rows),
        metrics: metrics(rows),
        slices: comparison.map_or_else(Vec::new, |comparison| slices(comparison, limits)),
        slices_note: comparison.map_or_else(String::new, figures::slices_note),
        scores,
        latency: latency(report.performance, report.base_performance),
        changes: ChangeKind::ALL.map(ChangeKind::label),
        bad: ChangeKind::ALL.map(|kind| kind <= ChangeKind::Removed),
        good: ChangeKind::ALL.map(|kind| kind == ChangeKind::Improved),
        more,
    }
}

/// JSON that no parser of HTML can take for anything but text: what could begin a tag, a reference or a line is escaped. In its
/// texts what a reader would not see is shown as `\u{1b}`, but for line breaks and tabs. Outside of strings JSON has none of these.
fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 64);
    let mut characters = seen(json);
    while let Some((c, seen)) = characters.next() {
        match c {
            '<' | '>' | '&' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            '\\' => {
                let kind = characters.next().map_or('\\', |(kind, _)| kind);
                match kind {
                    // serde escapes the control characters below U+0020, and no others.
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(digit, _)| digit).collect();
                        let code = u32::from_str_radix(&digits, 16).unwrap_or_default();
                        safe.push_str(&format!("\\\\u{{{code:x}}}"));
                    }
                    'b' => safe.push_str("\\\\u{8}"),
                    'f' => safe.push_str("\\\\u{c}"),
                    _ => safe.extend(['\\', kind]),
                }
            }
            _ if seen => safe.push(c),
            _ => safe.push_str(&format!("\\{}", c.escape_unicode())),
        }
    }
    safe
}

/// The page with its parts in their places, in one pass: what a part contains is never looked at again.
fn filled(data: &str) -> String {
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + data.len() + 512);
    for (at, piece) in PAGE.split("{{").enumerate() {
        let Some((name, rest)) = piece.split_once("}}").filter(|_| at > 0) else {
            page.push_str(piece);
            continue;
        };
        match name {
            "policy" => page.push_str(&policy()),
            "style" => page.push_str(STYLE),
            "script" => page.push_str(SCRIPT),
            "data" => page.push_str(data),
            _ => page.push_str(env!("CARGO_PKG_VERSION")),
        }
        page.push_str(rest);
    }
    page
}

/// The page's content security policy: its own style and script by their hashes, and nothing else.
pub fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}
