//! What the encoder commands have in common: texts that are longer than the model reads, in flags and on output lines, and the closing
//! lines.

use clap::ValueEnum;
use serde::Serialize;

use super::progress::{self, Done};
use super::progress_args::Form;
use super::session::Ended;
use crate::engine::{EncodeTotals, Long, Part, Reading, Unread};

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

/// What an output line says of a text: values of all that was read, or of every window, or why there are none.
pub struct Said<T> {
    pub whole: Option<T>,
    pub windows: Option<Vec<WindowLine<T>>>,
    pub truncated_tokens: Option<usize>,
    pub error: Option<String>,
}

impl<T> Said<T> {
    pub fn of(outcome: Result<Reading<T>, Unread>) -> Self {
        let mut said = Self { whole: None, windows: None, truncated_tokens: None, error: None };
        match outcome {
            Ok(Reading::Whole(made)) => said.whole = Some(made),
            Ok(Reading::Cut(made, length)) => {
                said.whole = Some(made);
                said.truncated_tokens = Some(length.cut());
            }
            Ok(Reading::Windows(read)) => {
                let of = (read.part == Part::TextPair).then_some("text_pair");
                let line = |(span, made): (crate::engine::Span, T)| {
                    let [tokens, characters] = [span.tokens, span.characters].map(|range| [range.start, range.end]);
                    WindowLine { of, tokens, characters, made }
                };
                said.windows = Some(read.windows.into_iter().map(line).collect());
            }
            Err(unread) => said.error = Some(unread.to_string()),
        }
        said
    }
}

/// How far an encoder is.
pub fn done(totals: &EncodeTotals) -> Done {
    Done { lines: totals.texts, prompt_tokens: totals.tokens, ..Done::default() }
}

/// The closing lines of an encoder command.
pub fn tell(verb: &str, totals: &EncodeTotals, ended: &Ended, form: Form) {
    if !form.is_quiet() {
        let (seconds, loaded) = (ended.seconds, ended.loaded);
        say!(
            "{verb} {} texts of {} tokens in {seconds:.2} s ({:.0} tokens/s), loaded in {loaded:.2} s{}",
            totals.texts,
            totals.tokens,
            progress::per_second(totals.tokens, seconds),
            progress::peak_note()
        );
        if totals.long > 0 {
            say!("{} of them are longer than the model reads and were read in {} windows", totals.long, totals.windows);
        }
    }
    warn(totals);
}

/// Says how many texts were cut: their lines do, but nobody may look there.
fn warn(totals: &EncodeTotals) {
    if totals.truncated > 0 {
        say!(
            "warning: {} of {} texts are longer than the model reads and were cut; their lines say `truncated_tokens`, and \
             --long windows reads all of them",
            totals.truncated,
            totals.texts
        );
    }
}
