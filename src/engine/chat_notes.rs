//! What is odd about rendered prompts and fails nothing: counted while they are rendered, told once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::chat::{ChatTemplate, Listing};
use super::request::{ChatOptions, Message};

/// Counts of odd prompts.
#[derive(Default)]
pub(super) struct ChatNotes {
    doubled: AtomicU64,
    printed: AtomicU64,
    left_out: AtomicU64,
    /// Template arguments that the template never looks at.
    unread: Mutex<BTreeSet<String>>,
}

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
        for name in options.kwargs.keys() {
            let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
            if !unread.contains(name) && !template.mentions(name) {
                unread.insert(name.clone());
            }
        }
    }

    /// One line for each kind of oddity; `begin` is the begin token as it is spelled.
    pub fn lines(&self, begin: &str) -> Vec<String> {
        let prompts = |count: &AtomicU64| match count.load(Relaxed) {
            0 => None,
            1 => Some("1 prompt".to_owned()),
            many => Some(format!("{many} prompts")),
        };
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
        for name in self.unread.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            lines.push(format!("the chat template never looks at `{name}` of chat_template_kwargs"));
        }
        lines
    }
}
