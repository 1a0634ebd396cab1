//! Chat templates: a conversation becomes the text that the model was trained to continue.
//!
//! Templates are jinja2 as transformers' `apply_chat_template` runs it; minijinja does the work, and the files of this
//! folder bring it to what jinja2 and Python would print. A template cannot read files, the network or the clock.
//!
//! What a rendering may come to is bounded (`held`).
//!
//! What stays different, because minijinja has no hook for it: `%` on strings is an error (`|format` works); `varargs` in
//! macros; ordering comparisons between unlike types and iteration over `None`, where Python raises and minijinja does
//! not; slices with a negative step and a stop of 0; floats from 1e16 joined by `~`.

pub(crate) mod notes;

mod builtins;
mod clock;
mod continued;
mod folder;
pub mod held;
mod held_source;
#[cfg(test)]
mod held_tests;
mod json;
mod listed;
mod messages;
mod origin;
mod python;
mod repr;
mod roles;
mod syntax;
#[cfg(test)]
mod tests;

use minijinja::{Environment, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};
use crate::guard::{FUEL, guarded};
use crate::models::model_folder::ModelFolder;
use crate::request::{ChatOptions, Message, Turn};
use crate::tokenizer::special_tokens::SpecialTokens;

use messages::{to_value, with_reasoning, without_nulls};
use origin::Origin;

pub use clock::Clock;
pub use json::tojson;
pub use listed::Listing;
pub use roles::{OddRole, odd_role};

/// Variables that the engine sets itself.
const OWN: [&str; 3] = ["messages", "add_generation_prompt", "continue_final_message"];

/// The name under which minijinja holds the one template.
const NAME: &str = "chat_template";

/// A compiled chat template with the special tokens of its model.
pub struct ChatTemplate {
    env: Environment<'static>,
    special_tokens: SpecialTokens,
    origin: Origin,
    source: String,
    sha256: String,
    /// The one for conversations with tools, where the folder has two.
    tool_use: Option<Box<ChatTemplate>>,
}

impl ChatTemplate {
    /// The chat template of a model folder with the tokens that its tokenizer names; `None` where it has none.
    ///
    /// As in transformers: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json` (a text, or a list of
    /// named ones of which `default` is taken, and `tool_use` where the arguments have `tools`), else `chat_template` of `chat_template.json`; else what a GGUF file says.
    ///
    /// # Errors
    /// A file that cannot be read, is not JSON, or holds a template that is empty or has a syntax error.
    pub fn from_folder(model: &ModelFolder, special_tokens: &SpecialTokens) -> Result<Option<Self>> {
        let Some((source, origin)) = folder::find(model)? else { return Ok(None) };
        let mut template = Self::compile(&source, special_tokens.clone(), origin)?;
        if let Some((source, origin)) = folder::tool_use(model)? {
            template.tool_use = Some(Box::new(Self::compile(&source, special_tokens.clone(), origin)?));
        }
        Ok(Some(template))
    }

    /// A chat template from its text.
    ///
    /// # Errors
    /// A syntax error, with its line.
    pub fn new(source: &str, special_tokens: SpecialTokens) -> Result<Self> {
        Self::compile(source, special_tokens, Origin::default())
    }

    fn compile(source: &str, special_tokens: SpecialTokens, origin: Origin) -> Result<Self> {
        let mut env = Environment::new();
        let whitespace = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        env.set_syntax(whitespace.map_err(|error| origin.error("set up the chat template", &error))?);
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.set_fuel(Some(FUEL));
        held::install(&mut env);
        builtins::install(&mut env);
        let prepared =
            held::bounded(&syntax::prepare(source)).map_err(|what| origin.place("read the chat template", &what, 0))?;
        env.add_template_owned(NAME, prepared).map_err(|error| origin.error("read the chat template", &error))?;
        let sha256 = crate::hash::sha256(source.as_bytes());
        Ok(Self { env, special_tokens, origin, source: source.to_owned(), sha256, tool_use: None })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 (hex) of the template's text.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether a template can see a variable of this name, one of its own that it sets aside.
    pub fn mentions(&self, variable: &str) -> bool {
        if self.tool_use.as_ref().is_some_and(|template| template.mentions(variable)) {
            return true;
        }
        let found = self.env.get_template(NAME).map(|template| template.undeclared_variables(false));
        found.is_ok_and(|variables| variables.contains(variable))
    }

    /// The text for a conversation; `now` is what `strftime_now` sees. As in transformers 5.24, keys of messages whose value is
    /// null are left out, and reasoning goes by all the names that templates know it by.
    ///
    /// # Errors
    /// What the template raises (`raise_exception`) or trips over, with the template's file and line; a last message that
    /// cannot be continued; a variable that is not for callers to set.
    pub fn render(&self, messages: &[Message], options: &ChatOptions, now: &Clock) -> Result<String> {
        check_names(&options.kwargs)?;
        if let Some(tool_use) = &self.tool_use
            && options.kwargs.get("tools").is_some_and(|tools| !tools.is_null())
        {
            return tool_use.render(messages, options, now);
        }
        let mut messages: Vec<Message> =
            messages.iter().map(|message| with_reasoning(without_nulls(message))).collect();
        let field = match &options.turn {
            Turn::Continued(field) => Some(field.as_str()),
            Turn::Opened | Turn::Closed => None,
        };
        let ending = field.map(|field| continued::mark(&mut messages, field, &self.source)).transpose()?;
        let text = self.fill(messages, options, now)?;
        match ending {
            Some(ending) => continued::cut(text, &ending),
            None => Ok(text),
        }
    }

    /// Whether the template has a role by its name.
    pub fn names_role(&self, role: &str) -> bool {
        let quoted = |quote: char| self.source.contains(&format!("{quote}{role}{quote}"));
        quoted('\'') || quoted('"') || self.tool_use.as_ref().is_some_and(|other| other.names_role(role))
    }

    fn fill(&self, messages: Vec<Message>, options: &ChatOptions, now: &Clock) -> Result<String> {
        let now = *now;
        let mut context: Vec<(String, Value)> = vec![
            ("messages".into(), messages.into_iter().map(|message| to_value(&Json::Object(message))).collect()),
            ("tools".into(), Value::from(())),
            ("documents".into(), Value::from(())),
            ("add_generation_prompt".into(), (options.turn == Turn::Opened).into()),
            ("strftime_now".into(), Value::from_function(move |format: &str| now.strftime(format))),
        ];
        context.extend(self.special_tokens.iter().map(|(name, token)| (name.to_owned(), Value::from(token))));
        context.extend(options.kwargs.iter().map(|(name, value)| (name.clone(), to_value(value))));
        let fail = |error: minijinja::Error| self.origin.error("render the chat template", &error);
        let template = self.env.get_template(NAME).map_err(fail)?;
        let panicked = |error: Error| match &self.origin.path {
            Some(path) => error.at(path),
            None => error,
        };
        // minijinja's slices panic where a negative step meets an empty value.
        guarded("render the chat template", || held::render(&template, Value::from_pairs(context)))
            .map_err(panicked)?
            .map_err(fail)
    }
}

/// Holds the chat templates of a model folder against what can be rendered.
///
/// # Errors
/// As for [`ChatTemplate::from_folder`].
pub fn check(model: &ModelFolder) -> Result<()> {
    ChatTemplate::from_folder(model, &SpecialTokens::default()).map(drop)
}

/// Refuses template arguments that the engine sets itself.
///
/// # Errors
/// One of these names is among them.
pub fn check_names(kwargs: &Map<String, Json>) -> Result<()> {
    match kwargs.keys().find(|name| OWN.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::input(format!("`{name}` is no argument of the chat template: it has its own key"))
            .with_hint("chat_template_kwargs are for what else a template looks at, such as enable_thinking or tools")),
    }
}
