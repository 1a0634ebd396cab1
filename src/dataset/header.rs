//! The header of a dataset: `cases.jsonl.yaml` beside `cases.jsonl`, which says what the file is: version, changelog, origin,
//! licence, preprocessing, and what every row holds.
//!
//! A file without a header is a dataset all the same. A header is never passed over: one that cannot be read, or that says
//! another hash or another number of cases than the file has, is an error of the linter and of a run. Rows are held against
//! the schema by the linter alone.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::digest::FileDigest;
use super::row_schema::RowSchema;
use super::start::whole_text;
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::stand_in::read_file;
use crate::yaml::{self, Content, Node, Origin};

/// Bytes of a header.
const HEADER_BYTES: u64 = 1 << 20;
/// What a header's name has behind that of its dataset.
const ENDING: &str = ".yaml";

/// What a dataset's file is, and where it came from.
#[derive(Clone, Debug)]
pub struct Header {
    /// Version of the dataset, as it is written.
    pub version: String,
    /// Its versions, the newest first.
    pub changelog: Vec<Changes>,
    /// Where it came from.
    pub origin: Option<String>,
    /// SPDX id or name of its licence.
    pub licence: Option<String>,
    /// What was done to it, in order.
    pub preprocessing: Vec<String>,
    /// What every row holds.
    pub schema: Option<RowSchema>,
    /// SHA-256 of the header itself.
    pub sha256: String,
    /// The header's file.
    pub path: PathBuf,
    /// Cases that the file must have.
    cases: Option<u64>,
    /// SHA-256 that the file must have, in lower case.
    file_sha256: Option<String>,
    tree: Node,
}

/// What one version changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The version.
    pub version: String,
    /// When it was made, as ISO 8601 has it.
    pub date: Option<String>,
    /// What was changed.
    pub changes: Vec<String>,
}

/// What a record keeps of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderId {
    /// SHA-256 of the header.
    pub sha256: String,
    /// Version of the dataset.
    pub version: String,
}

impl Header {
    /// The header beside a dataset's file; none where there is no such file.
    ///
    /// # Errors
    /// It cannot be read, or is wrong.
    pub fn beside(file: &Path) -> Result<Option<Self>> {
        let mut path = file.as_os_str().to_owned();
        path.push(ENDING);
        let path = PathBuf::from(path);
        // A link that leads nowhere is a header that cannot be read; no file has a name that is too long.
        let absent = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename];
        if path.symlink_metadata().is_err_and(|error| absent.contains(&error.kind())) {
            return Ok(None);
        }
        let failed = |error: Error| error.context("failed to read the dataset's header").at(&path);
        Self::parse(&read_file(&path, HEADER_BYTES).map_err(failed)?, &path).map(Some)
    }

    /// The header in `bytes`, those of the file `path`.
    ///
    /// # Errors
    /// What is wrong first, at its place.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let text = whole_text(bytes, path)?;
        let mut tree = Node::parse(&text, path)?;
        keep_versions(&mut tree, &text);
        let keys: Keys = yaml::read(&tree).map_err(|error| error.located("read the dataset's header", path))?;
        let header = Self {
            version: keys.version,
            changelog: keys.changelog.unwrap_or_default().into_iter().map(Entry::into).collect(),
            origin: keys.origin,
            licence: keys.licence.or(keys.license),
            preprocessing: keys.preprocessing.unwrap_or_default().0,
            schema: keys.schema,
            sha256: sha256(bytes),
            path: path.into(),
            cases: keys.cases,
            file_sha256: keys.sha256.map(|hash| hash.to_ascii_lowercase()),
            tree,
        };
        header.check().map(|()| header)
    }

    /// What a record keeps of it.
    pub fn id(&self) -> HeaderId {
        HeaderId { sha256: self.sha256.clone(), version: self.version.clone() }
    }

    /// What the header says of the file and the file is not. Cases are not compared where not all were counted.
    pub fn faults(&self, cases: Option<u64>, file: &FileDigest) -> Vec<Error> {
        let mut faults = Vec::new();
        if let Some(expected) = self.file_sha256.as_ref().filter(|expected| *expected != file.sha256()) {
            let message = format!("the dataset's SHA-256 is {}, its header says {expected}", file.sha256());
            let hint = "fetch the file again; if the change is meant, raise `version` and write the new hash";
            faults.push(self.problem("sha256", Error::input(message).with_hint(hint)));
        }
        if let (Some(expected), Some(cases)) = (self.cases, cases)
            && expected != cases
        {
            let message = format!("the number of the dataset's cases is {cases}, its header says {expected}");
            let hint = "fetch the file again; if the change is meant, raise `version` and write the new number";
            faults.push(self.problem("cases", Error::input(message).with_hint(hint)));
        }
        faults
    }

    /// Holds its keys against one another.
    fn check(&self) -> Result<()> {
        let wrong =
            |place: &str, message: String, hint: &str| Err(self.problem(place, Error::input(message).with_hint(hint)));
        if self.version.trim().is_empty() {
            return wrong("version", "`version` is empty".into(), "write a text, as in `version: \"1.0\"`");
        }
        if self.tree.get("licence").is_some() && self.tree.get("license").is_some() {
            return wrong("license", "`licence` and `license` mean the same".into(), "keep one of them");
        }
        if let Some(newest) = self.changelog.first().filter(|newest| newest.version != self.version) {
            let message = format!("the changelog begins with version {}, not with {}", newest.version, self.version);
            return wrong("changelog.0.version", message, "the newest version comes first, and is that of the dataset");
        }
        for (index, entry) in self.changelog.iter().enumerate() {
            if let Some(date) = entry.date.as_ref().filter(|date| date.parse::<jiff::civil::Date>().is_err()) {
                let message = format!("`{date}` is no date");
                return wrong(&format!("changelog.{index}.date"), message, "write year, month and day: 2026-11-20");
            }
        }
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.file_sha256.as_ref().is_some_and(|hash| !is_hash(hash)) {
            return wrong("sha256", "`sha256` is not 64 hexadecimal digits".into(), "`sha256sum FILE` prints it");
        }
        if let Some((key, fault)) = self.schema.as_ref().and_then(RowSchema::wrong) {
            let hint = "`values` are of the `type` of their key";
            return wrong(&format!("schema.{key}"), format!("`{key}` of the schema {fault}"), hint);
        }
        Ok(())
    }

    /// An error about the value at a dotted path, at its place.
    fn problem(&self, place: &str, error: Error) -> Error {
        self.tree.nearest(place).origin.locate(error, &self.path)
    }
}

/// Makes numbers in the place of versions the texts that are written: 1.10 is not 1.1.
fn keep_versions(tree: &mut Node, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let Content::Map(entries) = &mut tree.content else { return };
    for entry in entries {
        match (entry.key.as_str(), &mut entry.value) {
            ("version", node) => keep_text(node, &lines),
            ("changelog", Node { content: Content::List(items), .. }) => {
                for item in items {
                    let Content::Map(keys) = &mut item.content else { continue };
                    keys.iter_mut()
                        .filter(|key| key.key == "version")
                        .for_each(|key| keep_text(&mut key.value, &lines));
                }
            }
            _ => {}
        }
    }
}

fn keep_text(node: &mut Node, lines: &[&str]) {
    let Origin::File { line, column } = node.origin else { return };
    if !matches!(node.content, Content::Float(_) | Content::Unsigned(_) | Content::Signed(_)) {
        return;
    }
    let index = |place: u64| usize::try_from(place).unwrap_or_default().saturating_sub(1);
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}');
    let rest = lines.get(index(line)).into_iter().flat_map(|line| line.chars().skip(index(column)));
    let written: String = rest.take_while(|c| !ends(*c)).collect();
    // An alias stands for a number that is written elsewhere: it stays one, and is refused as one.
    if written.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        node.content = Content::Text(written);
    }
}

/// The keys of a header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    version: String,
    changelog: Option<Vec<Entry>>,
    origin: Option<String>,
    licence: Option<String>,
    license: Option<String>,
    preprocessing: Option<Texts>,
    cases: Option<u64>,
    sha256: Option<String>,
    schema: Option<RowSchema>,
}

/// An entry of the changelog.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: String,
    date: Option<String>,
    changes: Texts,
}

impl From<Entry> for Changes {
    fn from(entry: Entry) -> Self {
        Self { version: entry.version, date: entry.date, changes: entry.changes.0 }
    }
}

/// Text, or a list of texts.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_any(TextsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Source;

    const WHOLE: &str = "version: 1.10\n\
        changelog:\n  - {version: 1.10, date: 2026-11-20, changes: three cases more}\n  - {version: 1, changes: [first, of all]}\n\
        origin: written by hand\nlicense: CC-BY-4.0\npreprocessing: [duplicates removed]\ncases: 2\n\
        schema: {id: text, target: {type: any, required: false, description: what is accepted}}\n";

    fn parse(yaml: &str) -> Result<Header> {
        Header::parse(yaml.as_bytes(), Path::new("x.jsonl.yaml"))
    }

    fn told(yaml: &str) -> String {
        let error = parse(yaml).unwrap_err();
        let place = error.location().map(|at| format!("{}:{}", at.line.unwrap_or(0), at.column.unwrap_or(0)));
        format!("{} {}; {}", place.unwrap_or_default(), error.message(), error.hint().unwrap_or("-"))
    }

    #[test]
    fn a_header_is_read_with_versions_as_they_are_written() {
        let header = parse(WHOLE).unwrap();
        assert_eq!((header.version.as_str(), header.licence.as_deref()), ("1.10", Some("CC-BY-4.0")));
        let versions: Vec<&str> = header.changelog.iter().map(|entry| entry.version.as_str()).collect();
        assert_eq!((versions, header.changelog[1].changes.len()), (vec!["1.10", "1"], 2));
        assert_eq!((header.preprocessing, header.cases), (vec!["duplicates removed".to_owned()], Some(2)));
        assert_eq!(header.sha256, sha256(WHOLE.as_bytes()));
        for (written, version) in
            [("2", "2"), ("\"3.0\"", "3.0"), ("2026-11-20", "2026-11-20"), ("1.0 # x", "1.0"), ("007", "007")]
        {
            assert_eq!(parse(&format!("version: {written}")).unwrap().version, version);
        }
        assert_eq!(parse("\u{feff}version: 1\r\norigin: a\r\n").unwrap().origin.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let hash = "0".repeat(63);
        for (yaml, expected) in [
            ("", "the key `version` is missing"),
            ("- a", "expected a section of keys, found sequence"),
            ("version: [1]", "1:10 failed to read the dataset's header: expected text, found sequence"),
            ("version: ' '", "1:10 `version` is empty"),
            ("version: 1\nlicense: a\nlicence: b", "2:10 `licence` and `license` mean the same; keep one"),
            (
                "version: 1\norigins: a",
                "2:1 failed to read the dataset's header: unknown key `origins`; did you mean `origin`?",
            ),
            (
                "version: 2\nchangelog:\n  - {version: 1, changes: a}",
                "3:15 the changelog begins with version 1, not with 2",
            ),
            ("version: 1\nchangelog:\n  - {version: 1, date: May, changes: a}", "3:24 `May` is no date; write year"),
            (
                "version: 1\nchangelog:\n  - {version: 1, change: a}",
                "3:18 failed to read the dataset's header: unknown key `change`",
            ),
            ("version: 1\ncases: -1", "2:8 failed to read the dataset's header: expected a whole number from 0"),
            (&format!("version: 1\nsha256: a{}", &hash[1..]), "2:9 `sha256` is not 64 hexadecimal digits"),
            (
                "version: 1\nschema: {a: texts}",
                "2:13 failed to read the dataset's header: unknown name `texts`; did you mean `text`?",
            ),
            (
                "version: 1\nschema: {a: {types: text}}",
                "2:14 failed to read the dataset's header: unknown key `types`; did you mean `type`?",
            ),
            ("version: 1\nschema: {a: {type: bool, values: [x]}}", "2:13 `a` of the schema must be true or false"),
            ("version: 1\nversion: 2", "the YAML is not valid"),
        ] {
            assert!(told(yaml).contains(expected), "{yaml}: {}", told(yaml));
        }
        let error = Header::parse(b"version: 1\norigin: \xff", Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("not valid UTF-8"), "{error}");
    }

    #[test]
    fn the_file_is_held_against_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, "{\"input\":\"a\"}\n").unwrap();
        assert!(Header::beside(&path).unwrap().is_none());
        assert!(Header::beside(&folder.path().join("x".repeat(254))).unwrap().is_none());
        let header = |keys: &str| {
            std::fs::write(folder.path().join("x.jsonl.yaml"), format!("version: 1\n{keys}\n")).unwrap();
            Header::beside(&path).unwrap().unwrap()
        };
        let digest = Source::file(&path).unwrap().open().unwrap().finish().unwrap();
        let upper = format!("cases: 1\nsha256: {}", digest.sha256().to_uppercase());
        assert!(header(&upper).faults(Some(1), &digest).is_empty());
        let wrong = header(&format!("cases: 3\nsha256: {}", "a".repeat(64)));
        let told: Vec<String> = wrong.faults(Some(1), &digest).iter().map(|fault| fault.to_string()).collect();
        assert!(told[0].contains(digest.sha256()) && told[0].contains(&"a".repeat(64)), "{told:?}");
        assert!(told[1].contains("cases is 1, its header says 3"), "{told:?}");
        assert_eq!(wrong.faults(None, &digest).len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_header_that_is_there_and_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::os::unix::fs::symlink("gone", folder.path().join("x.jsonl.yaml")).unwrap();
        let error = Header::beside(&path).unwrap_err();
        assert!(error.chain().starts_with("failed to read the dataset's header"), "{}", error.chain());
    }
}
