//! What is odd about rendered prompts and fails nothing: counted while they are rendered, told once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::{ChatTemplate, Listing, odd_role};
use crate::request::{ChatOptions, Message};

/// Counts of odd prompts.
#[derive(Default)]
pub(crate) struct ChatNotes {
    doubled: AtomicU64,
    printed: AtomicU64,
    left_out: AtomicU64,
    /// Template arguments that the template never looks at.
    unread: Mutex<BTreeSet<String>>,
    /// Roles that the template does not know, and what to do about each.
    roles: Mutex<BTreeMap<String, String>>,
    /// Roles of messages whose text the template leaves out.
    dropped: Mutex<BTreeMap<String, u64>>,
    silent: AtomicU64,
}

/// Roles whose messages templates rewrite: thoughts are cut out of the assistant's, results of tools are made into JSON.
const REWRITTEN: [&str; 6] = ["user", "assistant", "tool", "function", "ipython", "model"];

impl ChatNotes {
    /// Takes note of a prompt's ids, in which a begin token should stand once.
    pub fn see_ids(&self, ids: &[u32], begin: Option<u32>) {
        if let (Some(begin), [first, second, ..]) = (begin, ids)
            && *first == begin
            && *second == begin
        {
            self.doubled.fetch_add(1, Relaxed);
        }
    }

    /// Takes note of a rendered conversation.
    pub fn see_chat(&self, template: &ChatTemplate, messages: &[Message], options: &ChatOptions, rendered: &str) {
        match Listing::of(messages, rendered) {
            Some(Listing::Printed) => _ = self.printed.fetch_add(1, Relaxed),
            Some(Listing::LeftOut) => _ = self.left_out.fetch_add(1, Relaxed),
            None => {}
        }
        self.see_roles(template, messages, rendered);
        for name in options.kwargs.keys() {
            let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
            if !unread.contains(name) && !template.mentions(name) {
                unread.insert(name.clone());
            }
        }
    }

    fn see_roles(&self, template: &ChatTemplate, messages: &[Message], rendered: &str) {
        if messages.iter().any(says_nothing) {
            self.silent.fetch_add(1, Relaxed);
        }
        let mut dropped = BTreeSet::new();
        for message in messages {
            let text = |name: &str| message.get(name).and_then(Value::as_str);
            let Some(role) = text("role") else { continue };
            if let Some(odd) = odd_role(role, Some(&|role| template.names_role(role))) {
                let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
                roles.entry(role.to_owned()).or_insert_with(|| format!("the role `{role}` {}: {}", odd.what, odd.hint));
            }
            let content = text("content").unwrap_or_default().trim();
            if !REWRITTEN.contains(&role) && !rendered.contains(content) {
                dropped.insert(role);
            }
        }
        if dropped.is_empty() {
            return;
        }
        let mut all = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.into_iter().for_each(|role| *all.entry(role.to_owned()).or_default() += 1);
    }

    /// One line for each role that the template does not know.
    pub fn role_lines(&self) -> Vec<String> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One line for each kind of oddity; `begin` is the begin token as it is spelled.
    pub fn lines(&self, begin: &str) -> Vec<String> {
        let counted = |count: u64| match count {
            0 => None,
            1 => Some("1 prompt".to_owned()),
            many => Some(format!("{many} prompts")),
        };
        let prompts = |count: &AtomicU64| counted(count.load(Relaxed));
        let mut lines = Vec::new();
        if let Some(prompts) = prompts(&self.doubled) {
            lines.push(format!(
                "{prompts} with two begin tokens `{begin}`: the text has one, and the tokenizer or the chat template puts \
                 another before it; leave it out of the text"
            ));
        }
        if let Some(prompts) = prompts(&self.printed) {
            lines.push(format!(
                "{prompts} with a message's list of parts printed as it is, brackets and all: this chat template takes \
                 `content` as a text; give one"
            ));
        }
        if let Some(prompts) = prompts(&self.left_out) {
            lines.push(format!(
                "{prompts} without a text of a message's list of parts: this chat template leaves it out; give `content` as \
                 a text"
            ));
        }
        if let Some(prompts) = prompts(&self.silent) {
            lines.push(format!(
                "{prompts} with a message that says nothing: its `content` is null, and it has neither `tool_calls` nor a thought"
            ));
        }
        for (role, count) in self.dropped.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let prompts = counted(*count).unwrap_or_default();
            lines.push(format!(
                "{prompts} without the text of a message of the role `{role}`: this chat template leaves it out"
            ));
        }
        for name in self.unread.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            lines.push(format!("the chat template never looks at `{name}` of chat_template_kwargs"));
        }
        lines
    }
}

/// Whether a message has a role and names, and nothing else.
fn says_nothing(message: &Message) -> bool {
    let labels = ["role", "name", "tool_call_id"];
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    message.iter().all(|(key, value)| labels.contains(&key.as_str()) || empty(value))
}
