//! An error as it is shown: a sentence, where, why, and what to do.

use serde_json::json;

use super::terminal;
use crate::error::Error;

/// Shows an error: what is wrong, where, why, and what to do.
pub fn show(error: &Error) {
    let chain = error.chain();
    let causes = chain.strip_prefix(error.message()).and_then(|rest| rest.strip_prefix(": "));
    let text = error.message();
    let place = error.location().map(ToString::to_string);
    if terminal::tells_in_json() {
        let hint = error.hint();
        terminal::tell_object(&json!({"event": "error", "text": text, "place": place, "cause": causes, "hint": hint}));
        return;
    }
    say!("error: {text}");
    if let Some(place) = place {
        say!("  --> {place}");
    }
    if let Some(causes) = causes {
        say!("cause: {causes}");
    }
    if let Some(hint) = error.hint() {
        say!("hint: {hint}");
    }
}
