//! Hashes of prompts that are never tokenized: those of recorded answers.
//!
//! What stands before a case's own words (the system prompt, examples, most of a template) is the same in every prompt. It
//! is written down and hashed once, and a prompt that starts with it goes on from there.

use sha2::{Digest, Sha256};

use crate::engine::{Message, Prompt};
use crate::hash::hex;

/// SHA-256 (hex) of a prompt: its text, or its messages as JSON.
pub(super) fn digest(prompt: &Prompt) -> String {
    let mut hash = Sha256::new();
    match prompt {
        Prompt::Text(text) => {
            hash.update("text\n");
            hash.update(text);
        }
        Prompt::Ids(ids) => {
            hash.update("ids\n");
            ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
        }
        Prompt::Messages { messages, .. } => {
            hash.update("messages\n");
            messages.iter().for_each(|message| hash.update(json(message)));
        }
    }
    hex(&hash.finalize())
}

/// A conversation that ends in the middle of a message of the user, hashed so far.
#[derive(Clone, Debug)]
pub(super) struct Beginning(Sha256);

impl Beginning {
    /// Of a conversation whose last message, `content` its last key, goes on behind the text that it has here.
    pub fn new(earlier: &[Message], last: &Message) -> Self {
        let mut hash = Sha256::new();
        hash.update("messages\n");
        earlier.iter().for_each(|message| hash.update(json(message)));
        // JSON escapes character by character: the start of a text is written as the text starts.
        let written = json(last);
        hash.update(&written[..written.len() - END.len()]);
        Self(hash)
    }

    /// As [`digest`] of the whole conversation, its last message going on with `rest`.
    pub fn digest(&self, rest: &str) -> String {
        let mut hash = self.0.clone();
        if rest.bytes().any(|byte| matches!(byte, ..b' ' | b'"' | b'\\')) {
            let written = serde_json::to_vec(rest).unwrap_or_default();
            hash.update(&written[1..written.len() - 1]);
        } else {
            hash.update(rest)
        }
        hex(&hash.chain_update(END).finalize())
    }
}

/// How a message as JSON ends behind its text.
const END: &str = "\"}";

fn json(message: &Message) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}
