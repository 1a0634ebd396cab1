//! Which keys an object of a line may have: a table for each kind of object, and one reader that holds JSON against it.
//!
//! A key that nobody reads is a mistake that shows nowhere: `max_tokens` beside a prompt leaves the answer at its default
//! length. A key that stands twice is one too, at any depth: parsers silently keep the last. What a table leaves open
//! (`metadata`) may hold anything but that.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Result, nearest, similar};

/// The keys of one kind of object.
#[derive(Debug)]
pub struct Keys {
    /// What the object is called in errors: `a line`, `a message`.
    pub of: &'static str,
    /// The keys that it may have, and what stands behind each.
    pub known: &'static [(&'static str, Holds)],
    /// Keys of other tools, however they are spelled, and what to write here.
    pub foreign: &'static [(&'static str, Instead)],
}

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// Whatever the reader of its value takes.
    Anything,
    /// An object of this kind, if it is an object.
    Object(&'static Keys),
    /// Objects of this kind, if it is a list.
    Each(&'static Keys),
}

/// What to write in place of another tool's key.
#[derive(Clone, Copy, Debug)]
pub enum Instead {
    /// This key.
    Key(&'static str),
    /// What a hint says.
    Say(&'static str),
}

/// What becomes of keys that a table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeys {
    /// They are errors, which tell what lets such keys pass.
    Refuse(&'static str),
    /// They pass: who knows them may read them.
    Allow,
}

impl UnknownKeys {
    /// As the flag of a command says.
    pub fn by_flag(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Refuse("--allow-unknown-keys lets other keys pass") }
    }

    /// As the entry of a dataset says.
    pub fn by_dataset(allowed: bool) -> Self {
        if allowed {
            Self::Allow
        } else {
            Self::Refuse("`allow_unknown_keys: true` of the dataset lets other keys pass")
        }
    }
}

impl Default for UnknownKeys {
    fn default() -> Self {
        Self::by_dataset(false)
    }
}

/// Where a key is wrong: the column in characters, from 1.
pub type Column = Option<u64>;

impl Keys {
    /// Holds the object in `text`, one line, against the table. What is no JSON passes: whoever reads the values says so.
    ///
    /// # Errors
    /// A key that is not known or is given twice, and where it stands.
    pub fn check(&'static self, text: &str, unknown: UnknownKeys) -> Result<(), (Error, Column)> {
        // Serde would read a list by position, past the keys.
        if text.trim_start().starts_with('[') {
            let error = Error::input(format!("{} is a list", self.of));
            return Err((error.with_hint("write a JSON object, as in {\"id\": 1}"), None));
        }
        let wrong = RefCell::new(None);
        let walk = Walk { holds: Holds::Object(self), unknown, wrong: &wrong };
        match walk.deserialize(&mut serde_json::Deserializer::from_str(text)) {
            Ok(()) => Ok(()),
            Err(error) => match wrong.into_inner() {
                Some(wrong) => {
                    let column = wrong.column(text, error.column());
                    Err((wrong.into_error(), Some(column)))
                }
                None => Ok(()),
            },
        }
    }

    /// The same for an object that was read already, whose keys are different.
    ///
    /// # Errors
    /// A key that is not known.
    pub fn check_value(&'static self, value: &Value, unknown: UnknownKeys) -> Result<()> {
        let wrong = RefCell::new(None);
        let walk = Walk { holds: Holds::Object(self), unknown, wrong: &wrong };
        match (walk.deserialize(value), wrong.into_inner()) {
            (Err(_), Some(wrong)) => Err(wrong.into_error()),
            _ => Ok(()),
        }
    }

    fn holds(&self, key: &str) -> Option<Holds> {
        self.known.iter().find(|(known, _)| *known == key).map(|(_, holds)| *holds)
    }

    /// What to write in place of a key: another tool's, one in another style (`maxNewTokens`), or the nearest of all these.
    fn hint(&self, key: &str) -> String {
        let known = || self.known.iter().map(|(known, _)| *known);
        let foreign = || self.foreign.iter().map(|(foreign, _)| *foreign);
        let same = known().chain(foreign()).find(|name| plain(name) == plain(key));
        // To be near a name of three letters means little.
        let near = || similar(key, &known().chain(foreign().filter(|name| name.len() > 3)).collect::<Vec<_>>());
        let Some(name) = same.or_else(near) else { return nearest(key, known()) };
        match self.foreign.iter().find(|(foreign, _)| *foreign == name).map(|(_, instead)| *instead) {
            Some(Instead::Say(hint)) => hint.into(),
            Some(Instead::Key(known)) => format!("did you mean `{known}`?"),
            None => format!("did you mean `{name}`?"),
        }
    }
}

/// Whether a key stands twice anywhere in the JSON of `text`.
///
/// # Errors
/// The key, and where it is; the text is no JSON.
pub(super) fn distinct(text: &str) -> serde_json::Result<()> {
    let walk = Walk { holds: Holds::Anything, unknown: UnknownKeys::Allow, wrong: &RefCell::new(None) };
    walk.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// Holds that no key of an object in the JSON of `text` stands twice: parsers silently keep the last. What is no JSON passes:
/// whoever reads the values says so.
///
/// # Errors
/// The key.
pub fn keys_once(text: &str) -> Result<()> {
    let wrong = RefCell::new(None);
    let walk = Walk { holds: Holds::Anything, unknown: UnknownKeys::Allow, wrong: &wrong };
    match (walk.deserialize(&mut serde_json::Deserializer::from_str(text)), wrong.into_inner()) {
        (Err(_), Some(wrong)) => Err(wrong.into_error()),
        _ => Ok(()),
    }
}

/// A key without what styles differ in: `maxNewTokens`, `max-new-tokens` and `max_new_tokens` are one.
fn plain(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A key that is wrong.
struct Wrong {
    key: String,
    message: String,
    hint: String,
}

impl Wrong {
    fn unknown(keys: &Keys, key: &str, pass: &str) -> Self {
        let message = format!("{}: unknown key `{}`", keys.of, key.escape_debug());
        let hint = format!("{}; {pass}", keys.hint(key));
        Self { key: key.to_owned(), message, hint }
    }

    fn twice(keys: Option<&Keys>, key: &str) -> Self {
        let of = keys.map_or("an object", |keys| keys.of);
        let message = format!("{of}: key `{}` is given twice", key.escape_debug());
        Self { key: key.to_owned(), message, hint: "keep one of them".into() }
    }

    /// The column at which the key begins, which ends in byte `end` of the line at the latest.
    fn column(&self, text: &str, end: usize) -> u64 {
        let bytes = text.as_bytes();
        let read = String::from_utf8_lossy(&bytes[..end.min(bytes.len())]);
        let quoted = format!("\"{}\"", self.key);
        // A key that is written with escapes is only known by its end.
        let start = read.rfind(&quoted).unwrap_or(read.len().saturating_sub(1));
        read[..read.floor_char_boundary(start)].chars().count() as u64 + 1
    }

    fn into_error(self) -> Error {
        Error::input(self.message).with_hint(self.hint)
    }
}

/// Reads a value for its keys alone.
#[derive(Clone, Copy)]
struct Walk<'w> {
    holds: Holds,
    unknown: UnknownKeys,
    /// The first key that is wrong.
    wrong: &'w RefCell<Option<Wrong>>,
}

impl Walk<'_> {
    fn fail<E: serde::de::Error>(&self, wrong: Wrong) -> E {
        let error = E::custom(format!("key `{}` is given twice", wrong.key.escape_debug()));
        self.wrong.replace(Some(wrong));
        error
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A key, not copied where the text has it without escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of an object so far: a handful as a rule, which a list holds best.
#[derive(Default)]
pub(super) struct Seen<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Seen<'a> {
    const FEW: usize = 16;

    /// Notes a key; false where it is there already.
    pub fn note(&mut self, key: Cow<'a, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let holds = match self.holds {
            Holds::Each(keys) => Holds::Object(keys),
            Holds::Anything | Holds::Object(_) => Holds::Anything,
        };
        while list.next_element_seed(Walk { holds, ..self })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let keys = match self.holds {
            Holds::Object(keys) => Some(keys),
            Holds::Anything | Holds::Each(_) => None,
        };
        let mut seen = Seen::default();
        while let Some(Key(key)) = map.next_key()? {
            let holds = match (keys, keys.and_then(|keys| keys.holds(&key)), self.unknown) {
                (_, Some(holds), _) => holds,
                (Some(keys), None, UnknownKeys::Refuse(pass)) => {
                    return Err(self.fail(Wrong::unknown(keys, &key, pass)));
                }
                (Some(_), None, UnknownKeys::Allow) | (None, None, _) => Holds::Anything,
            };
            let name = key.clone();
            if !seen.note(key) {
                return Err(self.fail(Wrong::twice(keys, &name)));
            }
            map.next_value_seed(Walk { holds, ..self })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::MESSAGE;

    static INNER: Keys = Keys { of: "a part", known: &[("type", Holds::Anything)], foreign: &[] };
    static OUTER: Keys = Keys {
        of: "a line",
        known: &[
            ("id", Holds::Anything),
            ("max_new_tokens", Holds::Anything),
            ("one", Holds::Object(&INNER)),
            ("parts", Holds::Each(&INNER)),
            ("metadata", Holds::Anything),
        ],
        foreign: &[("max_tokens", Instead::Key("max_new_tokens")), ("temperature", Instead::Say("it is a flag"))],
    };
    const REFUSE: UnknownKeys = UnknownKeys::Refuse("PASS");

    fn wrong(text: &str) -> String {
        let (error, column) = OUTER.check(text, REFUSE).unwrap_err();
        format!("{} at {}: {}", error.message(), column.unwrap(), error.hint().unwrap())
    }

    #[test]
    fn known_keys_pass_and_whatever_stands_in_open_ones() {
        for text in [
            r#"{"id":1,"one":{"type":"a"},"parts":[{"type":"b"},"c",[{"x":1}]],"metadata":{"x":{"y":[{"z":1},{"z":1}]}}}"#,
            // Another kind of value is the reader's business, and so is what is no JSON.
            r#"{"one":[{"x":1}],"parts":{"x":1}}"#,
            r#"{"one":"#,
            "7",
        ] {
            assert!(OUTER.check(text, REFUSE).is_ok(), "{text}");
        }
        assert!(OUTER.check("[1]", REFUSE).is_err_and(|(error, _)| error.message() == "a line is a list"));
    }

    #[test]
    fn unknown_keys_name_the_nearest_and_their_place() {
        let near = |text: &str, place: &str, hint: &str| {
            assert_eq!(wrong(text), format!("{place}: {hint}; PASS"), "{text}");
        };
        near(r#"{"max_tokens":1}"#, "a line: unknown key `max_tokens` at 2", "did you mean `max_new_tokens`?");
        near(r#"{"id":"é","maxTokens":1}"#, "a line: unknown key `maxTokens` at 11", "did you mean `max_new_tokens`?");
        near(r#"{"MaxNewTokens":1}"#, "a line: unknown key `MaxNewTokens` at 2", "did you mean `max_new_tokens`?");
        near(r#"{"max_token":1}"#, "a line: unknown key `max_token` at 2", "did you mean `max_new_tokens`?");
        near(r#"{"temprature":1}"#, "a line: unknown key `temprature` at 2", "it is a flag");
        near(r#" {"one":{"typ":1}}"#, "a part: unknown key `typ` at 10", "did you mean `type`?");
        near(r#"{"parts":[1,{"type":1, "typo" : 2}]}"#, "a part: unknown key `typo` at 24", "did you mean `type`?");
        assert!(wrong(r#"{"quite another":1}"#).contains("known are `id`, `max_new_tokens`"));
        let (error, _) = OUTER.check("{\"a\\u0000b\":1}", REFUSE).unwrap_err();
        assert!(error.message().contains("`a\\0b`"), "{error}");
        assert!(OUTER.check(r#"{"max_tokens":1,"one":{"x":2}}"#, UnknownKeys::Allow).is_ok());
    }

    #[test]
    fn a_key_stands_once_at_any_depth() {
        for text in [
            r#"{"id":1,"id":2}"#,
            r#"{"id":1,"\u0069d":2}"#,
            r#"{"metadata":{"id":{"id":1,"id":2}}}"#,
            r#"{"metadata":[[{"id":1,"id":2}]]}"#,
            r#"{"other":[{"id":1,"id":2}]}"#,
        ] {
            let (error, _) = OUTER.check(text, UnknownKeys::Allow).unwrap_err();
            assert!(error.message().ends_with("key `id` is given twice"), "{text}: {error}");
            assert!(distinct(text).unwrap_err().to_string().contains("key `id` is given twice"), "{text}");
            assert_eq!(keys_once(text).unwrap_err().message(), "an object: key `id` is given twice", "{text}");
        }
        assert!(keys_once("{\"a\":1,").is_ok() && keys_once("[{\"a\":1},{\"a\":1e400}]").is_ok());
        let many: Vec<String> = (0..200_000).map(|key| format!("\"{key}\":0")).collect();
        let text = format!("{{{},\"7\":1}}", many.join(","));
        assert!(OUTER.check(&text, UnknownKeys::Allow).is_err());
        assert!(OUTER.check(&text.replace(",\"7\":1}", "}"), UnknownKeys::Allow).is_ok());
    }

    #[test]
    fn messages_hold_what_chat_templates_read() {
        let message = |text: &str| MESSAGE.check(text, REFUSE).map_err(|(error, _)| error.told());
        for text in [
            r#"{"role":"user","content":"a","name":"ann"}"#,
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"}]}"#,
            r#"{"role":"assistant","content":null,"reasoning_content":"h","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":{"any":{"thing":1}}}}]}"#,
            r#"{"role":"assistant","tool_calls":[{"name":"f","arguments":"{}"}]}"#,
            r#"{"role":"tool","tool_call_id":"c","content":{"any":"thing"}}"#,
        ] {
            message(text).unwrap();
            MESSAGE.check_value(&serde_json::from_str(text).unwrap(), REFUSE).unwrap();
        }
        let wrong = r#"{"role":"user","contents":"a"}"#;
        assert!(message(wrong).unwrap_err().contains("did you mean `content`?"));
        assert!(MESSAGE.check_value(&serde_json::from_str(wrong).unwrap(), REFUSE).is_err());
    }
}
