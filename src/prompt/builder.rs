//! Cases to prompts: template, system prompt and few-shot examples put together.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::digest::{Beginning, digest};
use super::files::Files;
use super::finding::Finding;
use super::spec::{Chat, FewShot, PromptSpec};
use super::template::Template;
use crate::dataset::{Input, Sample, Source};
use crate::engine::chat::check_names;
use crate::engine::{ChatOptions, Message, Prompt, Turn};
use crate::error::{Error, Result};
use crate::hash::hex;

/// Turns cases into prompts. Compiled once, used for all cases, on any thread.
#[derive(Debug)]
pub struct Builder {
    template: Template,
    chat: Chat,
    system: Option<String>,
    shots: Vec<Shot>,
    /// Whether a last message of the assistant goes on; `None` where the suite does not say.
    continues: Option<bool>,
    kwargs: Arc<Map<String, Value>>,
    version: Option<String>,
    hash: String,
    files: BTreeMap<String, String>,
    /// What prompts of a chat have in common.
    beginning: Beginning,
}

/// A worked example.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shot {
    /// The input as it is in the file.
    input: String,
    /// The input in the template.
    prompt: String,
    answer: String,
}

impl Builder {
    /// Loads the files of a `prompt:` section, whose paths start from `root`, each read once.
    ///
    /// # Errors
    /// A file that is missing, not UTF-8, or wrong: syntax, an unknown placeholder, the target shown, a version other
    /// than the suite's, an example without an answer.
    pub fn load(spec: &PromptSpec, root: &Path) -> Result<Self> {
        let mut files = Files::new(root);
        let template = match &spec.file {
            Some(file) => Template::parse(&files.text(file)?, &root.join(file))?.check()?,
            None => Template::identity()?,
        };
        if let (Some(file), Some(wanted), Some(found)) = (&spec.file, &spec.version, &template.version)
            && wanted != found
        {
            let message = format!("the template's version is `{found}`, the suite wants `{wanted}`");
            let error = Error::input(message).at_line(root.join(file), 1);
            return Err(error.with_hint("raise `prompt: {version: …}` in the suite together with the template"));
        }
        let system = spec.system.as_ref().map(|file| files.text(file)).transpose()?;
        let system = system.map(|text| text.strip_suffix('\n').map(str::to_owned).unwrap_or(text));
        let shots = match &spec.few_shot {
            Some(few_shot) => load_shots(few_shot, &mut files, &template)?,
            None => Vec::new(),
        };
        let version = spec.version.clone().or_else(|| template.version.clone());
        check_names(&spec.chat_template_kwargs)?;
        let hash = hash(&template, spec, system.as_deref(), &shots);
        let beginning = Beginning::new(&earlier(system.as_deref(), &shots), &turn("user", template.start()));
        let (continues, kwargs) = (spec.continue_final_message, Arc::new(spec.chat_template_kwargs.clone()));
        let files = files.hashes();
        Ok(Self { template, chat: spec.chat, system, shots, continues, kwargs, version, hash, files, beginning })
    }

    /// The prompt of a case.
    ///
    /// # Errors
    /// A field that the template needs and the case lacks (with the template's file and line), or a conversation where
    /// no chat template is used.
    pub fn build(&self, sample: &Sample, has_chat_template: bool) -> Result<Prompt> {
        self.check_model(has_chat_template)?;
        let chat = self.is_chat(has_chat_template);
        match &sample.input {
            Input::Messages(messages) if chat => Ok(self.conversation(messages)),
            Input::Messages(_) => {
                let why = if self.chat == Chat::Never { "`chat` is off" } else { "the model has no chat template" };
                Err(Error::input(format!("the input is a conversation, and {why}")))
            }
            Input::Text(_) => {
                let question = self.template.render(sample)?;
                Ok(if chat { self.chat_prompt(question) } else { Prompt::Text(self.text_prompt(&question)) })
            }
        }
    }

    /// SHA-256 (hex) of the prompt of a case, for answers whose prompt is not tokenized: its text, or its messages as JSON.
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub fn digest(&self, sample: &Sample, has_chat_template: bool) -> Result<String> {
        if matches!(sample.input, Input::Text(_)) && self.is_chat(has_chat_template) {
            self.check_model(has_chat_template)?;
            if let Some(rest) = self.template.render_rest(sample)? {
                return Ok(self.beginning.digest(&rest));
            }
        }
        Ok(digest(&self.build(sample, has_chat_template)?))
    }

    fn is_chat(&self, has_chat_template: bool) -> bool {
        match self.chat {
            Chat::Auto => has_chat_template,
            Chat::Always => true,
            Chat::Never => false,
        }
    }

    /// Whether prompts can be built for a model, known before the first case.
    ///
    /// # Errors
    /// The suite asks for a chat template and the model has none.
    pub fn check_model(&self, has_chat_template: bool) -> Result<()> {
        if self.chat == Chat::Always && !has_chat_template {
            let error = Error::input("the suite says `chat: true`, and the model has no chat template");
            return Err(error.with_hint("say `chat: auto`, or use a model with a chat template"));
        }
        Ok(())
    }

    /// SHA-256 (hex) over template, chat mode, system prompt and examples: the prompt's version as its content has it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// SHA-256 (hex) of every file that makes the prompt, as it was read, by the name that records give it.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The version that the suite or the template's front matter names.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The description of the template's front matter.
    pub fn description(&self) -> Option<&str> {
        self.template.description.as_deref()
    }

    /// Whether the template looks at a placeholder (`context`, `choices`, …).
    pub fn uses(&self, placeholder: &str) -> bool {
        self.template.uses(placeholder)
    }

    /// Whether an example holds carriage returns, which most often are a file's line ends and not meant.
    pub fn shows_carriage_returns(&self) -> bool {
        self.shots.iter().any(|shot| shot.prompt.contains('\r') || shot.answer.contains('\r'))
    }

    /// Whether an example has this very input.
    pub fn has_example(&self, input: &str) -> bool {
        self.shots.iter().any(|shot| shot.input == input)
    }

    fn conversation(&self, messages: &[Message]) -> Prompt {
        let has_system = messages.iter().any(|message| message.get("role").and_then(Value::as_str) == Some("system"));
        let own = self.system.iter().filter(|_| !has_system).map(|text| turn("system", text));
        let goes_on = self.continues == Some(true) && ends_with_assistant(messages);
        let turn = if goes_on { Turn::continued() } else { Turn::Opened };
        self.messages(own.chain(messages.iter().cloned()).collect(), turn)
    }

    fn messages(&self, messages: Vec<Message>, turn: Turn) -> Prompt {
        Prompt::Messages { messages, chat: ChatOptions { turn, kwargs: self.kwargs.clone() } }
    }

    /// Whether a case's conversation ends with a message of the assistant of which the suite does not say whether it goes on.
    pub fn leaves_open_turn(&self, sample: &Sample) -> bool {
        self.continues.is_none() && matches!(&sample.input, Input::Messages(messages) if ends_with_assistant(messages))
    }

    fn chat_prompt(&self, question: String) -> Prompt {
        let mut messages = earlier(self.system.as_deref(), &self.shots);
        messages.push(turn("user", &question));
        self.messages(messages, Turn::Opened)
    }

    /// Blocks apart by a blank line; between an example's question and answer a blank, unless white space is there
    /// already: the usual layout of lm-evaluation-harness.
    fn text_prompt(&self, question: &str) -> String {
        let mut text = String::new();
        if let Some(system) = &self.system {
            text.push_str(system);
            text.push_str("\n\n");
        }
        for shot in &self.shots {
            text.push_str(&shot.prompt);
            if !shot.prompt.ends_with(char::is_whitespace) {
                text.push(' ');
            }
            text.push_str(&shot.answer);
            text.push_str("\n\n");
        }
        text.push_str(question);
        text
    }
}

/// What is wrong with the template of a `prompt:` section, or why it cannot be read.
pub fn lint(spec: &PromptSpec, root: &Path) -> Vec<Finding> {
    let Some(file) = &spec.file else { return Vec::new() };
    match Files::new(root).text(file).and_then(|text| Template::parse(&text, &root.join(file))) {
        Ok(template) => template.problems(),
        Err(error) => vec![Finding::from(&error)],
    }
}

/// What comes before the question of a chat: system prompt and examples.
fn earlier(system: Option<&str>, shots: &[Shot]) -> Vec<Message> {
    let mut messages: Vec<Message> = system.iter().map(|text| turn("system", text)).collect();
    for shot in shots {
        messages.push(turn("user", &shot.prompt));
        messages.push(turn("assistant", &shot.answer));
    }
    messages
}

fn ends_with_assistant(messages: &[Message]) -> bool {
    messages.last().and_then(|message| message.get("role")).and_then(Value::as_str) == Some("assistant")
}

fn turn(role: &str, content: &str) -> Message {
    let mut message = Message::new();
    message.insert("role".into(), role.into());
    message.insert("content".into(), content.into());
    message
}

fn load_shots(spec: &FewShot, files: &mut Files<'_>, template: &Template) -> Result<Vec<Shot>> {
    let mut source = Source::file(files.path(&spec.file))?;
    source.limit = spec.count;
    let mut shots = Vec::new();
    let bytes = files.bytes(&spec.file)?.to_vec();
    for sample in source.read(Box::new(Cursor::new(bytes)))? {
        let sample = sample?;
        let problem = match (&sample.input, sample.target.first()) {
            (Input::Text(input), Some(answer)) => {
                let prompt = template.render(&sample)?;
                shots.push(Shot { input: input.clone(), prompt, answer: answer.clone() });
                continue;
            }
            (Input::Messages(_), _) => "its input is a conversation",
            (Input::Text(_), None) => "it has no target",
        };
        return Err(
            Error::input(format!("a few-shot example cannot be used: {problem}")).at_line(&source.path, sample.line)
        );
    }
    match spec.count {
        Some(count) if shots.len() < count => {
            let message = format!("the suite asks for {count} few-shot examples, the file has {}", shots.len());
            Err(Error::input(message).at(&source.path))
        }
        _ => Ok(shots),
    }
}

fn hash(template: &Template, spec: &PromptSpec, system: Option<&str>, shots: &[Shot]) -> String {
    let mut hasher = Sha256::new();
    let mut part = |name: &str, text: &str| {
        // Lengths keep two parts from being read as one.
        hasher.update(format!("{name} {}\n", text.len()));
        hasher.update(text);
    };
    part("karat-prompt", "1");
    part("template", template.body());
    part(
        "chat",
        match spec.chat {
            Chat::Auto => "auto",
            Chat::Always => "always",
            Chat::Never => "never",
        },
    );
    if let Some(system) = system {
        part("system", system);
    }
    for shot in shots {
        part("example", &shot.prompt);
        part("answer", &shot.answer);
    }
    if spec.continue_final_message == Some(true) {
        part("continue_final_message", "");
    }
    if !spec.chat_template_kwargs.is_empty() {
        part("chat_template_kwargs", &Value::Object(spec.chat_template_kwargs.clone()).to_string());
    }
    hex(&hasher.finalize())
}
