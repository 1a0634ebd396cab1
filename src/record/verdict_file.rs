//! `verdict.json`: what the gates said about a run, in a file beside its record.
//!
//! It is made from the committed record and can be made again (`karat gate RUN`), so the manifest does not list it. It holds
//! the SHA-256 of the manifest that was judged and of the report beside it, and ends with a seal, the SHA-256 of itself: whatever
//! of the three is changed afterwards is an error that names it. Records that the versions before format 3 of this file wrote
//! hold their verdict in the summary, under the manifest's hashes; nothing in them vouches for the manifest.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::seal::is_sealed;
use super::{
    Decision, FileHasher, MANIFEST, Manifest, REPORT, RuleResult, RunReader, VERDICT, Verdict, write_atomically,
};
use crate::error::{Error, Kind, Result};
use crate::hash::sha256;
use crate::stand_in::check_file;

/// The format of `verdict.json`; `docs/verdict.schema.json` describes it. Version 1 had neither `outcome` nor inconclusive rules,
/// version 2 no `manifest_sha256`, version 3 neither `report_sha256` nor `seal`.
pub const VERDICT_FORMAT: &str = "karat-verdict/4";
/// The first version with a seal.
const SEALED: u32 = 4;

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
    /// SHA-256 (hex) of the `report.md` that was made with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_sha256: Option<String>,
    /// SHA-256 (hex) of the file's own bytes with nothing between these quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl VerdictFile {
    /// The file of a verdict over the run of a manifest, whose bytes have this SHA-256 (hex), with this report beside it.
    pub fn new(manifest: &Manifest, manifest_sha256: &str, verdict: Verdict, report: &str) -> Self {
        let Verdict { passed, outcome, baseline, rules, warnings } = verdict;
        let (format, manifest_sha256) = (VERDICT_FORMAT.to_owned(), manifest_sha256.to_owned());
        let (suite, run_id) = (manifest.suite.clone(), manifest.run_id.to_string());
        let report_sha256 = Some(sha256(report.as_bytes()));
        let seal = Some(String::new());
        Self { format, suite, run_id, manifest_sha256, outcome, passed, baseline, rules, warnings, report_sha256, seal }
    }

    /// Its bytes, sealed.
    ///
    /// # Errors
    /// None but a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let open = Self { seal: Some(String::new()), ..self.clone() };
        let bytes = super::files::pretty(&open)?;
        super::files::pretty(&Self { seal: Some(sha256(&bytes)), ..open })
    }

    /// Whether the file's bytes are those that were sealed. Those of older versions have no seal.
    fn is_sealed(&self, bytes: &[u8]) -> bool {
        match &self.seal {
            Some(seal) => is_sealed(seal, bytes),
            None => version(&self.format).is_some_and(|version| version < SEALED),
        }
    }

    /// Reads a file that says which manifest it is about.
    ///
    /// # Errors
    /// A newer format ([`Kind::Newer`]), or no such file.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::input("failed to read the verdict").at(path).caused_by(e);
        let value: Value = serde_json::from_slice(bytes).map_err(wrong)?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        if let (Some(found), Some(known)) = (version(format), version(VERDICT_FORMAT))
            && found > known
        {
            let message = format!("the verdict has format {found}; this karat reads formats up to {known}");
            return Err(Error::new(Kind::Newer, message).at(path).with_hint("update karat"));
        }
        serde_json::from_value(value).map_err(wrong)
    }

    fn verdict(self) -> Verdict {
        let Self { outcome, baseline, rules, warnings, .. } = self;
        Verdict { passed: outcome == Decision::Passed, outcome, baseline, rules, warnings }
    }
}

/// The number of a format.
fn version(format: &str) -> Option<u32> {
    format.strip_prefix(PREFIX)?.parse().ok()
}

/// What to do about a verdict or a report that is not what was made.
const REMADE: &str = "it was changed after it was made; remove it, and `karat gate` makes it from the record";

impl RunReader {
    /// What the gates said about the run. None where it was not judged.
    ///
    /// # Errors
    /// A file that cannot be read, was changed, is about another manifest, or was written by a newer version.
    pub fn verdict(&self) -> Result<Option<Verdict>> {
        // Older records: the manifest vouches for the summary.
        if let Some(verdict) = self.summary()?.verdict {
            return Ok(Some(verdict));
        }
        Ok(self.verdict_file()?.map(VerdictFile::verdict))
    }

    /// `verdict.json`, if it is what was written and about this manifest.
    fn verdict_file(&self) -> Result<Option<VerdictFile>> {
        let path = self.folder().join(VERDICT);
        check_file(&path)?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let off = || {
            Error::input(format!("`{VERDICT}` was changed: it is not as it was written")).at(&path).with_hint(REMADE)
        };
        let file = match VerdictFile::parse(&path, &bytes) {
            Ok(file) if file.is_sealed(&bytes) => file,
            Err(error) if error.kind() == Kind::Newer => return Err(error),
            Ok(_) => return Err(off()),
            Err(error) => return Err(off().caused_by(error)),
        };
        if file.manifest_sha256 != self.manifest_sha256() {
            let message = format!("`{MANIFEST}` was changed: its SHA-256 is not the one in `{VERDICT}`");
            let hint = "the manifest was changed after the run was judged, or the verdict is another run's; for baselines in git, keep line ends as they are (`* -text`)";
            return Err(Error::input(message).at(self.folder().join(MANIFEST)).with_hint(hint));
        }
        Ok(Some(file))
    }

    /// Whether the verdict holds the hash of this manifest. It and the report are verified by the way.
    ///
    /// # Errors
    /// Verdict, manifest or report are not what they were.
    pub(super) fn is_vouched_by_verdict(&self) -> Result<bool> {
        // Older records: the manifest lists it, it holds no hash of the manifest, and nothing else vouches for that.
        let path = self.folder().join(VERDICT);
        let holds = |bytes: Vec<u8>| VerdictFile::parse(&path, &bytes).is_ok();
        if self.manifest().files.contains_key(VERDICT) && !std::fs::read(&path).is_ok_and(holds) {
            return Ok(false);
        }
        let file = match self.verdict_file() {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            // What a newer version wrote is kept, and says nothing to this one.
            Err(error) if error.kind() == Kind::Newer => return Ok(false),
            Err(error) => return Err(error),
        };
        let path = self.folder().join(REPORT);
        check_file(&path)?;
        if let Some(sha256) = &file.report_sha256
            && path.exists()
            && (path.is_dir() || FileHasher::of_file(&path)?.sha256 != *sha256)
        {
            let message = format!("`{REPORT}` was changed: its SHA-256 is not the one in `{VERDICT}`");
            return Err(Error::input(message).at(&path).with_hint(REMADE));
        }
        Ok(true)
    }

    /// Puts verdict and report into the run folder, in place of those that are there; each appears whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written. The other of the two may be there then.
    pub fn keep(&self, verdict: Verdict, report: &str) -> Result<()> {
        let file = VerdictFile::new(self.manifest(), self.manifest_sha256(), verdict, report).to_bytes()?;
        let reported = || write_atomically(&self.folder().join(REPORT), report.as_bytes());
        let judged = || write_atomically(&self.folder().join(VERDICT), &file);
        // Between the two steps no verdict may stand beside another one's report: what is there already comes last.
        if self.folder().join(VERDICT).exists() {
            return judged().and(reported());
        }
        let reported = reported();
        judged().and(reported)
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
    use crate::record::{CaseRef, Evidence, Outcome, RunId};
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
        let file = VerdictFile::new(&manifest, "00", verdict.clone(), "report");
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
        let bytes = file.to_bytes().unwrap();
        let again = VerdictFile::parse(Path::new("verdict.json"), &bytes).unwrap();
        assert!(again.is_sealed(&bytes));
        let sealed = VerdictFile { seal: again.seal.clone(), ..file };
        assert_eq!((&again, again.clone().verdict()), (&sealed, verdict));
    }

    #[test]
    fn a_seal_sees_every_edit() {
        let id = RunId::parse("run").unwrap();
        let manifest = Manifest::new("desk", id, "2026-11-20T11:04:55Z".parse().unwrap(), Value::Null);
        let mut verdict = Verdict::of(None, vec![]);
        // A warning that looks like a seal.
        verdict.warnings.push("\"seal\": \"\"".into());
        let bytes = VerdictFile::new(&manifest, "00", verdict, "").to_bytes().unwrap();
        let parse = |bytes: &[u8]| VerdictFile::parse(Path::new("verdict.json"), bytes);
        assert!(parse(&bytes).unwrap().is_sealed(&bytes));
        for at in 0..bytes.len() {
            for edited in [
                [&bytes[..at], &bytes[at + 1..]].concat(),
                [&bytes[..at], b" ", &bytes[at..]].concat(),
                [&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat(),
            ] {
                assert!(
                    parse(&edited).map_or(true, |file| !file.is_sealed(&edited)),
                    "{}",
                    String::from_utf8_lossy(&edited)
                );
            }
        }
        // Without a seal it would have to be of an older version.
        let text = String::from_utf8(bytes).unwrap();
        let cut = text[..text.rfind(",\n  \"seal\"").unwrap()].to_owned() + "\n}\n";
        assert!(!parse(cut.as_bytes()).unwrap().is_sealed(cut.as_bytes()));
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
            for error in [run.verdict().unwrap_err(), RunReader::open(&folder).unwrap_err()] {
                assert!(error.message().starts_with("`verdict.json` was changed"), "{damaged}: {error}");
            }
        }
        // What the version before wrote has no seal, and holds the manifest's hash.
        let mut older: Value = serde_json::from_str(&text).unwrap();
        older["format"] = "karat-verdict/3".into();
        for key in ["seal", "report_sha256"] {
            older.as_object_mut().unwrap().remove(key);
        }
        fs::write(folder.join(VERDICT), older.to_string()).unwrap();
        assert!(RunReader::open(&folder).unwrap().is_vouched());
        older["manifest_sha256"] = "00".into();
        fs::write(folder.join(VERDICT), older.to_string()).unwrap();
        assert!(RunReader::open(&folder).unwrap_err().message().starts_with("`manifest.json` was changed"));
        fs::write(folder.join(VERDICT), text.replace(VERDICT_FORMAT, "karat-verdict/99")).unwrap();
        assert_eq!(run.verdict().unwrap_err().kind(), Kind::Newer);
        assert!(!RunReader::open(&folder).unwrap().is_vouched());
        fs::write(folder.join(VERDICT), &text).unwrap();
        let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap();
        fs::write(folder.join(MANIFEST), manifest.replace("\"seed\": 0", "\"seed\": 1")).unwrap();
        let error = RunReader::open(&folder).unwrap_err();
        assert!(
            error.message().starts_with("`manifest.json` was changed: its SHA-256 is not the one in `verdict.json`"),
            "{error}"
        );
        fs::write(folder.join(MANIFEST), manifest).unwrap();
        assert!(RunReader::open(&folder).unwrap().is_vouched());
        fs::write(folder.join(REPORT), "# another\n").unwrap();
        assert!(RunReader::open(&folder).unwrap_err().message().starts_with("`report.md` was changed"));
        fs::remove_file(folder.join(REPORT)).unwrap();
        run.keep(verdict, "# report\n").unwrap();
        assert!(RunReader::open(&folder).unwrap().is_judged().unwrap());
        fs::remove_file(folder.join(VERDICT)).unwrap();
        assert!(!RunReader::open(&folder).unwrap().is_vouched());
    }
}
