//! The keys of a chat message: those that the chat templates of published models read.
//!
//! One that a model's own template reads beside them passes with `--allow-unknown-keys`, or `allow_unknown_keys` of a dataset.

use super::keys::Holds::{Anything, Each, Object};
use super::keys::Instead::{Key, Say};
use super::keys::Keys;

/// A message of a conversation.
pub static MESSAGE: Keys = Keys {
    of: "a message",
    known: &[
        ("role", Anything),
        ("content", Each(&PART)),
        ("name", Anything),
        ("reasoning_content", Anything),
        ("reasoning", Anything),
        ("thinking", Anything),
        ("tool_calls", Each(&TOOL_CALL)),
        ("tool_call_id", Anything),
        // Command R and its heirs, OLMo, Gemma.
        ("tool_plan", Anything),
        ("functions", Anything),
        ("function_calls", Anything),
        ("tool_responses", Anything),
    ],
    foreign: &[
        ("from", Key("role")),
        ("author", Key("role")),
        ("speaker", Key("role")),
        ("value", Key("content")),
        ("text", Key("content")),
        ("message", Key("content")),
        ("contents", Key("content")),
        ("parts", Key("content")),
        ("thoughts", Key("reasoning_content")),
        ("thinking_content", Key("reasoning_content")),
        ("function_call", Key("tool_calls")),
        ("call_id", Key("tool_call_id")),
        ("tools", Say("few chat templates look at the tools of a message: known are `role`, `content`, `tool_calls`")),
    ],
};

/// A part of a message's content.
static PART: Keys = Keys {
    of: "a part of a message's content",
    known: &[
        ("type", Anything),
        ("text", Anything),
        ("thinking", Anything),
        ("reasoning", Anything),
        ("refusal", Anything),
        ("image", Anything),
        ("image_url", Anything),
        ("input_image", Anything),
        ("video", Anything),
        ("video_url", Anything),
        ("audio", Anything),
        ("audio_url", Anything),
        ("input_audio", Anything),
        ("file", Anything),
        ("url", Anything),
        ("path", Anything),
        ("base64", Anything),
        // What a tool gave.
        ("name", Anything),
        ("content", Anything),
        ("tool_call_id", Anything),
    ],
    foreign: &[("value", Key("text")), ("input_text", Key("text")), ("kind", Key("type"))],
};

/// A call of a tool, as OpenAI has it, or with the function's keys beside its own.
static TOOL_CALL: Keys = Keys {
    of: "a tool call",
    known: &[
        ("id", Anything),
        ("type", Anything),
        ("index", Anything),
        ("function", Object(&FUNCTION)),
        ("name", Anything),
        ("arguments", Anything),
    ],
    foreign: &[
        ("tool_call_id", Key("id")),
        ("call_id", Key("id")),
        ("input", Key("arguments")),
        ("args", Key("arguments")),
        ("parameters", Key("arguments")),
        ("tool", Key("name")),
        ("tool_name", Key("name")),
    ],
};

/// The function that is called.
static FUNCTION: Keys = Keys {
    of: "the function of a tool call",
    known: &[("name", Anything), ("arguments", Anything)],
    foreign: &[("input", Key("arguments")), ("args", Key("arguments")), ("parameters", Key("arguments"))],
};
