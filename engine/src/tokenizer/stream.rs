//! Decoding one id at a time: the text so far never changes, and at its end it is what decoding all ids at once gives.
//!
//! Every decoder of the `tokenizers` crate maps a list of tokens to a list of tokens. Each becomes a stage here that
//! takes tokens one by one and holds back what a later token could still change (half a character, a run of byte tokens,
//! a last word). The few combinations for which that cannot be said (a regular expression over the joined text, say) are
//! held back whole and decoded afresh, which is right but slow.

use tokenizers::Decoder;
use tokenizers::decoders::DecoderWrapper;

use super::Tokenizer;
use crate::guard::guarded;

/// The growing text of a growing list of ids.
#[derive(Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    skip_special_tokens: bool,
    stages: Vec<Stage>,
    text: String,
    /// All ids, where the whole text is cleaned up at its end: a later token may take a space away.
    whole: Option<Vec<u32>>,
}

/// One decoder, with what it holds back.
#[derive(Clone)]
enum Stage {
    /// Every token for itself.
    Each(DecoderWrapper),
    /// Every token for itself, but the first differs from the others.
    FirstDiffers { decoder: DecoderWrapper, first: bool },
    /// Words end in a suffix that becomes a space, except for the last one.
    HoldLast { suffix: String, held: Option<String> },
    /// A token that repeats the one before it is dropped.
    Deduplicate { decoder: DecoderWrapper, last: Option<String> },
    /// A run of `<0xNN>` tokens is text if the whole run is UTF-8.
    ByteRun(Vec<u8>),
    /// Tokens spell bytes; half a character waits.
    ByteLevel(Vec<u8>),
    /// Joined text loses at most so many of a character at its start.
    StripStart { content: char, left: usize },
    /// No decoder: a space between tokens.
    Spaced { first: bool },
    /// Anything else: all tokens wait for the end.
    Whole { decoders: Vec<DecoderWrapper>, tokens: Vec<String> },
}

impl TextStream {
    pub(super) fn new(tokenizer: Tokenizer, skip_special_tokens: bool) -> Self {
        let stages = match tokenizer.inner.get_decoder() {
            None => vec![Stage::Spaced { first: true }],
            Some(decoder) => stages(decoder),
        };
        let whole = tokenizer.clean_up.then(Vec::new);
        Self { tokenizer, skip_special_tokens, stages, text: String::new(), whole }
    }

    /// Takes the next id; returns how many bytes the text grew by.
    pub fn push(&mut self, id: u32) -> usize {
        if let Some(ids) = &mut self.whole {
            ids.push(id);
            return 0;
        }
        let before = self.text.len();
        if let Some(token) = self.tokenizer.token(id, self.skip_special_tokens) {
            feed(&mut self.stages, token, &mut self.text);
        }
        self.text.len() - before
    }

    /// The text so far, without what is held back. It only ever grows.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the text would end with if no id followed: half a character shows as U+FFFD.
    pub fn held_back(&self) -> String {
        if let Some(ids) = &self.whole {
            return self.tokenizer.decode(ids, self.skip_special_tokens).unwrap_or_default();
        }
        if self.stages.iter().all(Stage::is_idle) {
            return String::new();
        }
        let mut rest = String::new();
        finish(&mut self.stages.clone(), &mut rest);
        rest
    }

    /// The whole text: exactly what decoding all ids at once gives.
    pub fn finish(mut self) -> String {
        if self.whole.is_some() {
            return self.held_back();
        }
        finish(&mut self.stages, &mut self.text);
        self.text
    }
}

/// The stages of a decoder, in order.
fn stages(decoder: &DecoderWrapper) -> Vec<Stage> {
    let mut flat = Vec::new();
    flatten(decoder, &mut flat);
    let mut stages = Vec::new();
    // Once tokens are joined, a stage sees one token that arrives in pieces.
    let mut joined = false;
    for (i, decoder) in flat.iter().enumerate() {
        let own = || decoder.clone();
        let stage = match decoder {
            DecoderWrapper::Fuse(_) => {
                joined = true;
                continue;
            }
            DecoderWrapper::Strip(strip) if joined && strip.stop == 0 => {
                Some(Stage::StripStart { content: strip.content, left: strip.start })
            }
            DecoderWrapper::Replace(_) if !joined || replaces_one_char(decoder) => Some(Stage::Each(own())),
            _ if joined => None,
            DecoderWrapper::Strip(strip) => (strip.stop == 0).then(|| Stage::Each(own())),
            DecoderWrapper::WordPiece(_) | DecoderWrapper::Metaspace(_) => {
                Some(Stage::FirstDiffers { decoder: own(), first: true })
            }
            DecoderWrapper::BPE(bpe) => Some(Stage::HoldLast { suffix: bpe.suffix.clone(), held: None }),
            DecoderWrapper::CTC(_) => Some(Stage::Deduplicate { decoder: own(), last: None }),
            DecoderWrapper::ByteFallback(_) => Some(Stage::ByteRun(Vec::new())),
            DecoderWrapper::ByteLevel(_) => {
                joined = true;
                Some(Stage::ByteLevel(Vec::new()))
            }
            DecoderWrapper::Replace(_) | DecoderWrapper::Sequence(_) => None,
        };
        match stage {
            Some(stage) => stages.push(stage),
            None => {
                // Joined pieces stay one token for what follows.
                let fuse = joined.then(|| DecoderWrapper::Fuse(tokenizers::decoders::fuse::Fuse::new()));
                let decoders = fuse.into_iter().chain(flat[i..].iter().cloned()).collect();
                stages.push(Stage::Whole { decoders, tokens: Vec::new() });
                break;
            }
        }
    }
    stages
}

fn flatten(decoder: &DecoderWrapper, into: &mut Vec<DecoderWrapper>) {
    match decoder {
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().for_each(|inner| flatten(inner, into)),
        other => into.push(other.clone()),
    }
}

/// Whether a `Replace` looks for one literal character, so that it may see the text in pieces.
fn replaces_one_char(decoder: &DecoderWrapper) -> bool {
    let json = serde_json::to_value(decoder).unwrap_or_default();
    json["pattern"]["String"].as_str().is_some_and(|pattern| pattern.chars().count() == 1)
}

/// Sends a token through all stages.
fn feed(stages: &mut [Stage], token: String, text: &mut String) {
    match stages.split_first_mut() {
        None => text.push_str(&token),
        Some((stage, rest)) => stage.push(token, &mut |token| feed(rest, token, text)),
    }
}

/// Lets every stage give what it holds, the first one first.
fn finish(stages: &mut [Stage], text: &mut String) {
    if let Some((stage, rest)) = stages.split_first_mut() {
        stage.finish(&mut |token| feed(rest, token, text));
        finish(rest, text);
    }
}

/// What a decoder of the crate makes of a list of tokens; on failure, which only broken ones show and decoding all at once
/// reports, the tokens as they are.
fn decoded(decoder: &DecoderWrapper, tokens: Vec<String>) -> Vec<String> {
    let chain = guarded("decode tokens", || decoder.decode_chain(tokens.clone()));
    chain.ok().and_then(|chain| chain.ok()).unwrap_or(tokens)
}

impl Stage {
    fn is_idle(&self) -> bool {
        match self {
            Stage::Each(_) | Stage::FirstDiffers { .. } | Stage::StripStart { .. } | Stage::Spaced { .. } => true,
            Stage::Deduplicate { .. } => true,
            Stage::HoldLast { held, .. } => held.is_none(),
            Stage::ByteRun(bytes) | Stage::ByteLevel(bytes) => bytes.is_empty(),
            Stage::Whole { tokens, .. } => tokens.is_empty(),
        }
    }

    fn push(&mut self, token: String, out: &mut dyn FnMut(String)) {
        match self {
            Stage::Each(decoder) => decoded(decoder, vec![token]).into_iter().for_each(out),
            Stage::FirstDiffers { decoder, first } => {
                let place_holder = (!std::mem::take(first)).then(|| "x".to_owned());
                let skip = usize::from(place_holder.is_some());
                decoded(decoder, place_holder.into_iter().chain([token]).collect())
                    .into_iter()
                    .skip(skip)
                    .for_each(out);
            }
            Stage::HoldLast { suffix, held } => {
                if let Some(previous) = held.replace(token) {
                    out(previous.replace(suffix.as_str(), " "));
                }
            }
            Stage::Deduplicate { decoder, last } => {
                if last.as_deref() != Some(token.as_str()) {
                    decoded(decoder, vec![token.clone()]).into_iter().for_each(out);
                    *last = Some(token);
                }
            }
            Stage::ByteRun(bytes) => match fallback_byte(&token) {
                Some(byte) => bytes.push(byte),
                None => {
                    give_run(bytes, out);
                    out(token);
                }
            },
            Stage::ByteLevel(bytes) => {
                bytes.extend(token_bytes(token));
                give_characters(bytes, out);
            }
            Stage::StripStart { content, left } => {
                let mut rest = token.as_str();
                while *left > 0 && !rest.is_empty() {
                    match rest.strip_prefix(*content) {
                        Some(shorter) => (rest, *left) = (shorter, *left - 1),
                        None => *left = 0,
                    }
                }
                out(rest.to_owned());
            }
            Stage::Spaced { first } => out(if std::mem::take(first) { token } else { format!(" {token}") }),
            Stage::Whole { tokens, .. } => tokens.push(token),
        }
    }

    fn finish(&mut self, out: &mut dyn FnMut(String)) {
        match self {
            Stage::Each(_) | Stage::FirstDiffers { .. } | Stage::StripStart { .. } | Stage::Spaced { .. } => {}
            Stage::Deduplicate { .. } => {}
            Stage::HoldLast { suffix, held } => {
                if let Some(last) = held.take() {
                    out(last.replace(suffix.as_str(), ""));
                }
            }
            Stage::ByteRun(bytes) => give_run(bytes, out),
            Stage::ByteLevel(bytes) => {
                if !bytes.is_empty() {
                    out(String::from_utf8_lossy(&std::mem::take(bytes)).into_owned());
                }
            }
            Stage::Whole { decoders, tokens } => {
                if !tokens.is_empty() {
                    let tokens = std::mem::take(tokens);
                    decoders.iter().fold(tokens, |tokens, decoder| decoded(decoder, tokens)).into_iter().for_each(out);
                }
            }
        }
    }
}

/// The byte of a token such as `<0x0A>`, read as the crate's `ByteFallback` reads it.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (token.len() == 6).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// A run of byte tokens is over.
fn give_run(bytes: &mut Vec<u8>, out: &mut dyn FnMut(String)) {
    if !bytes.is_empty() {
        match String::from_utf8(std::mem::take(bytes)) {
            Ok(text) => out(text),
            Err(error) => error.as_bytes().iter().for_each(|_| out('\u{fffd}'.into())),
        }
    }
}

/// The bytes that a byte-level token spells; a token with foreign characters stands for itself.
fn token_bytes(token: String) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_level_byte).collect();
    bytes.unwrap_or_else(|| token.into_bytes())
}

/// GPT-2's table: printable Latin-1 stands for itself, the other 68 bytes for U+0100 upwards in order.
fn byte_level_byte(c: char) -> Option<u8> {
    let itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|byte| itself(*byte)),
        code => (0..=0xff_u8).filter(|byte| !itself(*byte)).nth(usize::try_from(code - 0x100).ok()?),
    }
}

/// Gives all whole characters; bytes that can never become one are U+FFFD as in `String::from_utf8_lossy`.
fn give_characters(bytes: &mut Vec<u8>, out: &mut dyn FnMut(String)) {
    let mut text = String::new();
    let mut at = 0;
    loop {
        match std::str::from_utf8(&bytes[at..]) {
            Ok(valid) => {
                text.push_str(valid);
                at = bytes.len();
                break;
            }
            Err(error) => {
                let valid = at + error.valid_up_to();
                text.push_str(&String::from_utf8_lossy(&bytes[at..valid]));
                at = valid;
                match error.error_len() {
                    Some(length) => {
                        text.push('\u{fffd}');
                        at += length;
                    }
                    None => break,
                }
            }
        }
    }
    bytes.drain(..at);
    if !text.is_empty() {
        out(text);
    }
}

#[cfg(test)]
impl Tokenizer {
    /// Whether streams of this tokenizer are of the slow kind.
    pub(super) fn stages_hold_everything(&self) -> bool {
        self.stream(false).stages.iter().any(|stage| matches!(stage, Stage::Whole { .. }))
    }
}
