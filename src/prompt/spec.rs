//! The `prompt:` section of a suite: which files make the prompt.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::dataset::Field;

/// What is asked of the model for each case of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// An answer is generated.
    #[default]
    Generate,
    /// The log-likelihood of each choice behind the prompt.
    Choice,
    /// The log-likelihood of the target behind the prompt.
    Loglikelihood,
    /// The log-likelihood of the whole text, read in windows.
    Perplexity,
}

impl RequestKind {
    /// Whether an answer is generated.
    pub fn is_generate(&self) -> bool {
        *self == Self::Generate
    }

    /// As suites spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Choice => "choice",
            Self::Loglikelihood => "loglikelihood",
            Self::Perplexity => "perplexity",
        }
    }
}

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

impl JsonSchema for Chat {
    fn schema_name() -> Cow<'static, str> {
        "Chat".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {"const": "auto", "description": "When the model has one."},
                {"const": true, "description": "Always; a model without one is an error."},
                {"const": false, "description": "Never: the prompt is text."},
            ],
        })
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FewShot {
    /// A dataset file that holds the examples, best one of its own. Where it is the file of the cases, a case is never among
    /// its own examples.
    #[serde(serialize_with = "portable")]
    pub file: PathBuf,
    /// How many; all of them when absent.
    #[serde(default)]
    pub count: Option<usize>,
    /// Which ones.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub draw: Draw,
    /// Seed of the draws, one after the other in the order of the cases; 1234 when absent, as lm-evaluation-harness has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether one example more is chosen, of which those are taken out that are the case itself. Where it is not said, that is
    /// done where examples and cases are one file; lm-evaluation-harness also does it for tasks without a test split, and leaves it
    /// where examples come from the test split by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_case: Option<bool>,
    /// How they are put before the question of a conversation.
    #[serde(default, rename = "as", skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub join: Join,
    /// What separates them in a text: a blank line when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Which key of the file of the examples is which field of a case: field -> key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"enum": Field::ALL.map(Field::name)}))]
    pub fields: BTreeMap<String, String>,
}

impl FewShot {
    /// The same where the first examples of the file are earlier turns, as they are where nothing else is said.
    pub fn plain(&self) -> Self {
        Self { file: self.file.clone(), count: self.count, ..Self::default() }
    }

    /// The seed that lm-evaluation-harness draws with.
    pub const SEED: u64 = 1234;
}

/// Which examples a case gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Draw {
    /// The first ones of the file.
    #[default]
    First,
    /// Others for each case, drawn as lm-evaluation-harness draws them (Python's `random.Random(seed).sample`).
    Random,
    /// Others for each case, as many of each answer as can be.
    Balanced,
}

/// How examples are put before the question of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// As earlier turns of user and assistant.
    #[default]
    Turns,
    /// As text before the question, in one turn of the user.
    Text,
}

/// The options of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Choices {
    /// The same for every case, each a template.
    Fixed(Vec<String>),
    /// A template that gives a list: `"{{ choices.text }}"`.
    Template(String),
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor;

        impl<'de> serde::de::Visitor<'de> for ChoicesVisitor {
            type Value = Choices;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of texts, or a template that gives one")
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Choices, E> {
                Ok(Choices::Template(value.to_owned()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Choices, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = seq.next_element()? {
                    list.push(text);
                }
                Ok(Choices::Fixed(list))
            }
        }

        deserializer.deserialize_any(ChoicesVisitor)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which files make the prompt. The default is the input as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptSpec {
    /// What the prompt is called, where a suite has several (`prompts`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Template file; the input as it is when absent.
    #[serde(default, serialize_with = "portable_option")]
    pub file: Option<PathBuf>,
    /// The template itself, in place of a file. It sees every key of the row under its own name, and keeps white space as
    /// jinja2 does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Version that the template file must carry, when both name one.
    #[serde(default)]
    pub version: Option<String>,
    /// When the model's chat template is used.
    #[serde(default)]
    pub chat: Chat,
    /// File with the system prompt.
    #[serde(default, serialize_with = "portable_option")]
    pub system: Option<PathBuf>,
    /// A template of what stands before examples and question: behind the system prompt in the system message, or at the
    /// beginning of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the case's input is a template itself, which sees the other keys of the row.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub render_input: bool,
    /// The options of each case, where the row does not have them as `choices`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// A template of the accepted answer or answers, where the row does not have them as `target`: a text, a list, or the
    /// index of a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// A template of what follows each choice, where the choices are alternative contexts of one continuation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
    /// What stands between question and answer in a text; a blank where neither has white space there when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_delimiter: Option<String>,
    /// A template of how every answer begins, examples included: the model goes on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_prefix: Option<String>,
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

impl PromptSpec {
    /// Whether templates of the suite itself look at the row of a case.
    pub fn sees_rows(&self) -> bool {
        let Self { text, description, target, continuation, answer_prefix, render_input, .. } = self;
        let choices = self.choices.is_some();
        let texts = [text, description, target, continuation, answer_prefix];
        texts.into_iter().any(Option::is_some) || choices || *render_input
    }
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
