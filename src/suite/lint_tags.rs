//! Tags that look like misspellings of one another: reports slice by tag, and a misspelt one hides its cases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dataset::Sample;
use crate::prompt::Finding;

/// More different tags than this are free text, not labels; comparing all pairs would tell nothing.
const MOST: usize = 300;
/// Shorter tags differ by one letter for good reasons.
const SHORTEST: usize = 5;

/// The tags of a suite's cases.
#[derive(Default)]
pub(super) struct Tags {
    seen: BTreeMap<String, Tag>,
}

struct Tag {
    count: u64,
    path: PathBuf,
    line: u64,
}

impl Tags {
    /// Notes the tags of a case.
    pub fn add(&mut self, sample: &Sample, path: &Path) {
        for tag in &sample.tags {
            if let Some(known) = self.seen.get_mut(tag) {
                known.count += 1;
            } else if self.seen.len() <= MOST {
                let first = Tag { count: 1, path: path.into(), line: sample.line };
                self.seen.insert(tag.clone(), first);
            }
        }
    }

    /// Pairs that look alike, each at the first use of the rarer one.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.seen.len() > MOST {
            return findings;
        }
        for (index, one) in self.seen.iter().enumerate() {
            for other in self.seen.iter().skip(index + 1).filter(|other| alike(one.0, other.0)) {
                let ((rare, tag), (common, _)) = if one.1.count <= other.1.count { (one, other) } else { (other, one) };
                let message = format!("the tag `{rare}` looks like `{common}`");
                findings.push(Finding::warning(message).at(&tag.path, Some(tag.line)));
            }
        }
        findings
    }
}

fn alike(one: &str, other: &str) -> bool {
    let (one, other) = (plain(one), plain(other));
    let without_digits = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    // `level1` and `level2` are a series.
    let series = one != other && without_digits(&one) == without_digits(&other);
    let long = one.chars().count().min(other.chars().count()) >= SHORTEST;
    one == other || (long && !series && strsim::damerau_levenshtein(&one, &other) == 1)
}

fn plain(tag: &str) -> String {
    tag.trim().to_lowercase().replace(['_', ' '], "-")
}
