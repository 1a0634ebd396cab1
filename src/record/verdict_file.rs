//! `verdict.json`: what the gates said about a run, in a file beside its record.
//!
//! It is made from the committed record and can be made again (`karat gate RUN`), so the manifest does not list it. It names
//! the manifest that was judged instead: where that is not the folder's, it is no verdict on this run. Records that the
//! versions before format 3 of this file wrote hold their verdict in the summary, under the manifest's hashes.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decision, Manifest, REPORT, RuleResult, RunReader, VERDICT, Verdict, write_atomically};
use crate::error::{Error, Kind, Result};

/// The format of `verdict.json`; `docs/verdict.schema.json` describes it. Version 1 had neither `outcome` nor inconclusive rules,
/// version 2 no `manifest_sha256`.
pub const VERDICT_FORMAT: &str = "karat-verdict/3";

/// What the number of a format stands behind.
const PREFIX: &str = "karat-verdict/";

/// `verdict.json`: a verdict and the run that it is about, with every key written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictFile {
    /// [`VERDICT_FORMAT`].
    pub format: String,
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
    /// SHA-256 (hex) of the `manifest.json` that was judged.
    pub manifest_sha256: String,
    /// `passed`, `failed` or `inconclusive`.
    pub outcome: Decision,
    /// Whether the outcome is `passed`.
    pub passed: bool,
    /// The run it was compared with.
    pub baseline: Option<String>,
    /// Every rule that was asked.
    pub rules: Vec<RuleResult>,
    /// What a reader must know beside the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl VerdictFile {
    /// The file of a verdict over the run of a manifest, whose bytes have this SHA-256 (hex).
    pub fn new(manifest: &Manifest, manifest_sha256: &str, verdict: Verdict) -> Self {
        let Verdict { passed, outcome, baseline, rules, warnings } = verdict;
        let (format, manifest_sha256) = (VERDICT_FORMAT.to_owned(), manifest_sha256.to_owned());
        let (suite, run_id) = (manifest.suite.clone(), manifest.run_id.to_string());
        Self { format, suite, run_id, manifest_sha256, outcome, passed, baseline, rules, warnings }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None but a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        super::reader::pretty(self)
    }

    /// Reads a file that says which manifest it is about.
    ///
    /// # Errors
    /// A newer format ([`Kind::Newer`]), or no such file.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::input("read the verdict").at(path).caused_by(e);
        let value: Value = serde_json::from_slice(bytes).map_err(wrong)?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        let number = |format: &str| format.strip_prefix(PREFIX).and_then(|number| number.parse::<u32>().ok());
        if let (Some(found), Some(known)) = (number(format), number(VERDICT_FORMAT))
            && found > known
        {
            let fragment = format!("read a verdict of format {found}: this karat reads formats up to {known}");
            return Err(Error::new(Kind::Newer, fragment).at(path).with_hint("update karat"));
        }
        serde_json::from_value(value).map_err(wrong)
    }

    fn verdict(self) -> Verdict {
        let Self { outcome, baseline, rules, warnings, .. } = self;
        Verdict { passed: outcome == Decision::Passed, outcome, baseline, rules, warnings }
    }
}

impl RunReader {
    /// What the gates said about the run. None where it was not judged, or where `verdict.json` is about another manifest or
    /// damaged: it is made again then, and proves nothing until it is.
    ///
    /// # Errors
    /// A file that cannot be read, or was written by a newer version.
    pub fn verdict(&self) -> Result<Option<Verdict>> {
        // Older records: the manifest vouches for the summary.
        if let Some(verdict) = self.summary()?.verdict {
            return Ok(Some(verdict));
        }
        let path = self.folder().join(VERDICT);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        match VerdictFile::parse(&path, &bytes) {
            Ok(file) if file.manifest_sha256 == self.manifest_sha256() => Ok(Some(file.verdict())),
            Err(error) if error.kind() == Kind::Newer => Err(error),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Puts verdict and report into the run folder, in place of those that are there; each appears whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written. The other of the two may be there then.
    pub fn keep(&self, verdict: Verdict, report: &str) -> Result<()> {
        let file = VerdictFile::new(self.manifest(), self.manifest_sha256(), verdict).to_bytes()?;
        // The verdict last: where it stands, the report does.
        let reported = write_atomically(&self.folder().join(REPORT), report.as_bytes());
        write_atomically(&self.folder().join(VERDICT), &file).and(reported)
    }

    /// Whether verdict and report stand beside the record.
    ///
    /// # Errors
    /// As for [`RunReader::verdict`].
    pub fn is_judged(&self) -> Result<bool> {
        Ok(self.verdict()?.is_some() && self.folder().join(REPORT).is_file())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::line::tests::line;
    use crate::record::writer::tests::saved;
    use crate::record::{CaseRef, Evidence, MANIFEST, Outcome, RunId};
    use crate::rule::Tier;
    use crate::stats::Interval;

    /// Every key that is written is described, and every key that is required is written.
    fn held(schema: &Value, written: &Value) {
        let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
        let properties = schema["properties"].as_object().unwrap();
        assert!(keys.iter().all(|key| properties.contains_key(*key)), "{keys:?}");
        for required in schema["required"].as_array().unwrap() {
            assert!(keys.iter().any(|key| required == key.as_str()), "{required}");
        }
    }

    #[test]
    fn the_published_schema_describes_the_file() {
        let schema: Value = serde_json::from_str(include_str!("../../docs/verdict.schema.json")).unwrap();
        let interval = Some(Interval { low: -0.1, high: 0.1 });
        let evidence = Evidence { pairs: 1, regressed: 1, improved: 0, p_value: Some(1.0), interval };
        let rule = RuleResult {
            rule: "r".into(),
            tier: Some(Tier::Required),
            outcome: Outcome::Failed,
            reason: "because".into(),
            observed: Some(0.5),
            limit: None,
            baseline: Some(1.0),
            evidence: Some(evidence),
            corrected_p_value: Some(1.0),
            detectable: Some(0.1),
            cases: vec![CaseRef::new("a", "1")],
            cases_total: 1,
        };
        let bare = RuleResult { corrected_p_value: None, detectable: None, evidence: None, tier: None, ..rule.clone() };
        let mut verdict = Verdict::of(None, vec![rule, bare]);
        verdict.warnings.push("mind".into());
        let id = RunId::parse("run").unwrap();
        let manifest = Manifest::new("desk", id, "2026-11-20T11:04:55Z".parse().unwrap(), Value::Null);
        let file = VerdictFile::new(&manifest, "00", verdict.clone());
        let written: Value = serde_json::from_slice(&file.to_bytes().unwrap()).unwrap();
        held(&schema, &written);
        assert_eq!(schema["properties"]["format"]["const"], VERDICT_FORMAT);
        let parts = &schema["$defs"];
        for rule in written["rules"].as_array().unwrap() {
            held(&parts["rule"], rule);
        }
        held(&parts["evidence"], &written["rules"][0]["evidence"]);
        held(&parts["case"], &written["rules"][0]["cases"][0]);
        let words = |key: &str| parts["rule"]["properties"][key]["enum"].as_array().unwrap().len();
        assert_eq!((words("outcome"), words("tier")), (4, 3));
        let again: Verdict = serde_json::from_value(serde_json::to_value(&verdict).unwrap()).unwrap();
        assert_eq!(again, verdict);
        let again = VerdictFile::parse(Path::new("verdict.json"), &file.to_bytes().unwrap()).unwrap();
        assert_eq!((again == file, again.verdict()), (true, verdict));
    }

    #[test]
    fn a_verdict_is_about_one_manifest() {
        let runs = tempfile::tempdir().unwrap();
        let folder = saved(runs.path(), 1, &[line("a", "1", true)]);
        let run = RunReader::open(&folder).unwrap();
        assert_eq!(run.verdict().unwrap(), None);
        let verdict = Verdict::of(Some("before".into()), vec![]);
        run.keep(verdict.clone(), "# report\n").unwrap();
        assert_eq!((run.verdict().unwrap().as_ref(), run.is_judged().unwrap()), (Some(&verdict), true));
        // The record is what it was, with nothing else beside it.
        let names = || fs::read_dir(&folder).unwrap().count();
        assert_eq!((RunReader::open(&folder).unwrap().manifest(), names()), (run.manifest(), 6));
        run.keep(verdict.clone(), "# report\n").unwrap();
        assert_eq!(names(), 6);
        fs::remove_file(folder.join(REPORT)).unwrap();
        assert!(!run.is_judged().unwrap());

        let text = fs::read_to_string(folder.join(VERDICT)).unwrap();
        for damaged in ["", "{}", &text[..text.len() / 2], &text.replace(run.manifest_sha256(), "00")] {
            fs::write(folder.join(VERDICT), damaged).unwrap();
            assert_eq!(run.verdict().unwrap(), None, "{damaged}");
        }
        fs::write(folder.join(VERDICT), text.replace(VERDICT_FORMAT, "karat-verdict/99")).unwrap();
        assert_eq!(run.verdict().unwrap_err().kind(), Kind::Newer);
        fs::write(folder.join(VERDICT), &text).unwrap();
        let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap();
        fs::write(folder.join(MANIFEST), manifest.replace("\"seed\": 0", "\"seed\": 1")).unwrap();
        assert_eq!(RunReader::open(&folder).unwrap().verdict().unwrap(), None);
    }
}
