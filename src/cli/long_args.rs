//! Texts that are longer than an encoder reads, on the command line: the flag, and windows on output lines.

use clap::ValueEnum;
use serde::Serialize;

use crate::engine::{EncodeTotals, Long, Part, Reading};

/// Flags of the commands that encode texts.
#[derive(clap::Args, Clone, Copy)]
pub struct LongArgs {
    /// What becomes of a text that is longer than the model reads: cut at the limit, as transformers and sentence-transformers do
    /// (its line has `truncated_tokens`); read in windows, each of which begins in the middle of the one before (its line has
    /// `windows`); or an error of its line.
    #[arg(long, value_enum, default_value_t = LongChoice::Cut)]
    long: LongChoice,
}

#[derive(Clone, Copy, ValueEnum)]
enum LongChoice {
    Cut,
    Windows,
    Error,
}

impl LongArgs {
    pub fn long(self) -> Long {
        match self.long {
            LongChoice::Cut => Long::Cut,
            LongChoice::Windows => Long::Windows,
            LongChoice::Error => Long::Error,
        }
    }
}

/// A window on an output line: where it stands, and what the model made of it. Ranges are half open and count from 0.
#[derive(Serialize)]
pub struct WindowLine<T> {
    /// The second text of a pair, where that is the long one.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
    /// Tokens of the text, without those of a prompt and special ones.
    tokens: [usize; 2],
    characters: [usize; 2],
    #[serde(flatten)]
    made: T,
}

/// What an output line says of a text: values of all that was read, or of every window.
pub struct Said<T> {
    pub whole: Option<T>,
    pub windows: Option<Vec<WindowLine<T>>>,
    pub truncated_tokens: Option<usize>,
}

impl<T> Said<T> {
    pub fn of(reading: Reading<T>) -> Self {
        match reading {
            Reading::Whole(made) => Self { whole: Some(made), windows: None, truncated_tokens: None },
            Reading::Cut(made, length) => {
                Self { whole: Some(made), windows: None, truncated_tokens: Some(length.cut()) }
            }
            Reading::Windows(read) => {
                let of = (read.part == Part::TextPair).then_some("text_pair");
                let line = |(span, made): (crate::engine::Span, T)| {
                    let [tokens, characters] = [span.tokens, span.characters].map(|range| [range.start, range.end]);
                    WindowLine { of, tokens, characters, made }
                };
                let windows = read.windows.into_iter().map(line).collect();
                Self { whole: None, windows: Some(windows), truncated_tokens: None }
            }
        }
    }
}

/// Says how many texts were cut: their lines do, but nobody may look there.
pub fn warn(totals: &EncodeTotals) {
    if totals.truncated > 0 {
        say!(
            "warning: {} of {} texts are longer than the model reads and were cut; their lines say `truncated_tokens`, and \
             --long windows reads all of them",
            totals.truncated,
            totals.texts
        );
    }
}
