//! The report as one HTML file that needs nothing else: no network, no framework, no server.
//!
//! The page is three fixed files (`page.html`, `style.css`, `script.js`) and one block of data. Whatever comes from data or
//! a model is in that block, as JSON without a single `<`, and the script shows it as text only. The content security policy
//! names the hashes of style and script, so that nothing else runs or loads, whatever an output contains.
//!
//! Cases are taken one by one, in any number; a bounded number of them is kept, changed ones before the others.

mod cases;
mod figures;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::cases::CaseBlock;
use self::figures::{Histogram, Metric, SliceRow, cards, latency, metrics, slices};
use super::Report;
use super::rows::OutcomeRow;
use crate::compare::{Cause, ChangeKind, Pair};
use crate::error::{Error, Result};
use crate::record::{Manifest, ResultLine, Verdict};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

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
}

/// Everything that the script shows.
#[derive(Serialize)]
struct Document<'a> {
    suite: &'a str,
    run: &'a str,
    base: Option<&'a str>,
    model: Option<&'a str>,
    base_model: Option<&'a str>,
    created: Option<&'a str>,
    missing: u64,
    partial: Option<String>,
    /// Errored cases: how many.
    errored: u64,
    /// What became of answers.
    outcomes: Vec<OutcomeRow>,
    /// `passed`, `failed` or `inconclusive`, and the verdict in a line.
    outcome: Option<&'static str>,
    headline: Option<String>,
    verdict: Option<&'a Verdict>,
    causes: &'a [Cause],
    /// Whether any case differs.
    changed: bool,
    cards: Vec<Metric<'a>>,
    metrics: Vec<Metric<'a>>,
    slices: Vec<SliceRow<'a>>,
    slices_note: String,
    scores: Vec<Histogram>,
    latency: Vec<Histogram>,
    /// Names of the kinds of change, and which of them are bad or good news.
    changes: [&'static str; ChangeKind::ALL.len()],
    bad: [bool; ChangeKind::ALL.len()],
    good: [bool; ChangeKind::ALL.len()],
    #[serde(flatten)]
    cases: cases::Document,
}

impl<'a> Page<'a> {
    /// A page of this report without cases yet.
    pub fn new(report: Report<'a>) -> Self {
        Self { report, cases: CaseBlock::default() }
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
        let Self { report, cases } = self;
        let rows = super::rows::rows(&report);
        let comparison = report.comparison;
        let model = |manifest: Option<&'a Manifest>| manifest?.plan.pointer("/models/generator/model")?.as_str();
        let (scores, cases) = cases.finish();
        let document = Document {
            suite: report.suite,
            run: report.run_id,
            base: comparison.map(|comparison| comparison.base.run_id.as_str()),
            model: model(report.manifest),
            base_model: model(report.base_manifest),
            created: report.manifest.map(|manifest| manifest.created_at.as_str()),
            missing: report.missing_cases(),
            partial: report.partial(),
            errored: report.summary.map_or(0, |summary| summary.totals.errored),
            outcomes: super::rows::outcomes(&report),
            outcome: report.verdict.map(|verdict| verdict.outcome.word()),
            headline: report.verdict.map(Verdict::headline),
            verdict: report.verdict,
            causes: comparison.map_or(&[], |comparison| &comparison.causes),
            changed: comparison.is_some_and(|comparison| comparison.changed() > 0),
            cards: cards(&rows),
            metrics: metrics(&rows),
            slices: comparison.map_or_else(Vec::new, slices),
            slices_note: comparison.map_or_else(String::new, figures::slices_note),
            scores,
            latency: latency(report.performance, report.base_performance),
            changes: ChangeKind::ALL.map(ChangeKind::label),
            bad: ChangeKind::ALL.map(|kind| kind <= ChangeKind::Removed),
            good: ChangeKind::ALL.map(|kind| kind == ChangeKind::Improved),
            cases,
        };
        let json = serde_json::to_string(&document).map_err(|e| Error::internal("write the page").caused_by(e))?;
        Ok(filled(&harmless(&json)).into_bytes())
    }
}

/// JSON that no parser of HTML can take for anything but text: what could begin a tag, a reference or a line is escaped.
/// Outside of strings JSON has none of these.
fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 64);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => safe.push(c),
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
