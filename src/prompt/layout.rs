//! How system prompt, examples and question become one text or one conversation: the layout of lm-evaluation-harness 0.4
//! (`fewshot_context` and `build_qa_turn`).

use crate::engine::Message;
use crate::engine::render::is_python_space as is_space;

/// A turn of a prompt, and what follows it where the prompt is one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    role: &'static str,
    content: String,
    behind: String,
}

impl Part {
    pub fn new(role: &'static str, content: impl Into<String>, behind: impl Into<String>) -> Self {
        Self { role, content: content.into(), behind: behind.into() }
    }
}

/// What separates question and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delimiter(pub Option<String>);

impl Delimiter {
    /// Between a question and the answer of an example: as it is said, else a blank unless white space is there.
    pub fn behind_question(&self, question: &str) -> String {
        match &self.0 {
            Some(own) => own.clone(),
            None if question.ends_with(is_space) => String::new(),
            None => " ".into(),
        }
    }

    /// Between a question and the beginning of its answer: only where neither has white space there.
    pub fn before_prefix(&self, question: &str, prefix: &str) -> String {
        let needed = !question.is_empty() && !question.ends_with(is_space) && !prefix.starts_with(is_space);
        if needed { self.0.clone().unwrap_or_else(|| " ".into()) } else { String::new() }
    }

    /// Before each choice: behind the last words of a text, or in a turn of its own.
    pub fn before_choice(&self, chat: bool, ending: &Ending) -> String {
        match (chat, &ending.prefix) {
            (true, Some(prefix)) if !prefix.ends_with(is_space) => self.0.clone().unwrap_or_else(|| " ".into()),
            (true, _) => String::new(),
            (false, _) => self.behind_question(ending.last()),
        }
    }

    /// Before the target of a log-likelihood: none where one is said for examples, because targets bring their own then.
    pub fn before_target(&self, chat: bool, ending: &Ending, target: &str) -> String {
        let bare = self.0.is_some() || target.starts_with(is_space) || ending.last().ends_with(is_space);
        if bare || (chat && ending.prefix.is_none()) { String::new() } else { " ".into() }
    }
}

/// The last words of a prompt: a question, and how its answer begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ending {
    pub question: String,
    pub prefix: Option<String>,
}

impl Ending {
    /// What the prompt ends with.
    fn last(&self) -> &str {
        self.prefix.as_ref().unwrap_or(&self.question)
    }
}

/// Two texts with a delimiter where neither has white space at the border (`maybe_delimit`).
pub(super) fn joined(first: &str, second: &str, delimiter: &str) -> String {
    let bare = first.is_empty() || second.is_empty() || first.ends_with(is_space) || second.starts_with(is_space);
    [first, if bare { "" } else { delimiter }, second].concat()
}

/// All parts in one text.
pub(super) fn text(parts: &[Part]) -> String {
    parts.iter().flat_map(|part| [part.content.as_str(), part.behind.as_str()]).collect()
}

/// A turn for each part.
pub(super) fn turns(parts: &[Part]) -> Vec<Message> {
    parts.iter().map(|part| turn(part.role, &part.content)).collect()
}

/// One turn of the user with everything that stands between a system prompt and the beginning of an answer
/// (`multiturn_to_singleturn`).
pub(super) fn one_turn(parts: &[Part]) -> Vec<Message> {
    let (system, rest) = match parts.split_first() {
        Some((first, rest)) if first.role == "system" => (Some(first), rest),
        _ => (None, parts),
    };
    let (last, rest) = match rest.split_last() {
        Some((last, rest)) if last.role == "assistant" => (Some(last), rest),
        _ => (None, rest),
    };
    let question = match rest.split_last() {
        Some((question, before)) => text(before) + &question.content,
        None => String::new(),
    };
    let around = |part: Option<&Part>| part.map(|part| turn(part.role, &part.content));
    around(system).into_iter().chain([turn("user", &question)]).chain(around(last)).collect()
}

/// A message.
pub(super) fn turn(role: &str, content: &str) -> Message {
    let mut message = Message::new();
    message.insert("role".into(), role.into());
    message.insert("content".into(), content.into());
    message
}
