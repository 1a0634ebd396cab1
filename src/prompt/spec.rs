//! The `prompt:` section of a suite: which files make the prompt.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// When the model's chat template is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chat {
    /// When the model has one.
    #[default]
    Auto,
    /// Always; a model without one is an error of the engine.
    Always,
    /// Never: the prompt is text.
    Never,
}

impl Serialize for Chat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Chat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChatVisitor;

        impl serde::de::Visitor<'_> for ChatVisitor {
            type Value = Chat;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`auto`, true or false")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Chat, E> {
                Ok(if value { Chat::Always } else { Chat::Never })
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Chat, E> {
                match value {
                    "auto" => Ok(Chat::Auto),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_any(ChatVisitor)
    }
}

/// Worked examples that come before the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FewShot {
    /// A dataset file; its first cases are the examples.
    #[serde(serialize_with = "portable")]
    pub file: PathBuf,
    /// How many; all of them when absent.
    #[serde(default)]
    pub count: Option<usize>,
}

/// Which files make the prompt. The default is the input as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSpec {
    /// Template file; the input as it is when absent.
    #[serde(default, serialize_with = "portable_option")]
    pub file: Option<PathBuf>,
    /// Version that the template file must carry, when both name one.
    #[serde(default)]
    pub version: Option<String>,
    /// When the model's chat template is used.
    #[serde(default)]
    pub chat: Chat,
    /// File with the system prompt.
    #[serde(default, serialize_with = "portable_option")]
    pub system: Option<PathBuf>,
    /// Worked examples that come before the question.
    #[serde(default)]
    pub few_shot: Option<FewShot>,
    /// Whether the model goes on with a conversation whose last message is the assistant's; such a message ends, and another
    /// begins, where it is false or not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_final_message: Option<bool>,
    /// Arguments of the chat template (`enable_thinking`, `tools`, …).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
}

/// A path as a record may show it: as the suite spells it, but an absolute one by its last part alone, because it would
/// differ between machines that run the same thing.
pub(super) fn portable_path(path: &Path) -> String {
    let shown = if path.is_absolute() { Path::new(path.file_name().unwrap_or_default()) } else { path };
    shown.to_string_lossy().replace('\\', "/")
}

/// A path as records hold it, for serde.
///
/// # Errors
/// Those of the serializer.
pub fn portable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&portable_path(path))
}

fn portable_option<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => portable(path, serializer),
        None => serializer.serialize_none(),
    }
}
