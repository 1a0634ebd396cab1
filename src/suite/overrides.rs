//! The layer above the suite file: what the command line says.
//!
//! Options are laid over the tree before the plan is read, so that a wrong value gets the same checks and hints as one in
//! the file, with the option named in place of a line.

use std::path::Path;

use crate::engine::options::BackendChoice;
use crate::error::{Error, Result, nearest};
use crate::yaml::{Content, Entry, Node, Origin};

/// What the command line says about a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Another generator (`--model`): a model reference, a path in it relative to the working folder.
    pub generator: Option<String>,
    /// Which of several prompts (`--prompt`); the first where none is named.
    pub prompt: Option<String>,
    /// Whose model code will compute (`--backend`): decides which models can be used.
    pub backend: BackendChoice,
    /// At most this many cases of each dataset (`--limit`).
    pub limit: Option<usize>,
    /// Another seed (`--seed`).
    pub seed: Option<u64>,
    /// Another number of answers to each case (`--repeat`).
    pub repeat: Option<u32>,
    /// Arguments of the chat template (`--chat-template-kwargs`), each in place of the suite's own of that name.
    pub chat_template_kwargs: serde_json::Map<String, serde_json::Value>,
    /// Whether a last message of the assistant goes on (`--continue-final-message`).
    pub continue_final_message: bool,
    /// Dotted keys and YAML values (`--set generation.max_new_tokens=32`), in order, after all others. Entries of lists
    /// go by name or position: `datasets.golden.limit`, `scorers.close.min`, `gates.0.min`.
    pub set: Vec<(String, String)>,
}

impl Overrides {
    /// Splits `key=value` as `--set` takes it.
    ///
    /// # Errors
    /// Text without `=` or with nothing before it.
    pub fn parse_set(text: &str) -> Result<(String, String)> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.trim().into())),
            _ => Err(Error::input(format!("failed to read `--set {text}`"))
                .with_hint("write --set generation.max_new_tokens=32")),
        }
    }

    /// Lays the options over the tree of the suite in `path`.
    pub(super) fn apply(&self, root: &mut Node, path: &Path) -> Result<()> {
        if let Some(model) = &self.generator {
            set(root, "models.generator.model", Content::Text(model.clone()), &words(format!("--model {model}")))
                .map_err(|error| error.at(path))?;
        }
        if let Some(seed) = self.seed {
            set(root, "generation.seed", Content::Unsigned(seed), &words(format!("--seed {seed}")))
                .map_err(|error| error.at(path))?;
        }
        if let Some(repeat) = self.repeat {
            let content = Content::Unsigned(u64::from(repeat));
            set(root, "generation.repeat", content, &words(format!("--repeat {repeat}")))
                .map_err(|error| error.at(path))?;
        }
        if let Some(limit) = self.limit {
            self.apply_limit(root, limit);
        }
        if self.continue_final_message {
            let origin = words("--continue-final-message".into());
            set(root, "prompt.continue_final_message", Content::Bool(true), &origin).map_err(|e| e.at(path))?;
        }
        for (name, value) in &self.chat_template_kwargs {
            let origin = words(format!("--chat-template-kwargs {{\"{name}\": {value}}}"));
            // JSON is YAML.
            let parsed = Node::parse(&value.to_string(), path).map_err(|error| origin.locate(error, path))?;
            let content = parsed.moved(&origin).content;
            let kwargs = section(root, "prompt.chat_template_kwargs", &origin).map_err(|e| origin.locate(e, path))?;
            put(kwargs, name, Node { content, origin });
        }
        for (key, value) in &self.set {
            let origin = words(format!("--set {key}={value}"));
            let parsed = Node::parse(value, path).map_err(|error| origin.locate(error, path))?;
            let content = parsed.moved(&origin).content;
            set(root, key, content, &origin).map_err(|error| origin.locate(error, path))?;
        }
        Ok(())
    }

    /// The smaller of the file's limit and the option's counts.
    fn apply_limit(&self, root: &mut Node, limit: usize) {
        let origin = words(format!("--limit {limit}"));
        let limit = limit as u64;
        let Content::Map(entries) = &mut root.content else { return };
        let Some(datasets) = entries.iter_mut().find(|entry| entry.key == "datasets") else { return };
        let Content::List(items) = &mut datasets.value.content else { return };
        for item in items {
            let smaller =
                matches!(item.get("limit"), Some(Node { content: Content::Unsigned(own), .. }) if *own < limit);
            if let (false, Content::Map(entries)) = (smaller, &mut item.content) {
                put(entries, "limit", Node { content: Content::Unsigned(limit), origin: origin.clone() });
            }
        }
    }
}

fn words(text: String) -> Origin {
    Origin::Option(text.into())
}

fn put(entries: &mut Vec<Entry>, key: &str, value: Node) -> usize {
    let origin = value.origin.clone();
    match entries.iter().position(|entry| entry.key == key) {
        Some(index) => {
            entries[index] = Entry { key: key.into(), origin, value };
            index
        }
        None => {
            entries.push(Entry { key: key.into(), origin, value });
            entries.len() - 1
        }
    }
}

/// The entries of a section at a dotted path, made where it is missing.
fn section<'a>(root: &'a mut Node, path: &str, origin: &Origin) -> Result<&'a mut Vec<Entry>> {
    let mut node = root;
    for step in path.split('.') {
        if matches!(node.content, Content::Null) {
            *node = Node { content: Content::Map(Vec::new()), origin: origin.clone() };
        }
        let Content::Map(entries) = &mut node.content else {
            return Err(Error::input(format!("`{step}` has no section to go into")));
        };
        let index = match entries.iter().position(|entry| entry.key == step) {
            Some(index) => index,
            None => put(entries, step, Node { content: Content::Null, origin: origin.clone() }),
        };
        node = &mut entries[index].value;
    }
    if matches!(node.content, Content::Null) {
        *node = Node { content: Content::Map(Vec::new()), origin: origin.clone() };
    }
    match &mut node.content {
        Content::Map(entries) => Ok(entries),
        _ => Err(Error::input(format!("`{path}` is no section"))),
    }
}

/// Sets the value at a dotted path, making sections on the way. Keys that no section has are found when the plan is read.
fn set(node: &mut Node, path: &str, content: Content, origin: &Origin) -> Result<()> {
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    if step.is_empty() {
        return Err(Error::input("the key has an empty part between dots"));
    }
    if matches!(node.content, Content::Null) {
        *node = Node { content: Content::Map(Vec::new()), origin: origin.clone() };
    }
    let child = match &mut node.content {
        Content::Map(entries) => {
            let index = match entries.iter().position(|entry| entry.key == step) {
                Some(index) => index,
                None => put(entries, step, Node { content: Content::Null, origin: origin.clone() }),
            };
            &mut entries[index].value
        }
        Content::List(items) => {
            let entry = entry(items, step)?;
            return match rest {
                Some(rest) => {
                    let path = below(entry_kind(entry), rest);
                    set(entry, &path, content, origin)
                }
                None => {
                    *entry = Node { content, origin: origin.clone() };
                    Ok(())
                }
            };
        }
        _ => return Err(Error::input(format!("`{step}` has no section to go into"))),
    };
    match rest {
        Some(rest) => set(child, rest, content, origin),
        None => {
            *child = Node { content, origin: origin.clone() };
            Ok(())
        }
    }
}

/// An entry of a list by its name or position.
fn entry<'a>(items: &'a mut [Node], step: &str) -> Result<&'a mut Node> {
    let names: Vec<Option<String>> = items.iter().map(name_of).collect();
    let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
    let position = names.iter().position(|name| name.as_deref() == Some(step));
    match position.or_else(|| step.parse().ok().filter(|index| *index < items.len())) {
        Some(position) => Ok(&mut items[position]),
        None => {
            let count = items.len();
            let hint = if known.is_empty() { format!("the list has {count} entries") } else { nearest(step, known) };
            Err(Error::input(format!("the list has no entry `{step}`")).with_hint(hint))
        }
    }
}

/// The kind of a scorer in a list, whose options lie below it; `None` for entries that hold their keys themselves.
fn entry_kind(node: &mut Node) -> Option<String> {
    if let Content::Text(kind) = &node.content {
        let value = Node { content: Content::Null, origin: node.origin.clone() };
        node.content = Content::Map(vec![Entry { key: kind.clone(), origin: node.origin.clone(), value }]);
    }
    match &node.content {
        Content::Map(entries) if is_named_options(node) => Some(entries[0].key.clone()),
        _ => None,
    }
}

fn below(kind: Option<String>, rest: &str) -> String {
    match kind {
        Some(kind) => format!("{kind}.{rest}"),
        None => rest.to_owned(),
    }
}

fn is_named_options(node: &Node) -> bool {
    let Content::Map(entries) = &node.content else { return false };
    entries.len() == 1 && matches!(entries[0].value.content, Content::Map(_) | Content::Null)
}

/// The name an entry goes by: its `name`, or for a scorer the `name` among its options, or its kind.
fn name_of(node: &Node) -> Option<String> {
    if let Some(name) = node.get("name").and_then(Node::text) {
        return Some(name.into());
    }
    match &node.content {
        Content::Text(kind) => Some(kind.clone()),
        Content::Map(entries) if is_named_options(node) => {
            let own = entries[0].value.get("name").and_then(Node::text);
            Some(own.unwrap_or(&entries[0].key).to_owned())
        }
        _ => None,
    }
}
