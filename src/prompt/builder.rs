//! Cases to prompts: template, system prompt and few-shot examples put together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::digest::{Beginning, digest};
use super::files::Files;
use super::finding::Finding;
use super::layout::{self, Delimiter, Ending, Part};
use super::made::Made;
use super::question::Question;
use super::shots::{Maker, Shot, Shots};
use super::spec::{Chat, Join, PromptSpec, RequestKind};
use super::template::Template;
use crate::dataset::{Derive, FieldMap, Input, Sample};
use crate::engine::chat::check_names;
use crate::engine::{ChatOptions, Message, Prompt, Turn};
use crate::error::{Error, Result};
use crate::hash::hex;

/// Turns cases into prompts. Compiled once, used for all cases, on any thread.
#[derive(Debug)]
pub struct Builder {
    template: Template,
    chat: Chat,
    request: RequestKind,
    system: Option<String>,
    description: Option<Template>,
    prefix: Option<Template>,
    delimiter: Delimiter,
    made: Made,
    shots: Shots,
    shot_delimiter: String,
    join: Join,
    /// Whether a last message of the assistant goes on; `None` where the suite does not say.
    continues: Option<bool>,
    kwargs: Arc<Map<String, Value>>,
    version: Option<String>,
    hash: String,
    files: BTreeMap<String, String>,
    /// What prompts of a chat have in common; none where they have no beginning in common.
    beginning: Option<Beginning>,
}

/// What a prompt is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purpose<'a> {
    /// What is asked of the model.
    pub request: RequestKind,
    /// The file of the cases, of which none is among its own examples.
    pub cases: Option<&'a Path>,
}

impl Builder {
    /// Loads the files of a `prompt:` section, whose paths start from `root`, each read once.
    ///
    /// # Errors
    /// A file that is missing, not UTF-8, or wrong: syntax, an unknown placeholder, the target shown, a version other
    /// than the suite's, an example without an answer.
    pub fn load(spec: &PromptSpec, root: &Path, purpose: Purpose<'_>) -> Result<Self> {
        let mut files = Files::new(root);
        let template = template(spec, &mut files, root)?;
        let system = spec.system.as_ref().map(|file| files.text(file)).transpose()?;
        let system = system.map(|text| text.strip_suffix('\n').map(str::to_owned).unwrap_or(text));
        let inline = |what: &str, text: &Option<String>| {
            let parsed = text.as_ref().map(|text| Template::inline(text)).transpose();
            parsed.map_err(|error| error.context(format!("failed to read `prompt.{what}`")))
        };
        let description = inline("description", &spec.description)?;
        let prefix = inline("answer_prefix", &spec.answer_prefix)?;
        let made = Made::new(spec, &template, purpose.request == RequestKind::Choice)?;
        let maker = Maker { spec, template: &template, prefix: prefix.as_ref(), made: &made, cases: purpose.cases };
        let few_shot = spec.few_shot.as_ref();
        let shots = few_shot.map(|few_shot| Shots::load(few_shot, &mut files, &maker)).transpose()?;
        let shots = shots.unwrap_or_default();
        let version = spec.version.clone().or_else(|| template.version.clone());
        check_names(&spec.chat_template_kwargs)?;
        let hash = hash(&template, spec, system.as_deref(), shots.all());
        let shot_delimiter = few_shot.and_then(|few_shot| few_shot.delimiter.clone()).unwrap_or_else(|| "\n\n".into());
        let join = few_shot.map(|few_shot| few_shot.join).unwrap_or_default();
        let mut builder = Self {
            chat: spec.chat,
            request: purpose.request,
            system,
            description,
            prefix,
            delimiter: Delimiter(spec.target_delimiter.clone()),
            made,
            shots,
            shot_delimiter,
            join,
            continues: spec.continue_final_message,
            kwargs: Arc::new(spec.chat_template_kwargs.clone()),
            version,
            hash,
            files: files.hashes(),
            beginning: None,
            template,
        };
        builder.beginning = builder.common();
        Ok(builder)
    }

    /// What the conversations of all cases begin with, where that does not depend on the case.
    fn common(&self) -> Option<Beginning> {
        let varies = self.description.is_some() || self.prefix.is_some() || !self.shots.are_fixed();
        if varies || self.join == Join::Text {
            return None;
        }
        let mut parts = self.system.iter().map(|system| Part::new("system", system, "")).collect::<Vec<_>>();
        for shot in self.shots.all() {
            parts.extend([Part::new("user", &shot.prompt, ""), Part::new("assistant", &shot.answer, "")]);
        }
        Some(Beginning::new(&layout::turns(&parts), &layout::turn("user", self.template.start())))
    }

    /// What completes the cases of a dataset as they are read: choices, targets and inputs that templates make, and the
    /// examples drawn for each. None where there is nothing to do.
    pub fn derive(self: &Arc<Self>) -> Option<Derive> {
        if self.made.is_empty() && self.shots.are_fixed() {
            return None;
        }
        let builder = self.clone();
        Some(Derive::new(move || {
            let (builder, mut drawer) = (builder.clone(), builder.shots.drawer());
            Box::new(move |sample| {
                builder.made.complete(sample, &builder.template)?;
                if !builder.shots.are_fixed() {
                    sample.shots = drawer.draw(&builder.shots, sample)?;
                }
                Ok(())
            })
        }))
    }

    /// The map of a dataset's fields with what templates of the suite need.
    #[must_use]
    pub fn fields(&self, spec: &PromptSpec, fields: FieldMap) -> FieldMap {
        if spec.sees_rows() || self.shots.compare_rows() { fields.with_rows(self.made.fields()) } else { fields }
    }

    /// What is asked of the model.
    pub fn request(&self) -> RequestKind {
        self.request
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
            Input::Messages(messages) if chat => self.conversation(messages),
            Input::Messages(_) => {
                let why = if self.chat == Chat::Never { "`chat` is off" } else { "the model has no chat template" };
                Err(Error::input(format!("the input is a conversation, and {why}")))
            }
            Input::Text(_) => Ok(self.prompt(sample, self.template.render(sample)?, chat)?.0),
        }
    }

    /// What a case asks.
    ///
    /// # Errors
    /// Those of [`Builder::build`]; a target that a log-likelihood needs and the case lacks.
    pub fn question(&self, sample: &Sample, has_chat_template: bool) -> Result<Question> {
        let chat = self.is_chat(has_chat_template);
        match self.request {
            RequestKind::Generate => Ok(Question::Answer(self.build(sample, has_chat_template)?)),
            RequestKind::Perplexity => match &sample.input {
                Input::Text(_) => Ok(Question::Document(self.template.render(sample)?)),
                Input::Messages(_) => Err(Error::input("the input is a conversation: perplexity is that of a text")),
            },
            RequestKind::Choice => match self.made.continuation(sample)? {
                Some(continuation) => self.contexts(sample, &continuation, has_chat_template),
                None => {
                    let (context, ending) = self.context(sample, has_chat_template)?;
                    let before = self.delimiter.before_choice(chat, &ending);
                    let continuations = sample.choices.iter().map(|choice| before.clone() + choice).collect();
                    Ok(Question::Choices { context, continuations })
                }
            },
            RequestKind::Loglikelihood => {
                let [target] = sample.target.as_slice() else {
                    let message =
                        format!("the case has {} targets: a log-likelihood is that of one", sample.target.len());
                    return Err(Error::input(message));
                };
                if target.is_empty() {
                    return Err(Error::input("the target of the case is empty: there is nothing to score"));
                }
                let (context, ending) = self.context(sample, has_chat_template)?;
                let continuations = vec![self.delimiter.before_target(chat, &ending, target) + target];
                Ok(Question::Choices { context, continuations })
            }
        }
    }

    /// What stands before a continuation, and its last words.
    fn context(&self, sample: &Sample, has_chat_template: bool) -> Result<(Prompt, Ending)> {
        match &sample.input {
            // A conversation that is given has its end.
            Input::Messages(_) => Ok((self.build(sample, has_chat_template)?, Ending::default())),
            Input::Text(_) => {
                self.check_model(has_chat_template)?;
                self.prompt(sample, self.template.render(sample)?, self.is_chat(has_chat_template))
            }
        }
    }

    /// A continuation behind each choice.
    fn contexts(&self, sample: &Sample, continuation: &str, has_chat_template: bool) -> Result<Question> {
        self.check_model(has_chat_template)?;
        if matches!(sample.input, Input::Messages(_)) {
            return Err(Error::input("the input is a conversation, and the choices are contexts in its place"));
        }
        if continuation.is_empty() {
            return Err(Error::input("`prompt.continuation` is empty: there is nothing to score"));
        }
        let chat = self.is_chat(has_chat_template);
        let pair = |choice: &String| {
            let (context, ending) = self.prompt(sample, choice.clone(), chat)?;
            Ok((context, self.delimiter.before_choice(chat, &ending) + continuation))
        };
        sample.choices.iter().map(pair).collect::<Result<_>>().map(Question::Contexts)
    }

    /// SHA-256 (hex) of the prompt of a case, for answers whose prompt is not tokenized: its text, or its messages as JSON.
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub fn digest(&self, sample: &Sample, has_chat_template: bool) -> Result<String> {
        if matches!(sample.input, Input::Text(_)) && self.is_chat(has_chat_template) {
            self.check_model(has_chat_template)?;
            if let Some(beginning) = &self.beginning
                && let Some(rest) = self.template.render_rest(sample)?
            {
                return Ok(beginning.digest(&rest));
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
        self.shots.all().iter().any(|shot| shot.prompt.contains('\r') || shot.answer.contains('\r'))
    }

    /// Whether an example that a case gets has its very input.
    pub fn has_example(&self, sample: &Sample) -> bool {
        let Input::Text(input) = &sample.input else { return false };
        self.shots.of(sample).any(|shot| shot.input == *input)
    }

    fn conversation(&self, messages: &[Message]) -> Result<Prompt> {
        if self.prefix.is_some() || self.description.is_some() {
            let message = "the input is a conversation, which has no place for `answer_prefix` or `description`";
            let hint = "end it with a message of the assistant and say `continue_final_message: true`, or begin it with one \
                        of the system";
            return Err(Error::input(message).with_hint(hint));
        }
        let has_system = messages.iter().any(|message| message.get("role").and_then(Value::as_str) == Some("system"));
        let own = self.system.iter().filter(|_| !has_system).map(|text| layout::turn("system", text));
        let goes_on = self.continues == Some(true) && ends_with_assistant(messages);
        let turn = if goes_on { Turn::continued() } else { Turn::Opened };
        Ok(self.messages(own.chain(messages.iter().cloned()).collect(), turn))
    }

    fn messages(&self, messages: Vec<Message>, turn: Turn) -> Prompt {
        Prompt::Messages { messages, chat: ChatOptions { turn, kwargs: self.kwargs.clone() } }
    }

    /// Whether a case's conversation ends with a message of the assistant of which the suite does not say whether it goes on.
    pub fn leaves_open_turn(&self, sample: &Sample) -> bool {
        self.continues.is_none() && matches!(&sample.input, Input::Messages(messages) if ends_with_assistant(messages))
    }

    /// The prompt that ends with a question, and its last words.
    fn prompt(&self, sample: &Sample, question: String, chat: bool) -> Result<(Prompt, Ending)> {
        let prefix = self.prefix.as_ref().map(|prefix| prefix.render(sample)).transpose()?;
        let ending = Ending { question, prefix };
        let parts = self.parts(sample, &ending, chat)?;
        if !chat {
            return Ok((Prompt::Text(layout::text(&parts)), ending));
        }
        let turn = if ending.prefix.is_some() { Turn::continued() } else { Turn::Opened };
        let messages = match self.join {
            Join::Turns => layout::turns(&parts),
            Join::Text => layout::one_turn(&parts),
        };
        Ok((self.messages(messages, turn), ending))
    }

    /// System prompt, description, examples, question and the beginning of the answer.
    fn parts(&self, sample: &Sample, ending: &Ending, chat: bool) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let description = self.description.as_ref().map(|text| text.render(sample)).transpose()?.unwrap_or_default();
        match (&self.system, chat) {
            (None, _) if description.is_empty() => {}
            (None, _) => parts.push(Part::new("system", description, "")),
            (Some(system), true) => {
                parts.push(Part::new("system", layout::joined(system, &description, &self.shot_delimiter), ""));
            }
            (Some(system), false) => parts.push(Part::new("system", format!("{system}\n\n{description}"), "")),
        }
        for shot in self.shots.of(sample) {
            let (answer, behind) = match &shot.prefix {
                Some(prefix) => {
                    let behind = self.delimiter.before_prefix(&shot.prompt, prefix);
                    (layout::joined(prefix, &shot.answer, " "), behind)
                }
                None => (shot.answer.clone(), self.delimiter.behind_question(&shot.prompt)),
            };
            parts.push(Part::new("user", &shot.prompt, behind));
            parts.push(Part::new("assistant", answer, &self.shot_delimiter));
        }
        let Ending { question, prefix } = ending;
        match prefix {
            None => parts.push(Part::new("user", question, "")),
            Some(prefix) => {
                parts.push(Part::new("user", question, self.delimiter.before_prefix(question, prefix)));
                parts.push(Part::new("assistant", prefix, ""));
            }
        }
        Ok(parts)
    }
}

/// The template of the question.
fn template(spec: &PromptSpec, files: &mut Files<'_>, root: &Path) -> Result<Template> {
    let template = match (&spec.file, &spec.text) {
        (Some(_), Some(_)) => return Err(Error::input("the prompt has both a `file` and a `text`")),
        (Some(file), None) => Template::parse(&files.text(file)?, &root.join(file))?.check()?,
        (None, Some(text)) => Template::inline(text).map_err(|error| error.context("failed to read `prompt.text`"))?,
        (None, None) => Template::identity()?,
    };
    if let (Some(file), Some(wanted), Some(found)) = (&spec.file, &spec.version, &template.version)
        && wanted != found
    {
        let message = format!("the template's version is `{found}`, the suite wants `{wanted}`");
        let error = Error::input(message).at_line(root.join(file), 1);
        return Err(error.with_hint("raise `prompt: {version: …}` in the suite together with the template"));
    }
    Ok(template)
}

/// What is wrong with the template of a `prompt:` section, or why it cannot be read.
pub fn lint(spec: &PromptSpec, root: &Path) -> Vec<Finding> {
    let Some(file) = &spec.file else { return Vec::new() };
    match Files::new(root).text(file).and_then(|text| Template::parse(&text, &root.join(file))) {
        Ok(template) => template.problems(),
        Err(error) => vec![Finding::from(&error)],
    }
}

fn ends_with_assistant(messages: &[Message]) -> bool {
    messages.last().and_then(|message| message.get("role")).and_then(Value::as_str) == Some("assistant")
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
    for (name, text) in [
        ("description", &spec.description),
        ("target", &spec.target),
        ("continuation", &spec.continuation),
        ("target_delimiter", &spec.target_delimiter),
        ("answer_prefix", &spec.answer_prefix),
    ] {
        if let Some(text) = text {
            part(name, text);
        }
    }
    // What examples are like beside their texts, and choices: as the suite has them.
    let drawn = spec.few_shot.as_ref().filter(|few_shot| **few_shot != few_shot.plain());
    let json = |value: std::result::Result<Value, serde_json::Error>| value.unwrap_or_default().to_string();
    if let Some(few_shot) = drawn {
        part("few_shot", &json(serde_json::to_value(few_shot)));
    }
    if let Some(choices) = &spec.choices {
        part("choices", &json(serde_json::to_value(choices)));
    }
    if spec.render_input {
        part("render_input", "");
    }
    if !spec.chat_template_kwargs.is_empty() {
        part("chat_template_kwargs", &Value::Object(spec.chat_template_kwargs.clone()).to_string());
    }
    hex(&hasher.finalize())
}
