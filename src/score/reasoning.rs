//! Which part of a model's text is its answer and which its thoughts (`<think>…</think>`).
//!
//! It cuts text at markers and judges nothing. What stands between a start and an end marker is thought, as is all that stands
//! before an end marker without a start: chat templates of reasoning models open the thought in the prompt. A thought that
//! never ends was cut off, and behind it there is no answer.

use std::borrow::Cow;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::engine::thought::{Markers, THOUGHT_MARKERS};
use crate::error::{Error, Result};

/// What the markers of [`THOUGHT_MARKERS`] begin with.
const FIRST: [char; 2] = ['<', '['];

/// How thoughts are told from answers, as the suite says it: `reasoning: none`, or `{start: …, end: …}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reasoning {
    /// By the markers that models are known to write.
    #[default]
    Auto,
    /// Not at all: the whole text is the answer.
    None,
    /// By these markers alone.
    Markers {
        /// What opens a thought.
        start: String,
        /// What ends it.
        end: String,
    },
}

/// What a scorer looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The text without its thoughts.
    #[default]
    Answer,
    /// The thoughts alone.
    Thought,
    /// All that the model wrote.
    All,
}

impl On {
    /// Whether it is the default, which plans don't spell out.
    pub fn is_answer(&self) -> bool {
        *self == Self::Answer
    }
}

/// Whether a text holds thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thought {
    /// It has none.
    Absent,
    /// All of its thoughts end.
    Closed,
    /// The last one was cut off.
    Cut,
}

/// A model's text with its thoughts apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// All of it.
    pub all: &'a str,
    /// What is left without thoughts; the whole text where it has none.
    pub answer: Cow<'a, str>,
    /// The thoughts without their markers, one below the other.
    pub thought: Cow<'a, str>,
    /// Whether there are thoughts.
    pub state: Thought,
}

impl Reasoning {
    /// Whether it is the default, which plans don't spell out.
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }

    /// Checks the markers.
    ///
    /// # Errors
    /// A blank marker, or twice the same.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Markers { start, end } if start.trim().is_empty() || end.trim().is_empty() || start == end => {
                Err(Error::input("read `reasoning`: `start` and `end` must be two different texts"))
            }
            _ => Ok(()),
        }
    }

    /// The pairs of markers that count.
    pub fn markers(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Auto => THOUGHT_MARKERS.to_vec(),
            Self::None => Vec::new(),
            Self::Markers { start, end } => vec![(start, end)],
        }
    }

    /// Whether a marker could stand in a text: most answers have none, and are told so at the speed of memory.
    fn may_stand_in(&self, text: &str) -> bool {
        match self {
            Self::Auto => text.contains(FIRST),
            Self::None => false,
            Self::Markers { start, end } => text.contains(start) || text.contains(end),
        }
    }

    /// [`Reasoning::markers`] for an engine to keep.
    pub fn owned_markers(&self) -> Markers {
        self.markers().into_iter().map(|(start, end)| (start.to_owned(), end.to_owned())).collect()
    }
}

impl<'a> Output<'a> {
    /// Cuts a text. `opened` says that the prompt ended within a thought.
    pub fn read(all: &'a str, reasoning: &Reasoning, opened: bool) -> Self {
        let whole = Self { all, answer: Cow::Borrowed(all), thought: Cow::Borrowed(""), state: Thought::Absent };
        if *reasoning == Reasoning::None || !(opened || reasoning.may_stand_in(all)) {
            return whole;
        }
        let markers = reasoning.markers();
        let (mut answer, mut thoughts) = (String::new(), Vec::new());
        // Where the text behind the last marker begins.
        let mut from = 0;
        // The pair whose end an open thought waits for; any, where the prompt opened it.
        let mut open = opened.then_some(None);
        for Marker { at, len, pair, is_start } in marks(all, &markers) {
            let counts = match open {
                Some(waiting) => !is_start && waiting.is_none_or(|waiting| waiting == pair),
                None => true,
            };
            if at < from || !counts {
                continue;
            }
            let before = &all[from..at];
            match (open, is_start) {
                (None, true) => answer.push_str(before),
                // An end without a start: all that stands before it was thought.
                (None, false) => thoughts.push(std::mem::take(&mut answer) + before),
                (Some(_), _) => thoughts.push(before.to_owned()),
            }
            open = is_start.then_some(Some(pair));
            from = at + len;
        }
        let rest = &all[from..];
        let state = match (open, thoughts.is_empty()) {
            (Some(_), _) => Thought::Cut,
            (None, true) => return whole,
            (None, false) => Thought::Closed,
        };
        match open {
            Some(_) => thoughts.push(rest.to_owned()),
            None => answer.push_str(rest),
        }
        let thought = thoughts.iter().map(|thought| thought.trim()).collect::<Vec<_>>().join("\n");
        Self { all, answer: Cow::Owned(answer.trim_start().to_owned()), thought: Cow::Owned(thought), state }
    }

    /// What a scorer looks at; `None` where it looks at an answer that was never given.
    pub fn on(&self, on: On) -> Option<&str> {
        match on {
            On::Answer => (self.state != Thought::Cut).then_some(&*self.answer),
            On::Thought => Some(&self.thought),
            On::All => Some(self.all),
        }
    }
}

/// A marker in a text.
struct Marker {
    at: usize,
    len: usize,
    pair: usize,
    is_start: bool,
}

/// The markers of a text in its order, the longest first of those at one place, without those that are quoted.
fn marks(text: &str, markers: &[(&str, &str)]) -> Vec<Marker> {
    let mut found = Vec::new();
    for (pair, (start, end)) in markers.iter().enumerate() {
        for (spelled, is_start) in [(start, true), (end, false)] {
            let len = spelled.len();
            let places = text.match_indices(spelled).filter(|(at, _)| !is_quoted(text, *at, len));
            found.extend(places.map(|(at, _)| Marker { at, len, pair, is_start }));
        }
    }
    found.sort_by_key(|mark| (mark.at, std::cmp::Reverse(mark.len)));
    found
}

/// Whether a marker stands in quotation marks or backticks of its own: it is spoken of, not used.
fn is_quoted(text: &str, at: usize, len: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + len..].chars().next();
    matches!(
        (before, after),
        (Some('`'), Some('`')) | (Some('"'), Some('"')) | (Some('\''), Some('\'')) | (Some('“'), Some('”'))
    )
}

impl Serialize for Reasoning {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::None => serializer.serialize_str("none"),
            Self::Markers { start, end } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("start", start)?;
                map.serialize_entry("end", end)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Reasoning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ReasoningVisitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    start: String,
    end: String,
}

struct ReasoningVisitor;

impl<'de> Visitor<'de> for ReasoningVisitor {
    type Value = Reasoning;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`auto`, `none`, or `{start: …, end: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Reasoning, E> {
        match text {
            "auto" => Ok(Reasoning::Auto),
            "none" => Ok(Reasoning::None),
            unknown => Err(E::unknown_variant(unknown, &["auto", "none"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Reasoning, A::Error> {
        let Pair { start, end } = Pair::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Reasoning::Markers { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (String, String, Thought) {
        let output = Output::read(text, &Reasoning::Auto, false);
        (output.answer.into_owned(), output.thought.into_owned(), output.state)
    }

    #[test]
    fn thoughts_are_told_from_answers() {
        for (text, answer, thought, state) in [
            ("Paris", "Paris", "", Thought::Absent),
            ("<think>It is Paris.</think>\n\nLondon", "London", "It is Paris.", Thought::Closed),
            ("<think>\n\n</think>\n\nParis\n", "Paris\n", "", Thought::Closed),
            ("It is Paris.</think>London", "London", "It is Paris.", Thought::Closed),
            ("<think>Sorry, I can't", "", "Sorry, I can't", Thought::Cut),
            ("<think>a</think>x <think>b</think>y", "x y", "a\nb", Thought::Closed),
            ("<think>a</think>5<think>or rather", "5", "a\nor rather", Thought::Cut),
            ("<think>a <think> b</think>c", "c", "a <think> b", Thought::Closed),
            ("[THINK]a[/THINK]b", "b", "a", Thought::Closed),
            ("<thinking>a</think>b</thinking>c", "c", "a</think>b", Thought::Closed),
            ("Write `<think>` before it.", "Write `<think>` before it.", "", Thought::Absent),
            ("<think></think>", "", "", Thought::Closed),
            ("<thinkers> think", "<thinkers> think", "", Thought::Absent),
            ("", "", "", Thought::Absent),
        ] {
            assert_eq!(read(text), (answer.to_owned(), thought.to_owned(), state), "{text:?}");
        }
    }

    #[test]
    fn a_prompt_may_have_opened_the_thought() {
        let reasoning = Reasoning::Auto;
        let cut = Output::read("still thinking", &reasoning, true);
        assert_eq!((&*cut.thought, cut.state, cut.on(On::Answer)), ("still thinking", Thought::Cut, None));
        let closed = Output::read("so</think> 4", &reasoning, true);
        assert_eq!((&*closed.answer, &*closed.thought, closed.state), ("4", "so", Thought::Closed));
        // A model that opens it again.
        let twice = Output::read("<think>so</think> 4", &reasoning, true);
        assert_eq!((&*twice.answer, twice.state), ("4", Thought::Closed));
    }

    #[test]
    fn markers_are_the_suites_choice() {
        let none = Output::read("<think>a</think>b", &Reasoning::None, true);
        assert_eq!((&*none.answer, none.state), ("<think>a</think>b", Thought::Absent));
        let own = Reasoning::Markers { start: "<r>".into(), end: "</r>".into() };
        assert_eq!(Output::read("<r>a</r><think>b", &own, false).answer, "<think>b");
        for (json, reasoning) in [("\"none\"", Reasoning::None), ("{\"start\":\"<r>\",\"end\":\"</r>\"}", own)] {
            assert_eq!(serde_json::from_str::<Reasoning>(json).unwrap(), reasoning);
            assert_eq!(serde_json::to_string(&reasoning).unwrap(), json);
        }
        let error = serde_json::from_str::<Reasoning>("\"nine\"").unwrap_err().to_string();
        assert!(error.contains("unknown variant `nine`"), "{error}");
        assert!(Reasoning::Markers { start: " ".into(), end: "x".into() }.check().is_err());
    }

    #[test]
    fn known_markers_begin_with_what_is_looked_for() {
        assert!(THOUGHT_MARKERS.iter().all(|(start, end)| start.starts_with(FIRST) && end.starts_with(FIRST)));
    }

    #[test]
    fn many_markers_take_no_time_of_their_square() {
        let (ends, starts) = ("</think>".repeat(200_000), "<think>".repeat(200_000));
        assert_eq!(read(&ends).2, Thought::Closed);
        assert_eq!(read(&starts).2, Thought::Cut);
        assert_eq!(read(&(starts + &ends)).2, Thought::Closed);
    }

    proptest! {
        #[test]
        fn no_character_is_lost(text in "(<think>|</think>|[THINK]|`|[a-c \n]){0,12}", opened in any::<bool>()) {
            let output = Output::read(&text, &Reasoning::Auto, opened);
            let letters = |text: &str| text.chars().filter(|c| ('a'..='c').contains(c)).count();
            let outside = text.replace("<think>", "").replace("</think>", "");
            prop_assert_eq!(letters(&output.answer) + letters(&output.thought) >= letters(&outside), true);
            prop_assert_eq!(output.on(On::All), Some(text.as_str()));
        }
    }
}
