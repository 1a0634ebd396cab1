//! What an entry says, and which texts it may say it with: a parsed entry needs no further checks of form.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::hub;
use crate::yaml::{self, Node};

/// One model of the registry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name, as in the file's name.
    pub name: String,
    /// Version, as in the file's name.
    pub version: String,
    /// What it does.
    pub kind: ModelKind,
    /// What it is, in one line.
    pub description: Line,
    /// Where its folder is.
    pub source: Source,
    /// SHA-256 of every file that inference reads, by its name within the folder.
    pub files: BTreeMap<Inside, Digest>,
    /// SHA-256 of `tokenizer.json`: equal in all models that share a tokenizer. Of the GGUF file where that alone is the model.
    pub tokenizer: Digest,
    /// How most weights are stored.
    pub dtype: WeightType,
    /// Number of weights.
    pub parameters: u64,
    /// Licence of the weights.
    pub licence: Line,
    /// How it was trained, where that is known.
    #[serde(default)]
    pub training: Option<Training>,
    /// Measured figures by name.
    #[serde(default)]
    pub evaluation: BTreeMap<String, f64>,
    /// The model card, from the entry's folder.
    #[serde(default)]
    pub card: Option<Inside>,
}

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Continues texts.
    Generator,
    /// Turns texts into vectors.
    Embedder,
    /// Turns texts into probabilities of labels.
    Classifier,
}

impl ModelKind {
    /// The word in an entry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Embedder => "embedder",
            Self::Classifier => "classifier",
        }
    }
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// bfloat16.
    Bf16,
}

impl WeightType {
    /// The word in an entry.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// How a model was trained.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Commit of the code that trained it.
    pub commit: Revision,
    /// SHA-256 of the corpus or data snapshot.
    pub data: Digest,
    /// The command.
    pub command: Line,
    /// The model it learned from.
    #[serde(default)]
    pub teacher: Option<Line>,
}

/// Where a model's folder is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenSource")]
pub enum Source {
    /// A folder, from the entry's.
    Folder(Inside),
    /// A repository of the hub.
    Hub {
        /// `organisation/name`.
        repo: String,
        /// The commit.
        revision: Revision,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSource {
    #[serde(default)]
    folder: Option<Inside>,
    #[serde(default)]
    hub: Option<String>,
    #[serde(default)]
    revision: Option<Revision>,
}

impl TryFrom<WrittenSource> for Source {
    type Error = &'static str;

    fn try_from(written: WrittenSource) -> Result<Self, Self::Error> {
        match (written.folder, written.hub, written.revision) {
            (Some(folder), None, None) => Ok(Self::Folder(folder)),
            (None, Some(repo), Some(revision)) => {
                let named = repo.split_once('/').is_some_and(|(org, name)| hub::is_name(org) && hub::is_name(name));
                if named { Ok(Self::Hub { repo, revision }) } else { Err("a repository of the hub is `org/name`") }
            }
            (None, Some(_), None) => Err("a hub source needs the `revision`, a commit"),
            _ => Err("a source is either `folder`, or `hub` and `revision`"),
        }
    }
}

/// A text that passed a check when it was read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(format!("`{}` is not {}", text.escape_debug(), $wanted)) }
            }
        }

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// A path that cannot leave the folder it starts from.
    Inside,
    |text| {
        let parts = || Path::new(text).components();
        let plain = parts().next().is_some() && parts().all(|part| matches!(part, Component::Normal(_)));
        plain && is_line(text) && !text.contains('\\')
    },
    "a path within the registry's folder: relative, without `..`"
);
checked_text!(
    /// A SHA-256 in lower-case hex.
    Digest,
    |text| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
    "a SHA-256: 64 hex digits in lower case"
);
checked_text!(
    /// A commit.
    Revision,
    hub::is_commit,
    "a commit: 40 hex digits"
);
checked_text!(
    /// A line of text, safe to show on a terminal.
    Line,
    is_line,
    "a line of text"
);

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

impl Entry {
    /// Reads an entry's text; `path` is its file, whose name has to be the entry's.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let tree = Node::parse(text.strip_prefix('\u{feff}').unwrap_or(text), path)?;
        let entry: Self = yaml::read(&tree).map_err(|error| error.located(TASK, path))?;
        let at = |key: &str, message: String| {
            tree.get(key).unwrap_or(&tree).origin.locate(Error::input(format!("failed to {TASK}: {message}")), path)
        };
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (name, version) = (&entry.name, &entry.version);
        if file != file_name(name, version) {
            let key = if file.starts_with(&format!("{name}@")) { "version" } else { "name" };
            let message = format!("it is `{name}@{version}`, its file is `{file}`");
            return Err(at(key, message).with_hint("name and version must be those of the file"));
        }
        let alone = || entry.files.iter().find(|(name, _)| name.to_string().to_ascii_lowercase().ends_with(".gguf"));
        match entry.files.get_key_value(TOKENIZER).or_else(alone) {
            None => return Err(at("files", format!("it lists no `{TOKENIZER}`"))),
            Some((name, hash)) if *hash != entry.tokenizer => {
                let message = format!("the tokenizer's hash is not that of `{name}` under `files`");
                return Err(at("tokenizer", message));
            }
            Some(_) => {}
        }
        if let Some((figure, _)) = entry.evaluation.iter().find(|(name, value)| !is_line(name) || !value.is_finite()) {
            return Err(at("evaluation", format!("`{}` is not a figure with a name", figure.escape_debug())));
        }
        Ok(entry)
    }

    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// The file of an entry in its folder.
pub(super) fn file_name(name: &str, version: &str) -> String {
    format!("{name}@{version}.yaml")
}

const TASK: &str = "read the registry entry";
const TOKENIZER: &str = "tokenizer.json";
