//! Model references: one grammar for the command line, suites and records. Parsing only; nothing is opened or pulled.
//!
//! | written | means |
//! |---|---|
//! | `./x`, `../x`, `/x`, `a/b/c`, whatever exists, `a/b` where there is a folder `a` | a folder by path |
//! | `x.gguf` | a file by path |
//! | `name@version` | an entry of the registry under `models/` |
//! | `org/name`, `org/name@revision` | a repository of the hub |

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::models::kind::is_gguf;

/// Which model is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelRef {
    /// A folder in the Hugging Face layout.
    Folder(PathBuf),
    /// A GGUF file.
    Gguf(PathBuf),
    /// An entry of the registry.
    Registry {
        /// Name of the entry.
        name: String,
        /// Its version.
        version: String,
        /// The folder from which the registry is looked for, upwards.
        base: PathBuf,
    },
    /// A repository of the hub.
    Hub {
        /// `organisation/name`.
        repo: String,
        /// Branch, tag or commit; the repository's main branch when absent.
        revision: Option<String>,
    },
}

impl ModelRef {
    /// Reads `text`; `base` is the folder that relative paths start from, looked at to tell a folder from a hub name.
    ///
    /// # Errors
    /// Empty text, an `@` with nothing on one side, a hub name with characters that none has.
    pub fn parse(text: &str, base: &Path) -> Result<Self> {
        let path = Path::new(text);
        if text.trim().is_empty() {
            return Err(Error::input("the model reference is empty").with_hint(GRAMMAR));
        }
        // A folder may be called so, too.
        if is_gguf(path) && !base.join(path).is_dir() {
            return Ok(Self::Gguf(path.into()));
        }
        let dotted = path.components().any(|part| matches!(part, Component::CurDir | Component::ParentDir));
        // Any other file, too: what is there is no question to the network.
        if dotted || path.is_absolute() || text.contains('\\') || base.join(path).symlink_metadata().is_ok() {
            return Ok(Self::Folder(path.into()));
        }
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        match (name.split('/').collect::<Vec<_>>().as_slice(), revision) {
            ([name], Some(version)) if is_word(name) && is_word(version) => {
                Ok(Self::Registry { name: (*name).into(), version: version.into(), base: PathBuf::new() })
            }
            // A path with a typo must not become a question to the network.
            ([first, _], None) if base.join(first).is_dir() => Ok(Self::Folder(path.into())),
            ([org, repo], _) if is_word(org) && is_word(repo) && revision != Some("") => {
                Ok(Self::Hub { repo: name.into(), revision: revision.map(Into::into) })
            }
            (_, None) => Ok(Self::Folder(path.into())),
            (_, Some(_)) => Err(Error::input(format!("`{text}` is not a model reference")).with_hint(GRAMMAR)),
        }
    }

    /// The same reference with its path, if it has one, starting at `base`, and the registry looked for from there.
    #[must_use]
    pub fn resolved(&self, base: &Path) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(base.join(path)),
            Self::Gguf(path) => Self::Gguf(base.join(path)),
            Self::Registry { name, version, base: from } => {
                Self::Registry { name: name.clone(), version: version.clone(), base: base.join(from) }
            }
            Self::Hub { .. } => self.clone(),
        }
    }
}

const GRAMMAR: &str =
    "a model is a folder, a .gguf file, name@version of the registry, or org/name[@revision] of the hub";

fn is_word(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.chars().all(allowed)
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => {
                // So that it is a folder when read again, wherever that happens.
                let plain = matches!(path.components().next(), Some(Component::Normal(_)));
                write!(f, "{}{}", if plain { "./" } else { "" }, path.display())
            }
            Self::Gguf(path) => write!(f, "{}", path.display()),
            Self::Registry { name, version, .. } => write!(f, "{name}@{version}"),
            Self::Hub { repo, revision: None } => f.write_str(repo),
            Self::Hub { repo, revision: Some(revision) } => write!(f, "{repo}@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(repo: &str, revision: Option<&str>) -> ModelRef {
        ModelRef::Hub { repo: repo.into(), revision: revision.map(Into::into) }
    }

    #[test]
    fn a_missing_folder_inside_an_existing_one_is_no_hub_name() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("models")).unwrap();
        assert_eq!(ModelRef::parse("models/nope", base.path()).unwrap(), ModelRef::Folder("models/nope".into()));
        assert_eq!(ModelRef::parse("models/nope@main", base.path()).unwrap(), hub("models/nope", Some("main")));
    }

    #[test]
    fn reads_the_grammar() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("org/local")).unwrap();
        let registry = ModelRef::Registry { name: "tiny".into(), version: "1.2".into(), base: PathBuf::new() };
        let table = [
            ("./x", ModelRef::Folder("./x".into())),
            ("../../models/tiny", ModelRef::Folder("../../models/tiny".into())),
            ("a/../b", ModelRef::Folder("a/../b".into())),
            ("/abs/x", ModelRef::Folder("/abs/x".into())),
            ("a/b/c", ModelRef::Folder("a/b/c".into())),
            ("tiny", ModelRef::Folder("tiny".into())),
            ("org/local", ModelRef::Folder("org/local".into())),
            ("x/y.GGUF", ModelRef::Gguf("x/y.GGUF".into())),
            ("tiny@1.2", registry),
            ("other/name", hub("other/name", None)),
            ("org/name@refs/pr/1", hub("org/name", Some("refs/pr/1"))),
        ];
        for (text, expected) in table {
            let parsed = ModelRef::parse(text, base.path()).unwrap();
            assert_eq!(parsed, expected, "{text}");
            let again = ModelRef::parse(&parsed.to_string(), base.path()).unwrap();
            assert_eq!(again.resolved(base.path()), parsed.resolved(base.path()), "{text}");
        }
        for text in ["", " ", "@1", "tiny@", "org/name@", "a/b/c@1", "o rg/name@1"] {
            assert!(ModelRef::parse(text, base.path()).is_err(), "{text}");
        }
    }
}
