//! Names of runs, and which names may become folders.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::hash::hex;

/// A sortable run id: UTC time to the second and six digits of the plan's hash, `20261120T110455Z-1a2b3c`, with `-2`,
/// `-3` behind it where the same plan ran twice within a second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The id of a run of `plan` that starts at `time`.
    pub fn new(time: Timestamp, plan: &Value) -> Self {
        let hash = Sha256::digest(plan.to_string().as_bytes());
        Self(format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), &hex(&hash)[..6]))
    }

    /// An id read from a file or given by a user; any name that may be a folder is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        check_name("run id", text)?;
        Ok(Self(text.to_owned()))
    }

    /// The n-th id (from 1) for runs of one plan within one second.
    pub(crate) fn nth(&self, n: u32) -> Self {
        if n <= 1 { self.clone() } else { Self(format!("{}-{n}", self.0)) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl TryFrom<String> for RunId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

/// Refuses a suite, baseline, run or file name that cannot be one folder entry on every system.
///
/// A name is 1 to 200 bytes of letters, digits and `- _ . + @ =` or space, and starts with a letter or digit: no
/// separators, no `..`, no hidden entries (those are unfinished work), nothing that a report has to escape in a path.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let good = |c: char| c.is_alphanumeric() || "-_.+@= ".contains(c);
    let starts = name.chars().next().is_some_and(char::is_alphanumeric);
    let ends = !name.ends_with([' ', '.']);
    if starts && ends && name.len() <= 200 && name.chars().all(good) {
        return Ok(());
    }
    let hint = "use letters, digits and `-`, `_`, `.`; start with a letter or digit";
    Err(Error::input(format!("`{}` is no {what}", name.escape_debug())).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_by_time_and_tells_plans_apart() {
        let early: Timestamp = "2026-11-20T11:04:55.9Z".parse().unwrap();
        let late: Timestamp = "2026-11-20T11:04:56Z".parse().unwrap();
        let one = RunId::new(early, &json!({"a": 1}));
        assert!(one.as_str().starts_with("20261120T110455Z-") && one.as_str().len() == 23, "{one}");
        assert!(one < RunId::new(late, &json!({"a": 1})));
        assert_ne!(one, RunId::new(early, &json!({"a": 2})));
        assert!(one.nth(1) == one && one < one.nth(2));
    }

    #[test]
    fn names_stay_inside_their_folder() {
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "-x", "a\nb", "a ", "a.", "con:", &"x".repeat(201)] {
            assert!(check_name("suite name", bad).is_err(), "{bad:?}");
        }
        for good in ["support-desk", "v1.2", "größe", "a b", "20261120T110455Z-1a2b3c-2"] {
            assert!(check_name("suite name", good).is_ok(), "{good:?}");
        }
        assert!(serde_json::from_str::<RunId>(r#""../x""#).is_err());
    }
}
