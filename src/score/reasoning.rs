//! Which part of a model's text is its answer and which its thoughts (`<think>…</think>`).
//!
//! It cuts text at markers and judges nothing. What stands between a start and an end marker is thought, as is all that stands
//! before an end marker without a start: chat templates of reasoning models open the thought in the prompt. A thought that
//! never ends was cut off, and behind it there is no answer.
//!
//! Markers count in blocks of code, too: a model that puts its whole text into one would else have its thought scored as its answer.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::engine::thought::{Markers, THOUGHT_MARKERS};
use crate::error::{Error, Result};

/// What the markers of [`THOUGHT_MARKERS`] begin with.
const FIRST: [char; 3] = ['<', '[', '◁'];
/// What ends a thought in gpt-oss's analysis channel, and nothing else: other models end their turns with it.
const ENDS_ANALYSIS: [&str; 2] = ["<|end|>", "<|call|>"];
/// What the markers of gpt-oss begin with.
const ANALYSIS: &str = "<|channel|>analysis";
/// What some models write around the answer behind a thought: gpt-oss, Cohere's Command, Kimi K3.
const FRAMES: [&str; 8] = [
    "<|start|>assistant",
    "<|return|>",
    "<|end|>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
    "<|open|>response<|sep|>",
    "<|close|>response<|sep|>",
    "<|close|>message<|sep|>",
];

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
                Err(Error::input("`reasoning`: `start` and `end` must be two different texts"))
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
        if *reasoning == Reasoning::None {
            return whole;
        }
        if let Some(bare) = bare_analysis(all).filter(|_| *reasoning == Reasoning::Auto) {
            return bare;
        }
        if !(opened || reasoning.may_stand_in(all)) {
            return whole;
        }
        let markers = reasoning.markers();
        let (mut answer, mut thoughts) = (String::new(), Vec::new());
        // Where the text behind the last marker begins.
        let mut from = 0;
        // The pair whose end an open thought waits for; any, where the prompt opened it.
        let mut open = opened.then_some(None);
        // Whether an analysis of gpt-oss has begun: its final channel then only begins the answer.
        let mut analysed = false;
        for Marker { at, len, pair, role } in marks(all, &markers, *reasoning == Reasoning::Auto) {
            let analysis = pair.is_some_and(|pair| markers[pair].0.starts_with(ANALYSIS));
            let counts = match (open, role) {
                (Some(waiting), Role::End) => waiting.is_none_or(|waiting| Some(waiting) == pair),
                (Some(Some(waiting)), Role::Frame) => {
                    markers[waiting].0.starts_with(ANALYSIS) && ENDS_ANALYSIS.contains(&&all[at..at + len])
                }
                (Some(_), _) => false,
                (None, Role::Frame) => !thoughts.is_empty(),
                (None, Role::Start | Role::End) => true,
            };
            if at < from || !counts {
                continue;
            }
            let before = &all[from..at];
            match (open, role) {
                (None, Role::Start | Role::Frame) => answer.push_str(before),
                (None, Role::End) if analysis && analysed => answer.push_str(before),
                // An end without a start: all that stands before it was thought.
                (None, Role::End) => thoughts.push(std::mem::take(&mut answer) + before),
                (Some(_), _) => thoughts.push(before.to_owned()),
            }
            analysed |= analysis && role == Role::Start;
            open = pair.filter(|_| role == Role::Start).map(Some);
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

/// What a marker does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Start,
    End,
    /// It stands around an answer, or ends an analysis of gpt-oss.
    Frame,
}

/// A marker in a text.
struct Marker {
    at: usize,
    len: usize,
    /// Which pair it belongs to; none for frames.
    pair: Option<usize>,
    role: Role,
}

/// The markers of a text in its order, the longest first of those at one place, without those that are quoted. Known ones in angle
/// brackets count in capitals, too.
fn marks(text: &str, markers: &[(&str, &str)], known: bool) -> Vec<Marker> {
    let mut found = Vec::new();
    let lower = if known { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    let mut find = |spelled: &str, pair: Option<usize>, role: Role| {
        let len = spelled.len();
        let (text, spelled) = if known && spelled.starts_with('<') {
            (&*lower, Cow::Owned(spelled.to_ascii_lowercase()))
        } else {
            (text, Cow::Borrowed(spelled))
        };
        let places = text.match_indices(&*spelled).filter(|(at, _)| !is_quoted(text, *at, len));
        found.extend(places.map(|(at, _)| Marker { at, len, pair, role }));
    };
    for (pair, (start, end)) in markers.iter().enumerate() {
        find(start, Some(pair), Role::Start);
        find(end, Some(pair), Role::End);
    }
    if known {
        FRAMES.iter().chain(&ENDS_ANALYSIS[1..]).for_each(|frame| find(frame, None, Role::Frame));
    }
    found.sort_by_key(|mark| (mark.at, std::cmp::Reverse(mark.len)));
    found
}

/// A text of gpt-oss without its special tokens, which many decoders leave out: `analysisWe need …assistantfinalParis`. Nobody else
/// begins so, with a capital that touches the word.
fn bare_analysis(all: &str) -> Option<Output<'_>> {
    let analysis = all.strip_prefix("analysis").filter(|rest| rest.starts_with(char::is_uppercase))?;
    let (thought, answer, state) = match analysis.split_once("assistantfinal") {
        Some((thought, answer)) => (thought, answer, Thought::Closed),
        None => (analysis, "", Thought::Cut),
    };
    Some(Output { all, answer: answer.trim_start().into(), thought: thought.trim().into(), state })
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

impl JsonSchema for Reasoning {
    fn schema_name() -> Cow<'static, str> {
        "Reasoning".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The markers around a thought.",
            "anyOf": [
                {"const": "auto", "description": "By the markers that models are known to write."},
                {"const": "none", "description": "Not at all: the whole text is the answer."},
                {
                    "type": "object",
                    "properties": {
                        "start": {"description": "What opens a thought.", "type": "string"},
                        "end": {"description": "What ends it.", "type": "string"},
                    },
                    "required": ["start", "end"],
                    "additionalProperties": false,
                },
            ],
        })
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
            ("<THINK>a</Think>b", "b", "a", Thought::Closed),
            ("<Think>a", "", "a", Thought::Cut),
            ("[think] a", "[think] a", "", Thought::Absent),
            ("◁think▷a◁/think▷b", "b", "a", Thought::Closed),
            ("◁think▷a", "", "a", Thought::Cut),
            ("a ◁ b", "a ◁ b", "", Thought::Absent),
            ("<mm:think>a</mm:think>b", "b", "a", Thought::Closed),
            ("<|inner_prefix|>a<|inner_suffix|>b", "b", "a", Thought::Closed),
            ("<|channel>thought\na<channel|>b", "b", "a", Thought::Closed),
            ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b", "a", Thought::Closed),
            (
                "<|open|>think<|sep|>a<|close|>think<|sep|><|open|>response<|sep|>b<|close|>response<|sep|><|close|>message<|sep|>",
                "b",
                "a",
                Thought::Closed,
            ),
            // gpt-oss, in full, without what some decoders leave out, and cut off.
            (
                "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
                "b",
                "a",
                Thought::Closed,
            ),
            ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "b", "a", Thought::Closed),
            (
                "a<|end|><|start|>assistant<|channel|>final<|message|>b",
                "b",
                "a<|end|><|start|>assistant",
                Thought::Closed,
            ),
            ("<|channel|>analysis<|message|>a", "", "a", Thought::Cut),
            (
                "<|channel|>analysis to=python code<|message|>a<|call|>b",
                "b",
                "to=python code<|message|>a",
                Thought::Closed,
            ),
            (
                "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>shown<|end|><|start|>assistant<|channel|>final<|message|>b",
                "<|channel|>commentary<|message|>shownb",
                "a",
                Thought::Closed,
            ),
            ("analysisWe need Paris.assistantfinalLondon", "London", "We need Paris.", Thought::Closed),
            ("analysisWe need Paris.", "", "We need Paris.", Thought::Cut),
            ("analysis of Paris", "analysis of Paris", "", Thought::Absent),
            // The end of a turn ends no other thought, and is none of an answer's.
            ("<think>a<|end|>", "", "a<|end|>", Thought::Cut),
            ("Paris<|end|>", "Paris<|end|>", "", Thought::Absent),
            // In blocks of code they count, too: a cut thought or a whole one is never taken for an answer.
            ("```\n<think>Paris</think>\nLondon\n```", "```\n\nLondon\n```", "Paris", Thought::Closed),
            ("```\n<think>Paris\n```", "```\n", "Paris\n```", Thought::Cut),
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
        assert_eq!(read(&"<|channel|>analysis<|message|><|end|>".repeat(50_000)).2, Thought::Closed);
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
