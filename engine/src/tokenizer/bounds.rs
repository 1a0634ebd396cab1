//! What a `tokenizer.json` may ask for: bounds that no published tokenizer comes near, and that keep load and encode from filling
//! the memory or going on for ever.
//!
//! A panic in `tokenizers` is caught where it happens (`guard`). What cannot be caught is refused here, before the file is used: a
//! map of characters that claims gigabytes, patterns whose matching explodes, replacements that make a novel of a letter, words of
//! any length in a model that is quadratic in it, tokens that are dropped by chance.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Bytes of a file; the largest published ones have 40 million.
pub(super) const FILE_BYTES: usize = 256 << 20;
/// Parts of normalizer, pre-tokenizer, post-processor and decoder, those of sequences one by one.
const PARTS: usize = 256;
/// How deep sequences of parts stand in each other; a level is two of JSON.
const DEEPEST: usize = 16;
/// Bytes of a text that a part replaces, adds or looks for, and of a pattern.
const TEXT_BYTES: usize = 16 << 10;
/// Bytes of what a part puts in the place of something.
const CONTENT_BYTES: usize = 256;
/// Pieces of a template, ids of a special token, characters that a decoder strips.
const PIECES: usize = 1000;
/// Characters of a word of a WordPiece model, which takes the square of them; 100 is usual.
const WORD_CHARACTERS: u64 = 1000;
/// Bytes of all added tokens, and of one.
const ADDED_BYTES: [usize; 2] = [32 << 20, 64 << 10];
/// How much longer a normalizer may make a text, by the product of what its steps do to the worst of texts.
const GROWTH: f64 = 10_000.0;
/// What the steps that transformers' classes set up may do; see `rebuild`.
pub(super) const USUAL_GROWTH: f64 = 16.0;
/// Bytes that a normalizer may make of one text.
const NORMALIZED_BYTES: f64 = (128 << 20) as f64;
/// Bytes of a text that is tokenized at once: some four hundred times as many of memory. Two million tokens of English.
pub const TEXT_AT_ONCE: usize = 8 << 20;

/// Bytes of a text that a tokenizer takes at once, whose normalizer makes it so many times longer.
pub(super) fn longest_text(growth: f64) -> usize {
    ((NORMALIZED_BYTES / growth.max(1.0)) as usize).min(TEXT_AT_ONCE)
}

/// Entries of an object in order, twice where a key stands twice: a reader may take the first or the last.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}

fn refuse(what: impl Into<String>) -> Error {
    Error::input(format!("failed to use the tokenizer: {}", what.into()))
        .with_hint("no published tokenizer is like that: the file is damaged, or was made to do harm")
}

/// Checks a file, and says how much longer its normalizer may make a text. What is no JSON, or no tokenizer, is for the reader to
/// say.
///
/// # Errors
/// It asks for more than the bounds of this file allow.
pub(super) fn check(bytes: &[u8]) -> Result<f64> {
    if bytes.len() > FILE_BYTES {
        return Err(refuse(format!("its file has {} bytes; at most {FILE_BYTES} are read", bytes.len())));
    }
    let Ok(Entries(entries)) = serde_json::from_slice::<Entries<'_>>(bytes) else { return Ok(1.0) };
    let (mut growth, mut parts) = (1.0f64, 0);
    for (key, raw) in entries {
        match key.as_str() {
            "model" => model(raw)?,
            "added_tokens" => added(raw)?,
            "normalizer" | "pre_tokenizer" | "post_processor" | "decoder" => {
                let part = value(&key, raw)?;
                walk(&part, 0, &mut parts).map_err(|what| refuse(format!("its {key} {what}")))?;
                if key == "normalizer" {
                    growth = growth.max(grown(&part));
                }
            }
            _ => {}
        }
    }
    if growth <= GROWTH {
        Ok(growth)
    } else {
        Err(refuse(format!("its normalizer may make a text {growth:.0} times as long; at most {GROWTH:.0}")))
    }
}

fn value(key: &str, raw: &RawValue) -> Result<Value> {
    serde_json::from_str(raw.get()).map_err(|error| refuse(format!("its {key} cannot be read: {error}")))
}

/// The model's settings, whatever its vocabulary.
fn model(raw: &RawValue) -> Result<()> {
    let Ok(Entries(entries)) = serde_json::from_str::<Entries<'_>>(raw.get()) else { return Ok(()) };
    for (key, raw) in entries.iter().filter(|(key, _)| !matches!(key.as_str(), "vocab" | "merges")) {
        let told = value(key, raw)?;
        match key.as_str() {
            "max_input_chars_per_word" if told.as_f64().is_some_and(|count| count > WORD_CHARACTERS as f64) => {
                return Err(refuse(format!("its model reads words of {told} characters; at most {WORD_CHARACTERS}")));
            }
            "dropout" if told.as_f64().is_some_and(|chance| chance != 0.0) => {
                return Err(Error::input(format!("the tokenizer drops merges by chance (dropout {told})"))
                    .with_hint("equal texts must have equal tokens: set `dropout` to null, as it is for inference"));
            }
            _ if told.as_str().is_some_and(|text| text.len() > CONTENT_BYTES) => {
                return Err(refuse(format!("its model's {key} has more than {CONTENT_BYTES} bytes")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn added(raw: &RawValue) -> Result<()> {
    #[derive(Deserialize)]
    struct Token {
        #[serde(default)]
        content: String,
        #[serde(flatten)]
        _rest: IgnoredAny,
    }
    let Ok(tokens) = serde_json::from_str::<Vec<Token>>(raw.get()) else { return Ok(()) };
    let lengths = || tokens.iter().map(|token| token.content.len());
    let [all, one] = ADDED_BYTES;
    if lengths().sum::<usize>() > all || lengths().any(|length| length > one) {
        return Err(refuse(format!("its added tokens have more than {all} bytes, or one of them more than {one}")));
    }
    Ok(())
}

/// Looks through parts; an error says what is wrong with them.
fn walk(value: &Value, depth: usize, parts: &mut usize) -> std::result::Result<(), String> {
    if depth > 2 * DEEPEST {
        return Err(format!("has parts more than {DEEPEST} deep in each other"));
    }
    match value {
        Value::Array(items) if items.len() > PIECES => Err(format!("has a list of more than {PIECES}")),
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, depth + 1, parts)),
        Value::Object(object) => {
            *parts += usize::from(object.contains_key("type"));
            if *parts > PARTS {
                return Err(format!("has more than {PARTS} parts, with those of others"));
            }
            part(object)?;
            object.values().try_for_each(|value| walk(value, depth + 1, parts))
        }
        _ => Ok(()),
    }
}

fn part(object: &Map<String, Value>) -> std::result::Result<(), String> {
    for (key, value) in object {
        let (text, number) = (value.as_str().unwrap_or_default(), value.as_f64());
        match key.as_str() {
            "precompiled_charsmap" => characters(text)?,
            "content" | "prepend" | "prefix" | "suffix" | "replacement" if text.len() > CONTENT_BYTES => {
                return Err(format!("has a {key} of more than {CONTENT_BYTES} bytes"));
            }
            "Regex" => regex(text)?,
            // One of no characters would never come to the end of a text.
            "length" if number.is_some_and(|length| length < 1.0) => {
                return Err(format!("cuts at every {value} characters"));
            }
            "start" | "stop" if number.is_some_and(|count| count > PIECES as f64) => {
                return Err(format!("strips {value} characters; at most {PIECES}"));
            }
            "single" | "pair" => template(key, value, object)?,
            _ if text.len() > TEXT_BYTES => return Err(format!("has a {key} of more than {TEXT_BYTES} bytes")),
            _ => {}
        }
    }
    Ok(())
}

/// A template may only name special tokens that it has.
fn template(key: &str, value: &Value, object: &Map<String, Value>) -> std::result::Result<(), String> {
    let names = value.as_array().into_iter().flatten().filter_map(|piece| piece["SpecialToken"]["id"].as_str());
    let known = |name: &&str| object.get("special_tokens").is_some_and(|tokens| tokens.get(*name).is_some());
    match names.into_iter().find(|name| !known(name)) {
        Some(name) => Err(format!("names the special token `{name}` in `{key}` and does not say which it is")),
        None => Ok(()),
    }
}

/// A map of characters of SentencePiece: a trie of as many bytes as its first number says, and texts.
fn characters(text: &str) -> std::result::Result<(), String> {
    let Ok(bytes) = BASE64.decode(text) else { return Ok(()) };
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return Ok(()) };
    let size = u32::from_le_bytes(*size) as usize;
    if (1..=rest.len() / 4).contains(&(size / 4)) {
        Ok(())
    } else {
        Err(format!("has a map of characters that is cut off or empty: {size} bytes of {}", rest.len()))
    }
}

/// Patterns that look around or back are matched by trying. A repetition within a repetition then takes time that doubles with
/// every character; others take the time that they look like.
fn regex(pattern: &str) -> std::result::Result<(), String> {
    if pattern.len() > TEXT_BYTES {
        return Err(format!("has a pattern of more than {TEXT_BYTES} bytes"));
    }
    if tries(pattern) && repeats_within(pattern) {
        return Err(format!("has the pattern `{}`, whose matching explodes", shown(pattern)));
    }
    Ok(())
}

fn shown(pattern: &str) -> String {
    pattern.chars().take(60).collect()
}

/// Whether a pattern has what no automaton matches: it looks around or back, or is possessive.
fn tries(pattern: &str) -> bool {
    let back =
        |at: usize| pattern.as_bytes().get(at + 1).is_some_and(|next| next.is_ascii_digit() || b"kGKg".contains(next));
    ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?(", "*+", "++", "?+", "}+"].iter().any(|part| pattern.contains(part))
        || pattern.match_indices('\\').any(|(at, _)| back(at))
}

/// Whether a group with an unbounded repetition is itself repeated without bound.
fn repeats_within(pattern: &str) -> bool {
    // Of each open group: whether something in it is repeated. The pattern is a group.
    let (mut groups, mut closed, mut class, mut at) = (vec![false], false, 0usize, 0);
    let bytes = pattern.as_bytes();
    while let Some(byte) = bytes.get(at) {
        let ended = std::mem::take(&mut closed);
        match byte {
            b'\\' => at += 1,
            b'[' => class += 1,
            b']' => class = class.saturating_sub(1),
            _ if class > 0 => {}
            b'(' => groups.push(false),
            b')' => {
                closed = groups.pop().unwrap_or(false);
                // What a group repeats, the group around it has in it; a bracket too many closes none.
                match groups.last_mut() {
                    Some(outer) => *outer |= closed,
                    None => groups.push(closed),
                }
            }
            b'*' | b'+' | b'{' => {
                let braces = bytes[at..].iter().position(|byte| *byte == b'}').map(|end| &bytes[at..at + end]);
                let unbounded = *byte != b'{' || braces.is_some_and(|braces| braces.ends_with(b","));
                if unbounded && ended {
                    return true;
                }
                if let (true, Some(group)) = (unbounded, groups.last_mut()) {
                    *group = true;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// How many times as long a normalizer may make the worst of texts.
fn grown(normalizer: &Value) -> f64 {
    let length = |value: &Value| value.as_str().unwrap_or_default().len() as f64;
    let listed = normalizer["normalizers"].as_array();
    match (normalizer["type"].as_str().unwrap_or_default(), listed) {
        (_, Some(list)) => list.iter().map(grown).product(),
        ("Replace", _) | ("", None) if normalizer.get("content").is_some() => {
            let content = length(&normalizer["content"]);
            match normalizer["pattern"]["String"].as_str() {
                Some(pattern) if !pattern.is_empty() => (content / pattern.len() as f64).max(1.0),
                // A pattern may match nothing between any two characters.
                _ => 1.0 + content,
            }
        }
        ("Precompiled", _) => longest_entry(&normalizer["precompiled_charsmap"]),
        ("NFKC" | "NFKD", _) => 12.0,
        ("NFC" | "NFD" | "Lowercase" | "ByteLevel", _) => 3.0,
        ("Bert" | "BertNormalizer", _) => 9.0,
        _ => 1.0,
    }
}

/// Bytes of the longest text that a map of characters has.
fn longest_entry(map: &Value) -> f64 {
    let bytes = map.as_str().and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return 1.0 };
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(part: &str, value: Value) -> std::result::Result<f64, String> {
        check(json!({ part: value }).to_string().as_bytes()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn patterns_of_published_tokenizers_are_used_and_explosions_are_not() {
        let published = [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"\s{2,}|[\n\r\t]",
            r"(?:a+b)+",
            r"(\p{L}+\s?){1,3}(?!x)",
        ];
        published.iter().for_each(|pattern| assert_eq!(regex(pattern), Ok(()), "{pattern}"));
        for pattern in [r"(a+)+(?!b)", r"(?:(?=a)\w*)*$", r"(x|(y{2,}))*\1", r"((a*)b?)+(?<=c)", r"(?:[^)]+)*(?!x)"] {
            assert!(regex(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn growth_is_what_the_steps_do_to_the_worst_text() {
        let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
        assert_eq!(checked("normalizer", Value::Null), Ok(1.0));
        assert_eq!(checked("normalizer", replace(" ", "▁")), Ok(3.0));
        assert_eq!(checked("normalizer", replace("", "ab")), Ok(3.0));
        let twice = |count| json!({"type": "Sequence", "normalizers": vec![replace("a", "aa"); count]});
        assert_eq!(checked("normalizer", twice(13)), Ok(8192.0));
        assert!(checked("normalizer", twice(14)).unwrap_err().contains("16384 times as long"));
        assert!(checked("normalizer", replace("a", &"b".repeat(300))).unwrap_err().contains("content"));
        assert_eq!(longest_text(1.0), TEXT_AT_ONCE);
        assert!(longest_text(10_000.0) > 10_000);
    }

    #[test]
    fn what_no_tokenizer_asks_for_is_refused() {
        let deep =
            (0..40).fold(json!({"type": "Lowercase"}), |inner, _| json!({"type": "Sequence", "normalizers": [inner]}));
        let charsmap = |size: u32, rest: usize| {
            let map = [&size.to_le_bytes()[..], &vec![0; rest]].concat();
            json!({"type": "Precompiled", "precompiled_charsmap": BASE64.encode(map)})
        };
        let template = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "no", "type_id": 0}}],
            "pair": [], "special_tokens": {}});
        for (part, value, what) in [
            ("normalizer", deep, "deep in each other"),
            ("normalizer", json!({"normalizers": vec![json!({"type": "NFC"}); 300]}), "more than 256 parts"),
            ("normalizer", charsmap(u32::MAX, 40), "cut off"),
            ("normalizer", charsmap(0, 0), "empty"),
            ("pre_tokenizer", json!({"type": "FixedLength", "length": 0}), "cuts at every 0"),
            ("post_processor", template, "`no`"),
            ("post_processor", json!({"single": vec![json!({"Sequence": {"id": "A"}}); 2000]}), "list of more than"),
            ("decoder", json!({"type": "Strip", "content": " ", "start": 0, "stop": 1u64 << 40}), "strips"),
            ("model", json!({"max_input_chars_per_word": 1e9}), "words of"),
            ("model", json!({"dropout": 0.1}), "by chance"),
            ("added_tokens", json!([{"id": 1, "content": "x".repeat(100_000)}]), "added tokens"),
        ] {
            let error = checked(part, value).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        assert_eq!(checked("normalizer", charsmap(8, 20)), Ok(1.0));
        // The first of two entries counts as well.
        let twice = r#"{"normalizer": {"content": "x", "pattern": {"Regex": "(a+)+(?!b)"}}, "normalizer": null}"#;
        assert!(check(twice.as_bytes()).is_err());
        assert_eq!(check(b"[1").unwrap(), 1.0, "the reader says what is wrong");
    }
}
