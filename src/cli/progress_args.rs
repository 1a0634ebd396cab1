//! How progress is shown, as flags.

use std::io::IsTerminal;

use clap::ValueEnum;

use super::terminal;

/// The flags.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Progress")]
pub struct ProgressArgs {
    /// No progress, no notes and no summary.
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    progress: Choice,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Choice {
    /// A bar on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A bar, where standard error is a terminal
    Bar,
    /// A line every 10 s, later every 30 s and every 60 s
    Lines,
    /// A JSON object a line, and nothing else on standard error
    Json,
    /// No progress; notes and the summary all the same
    None,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A bar that changes.
    Bar,
    /// A plain line now and then.
    Lines,
    /// JSON objects.
    Json,
    /// Notes and the summary only.
    None,
    /// Nothing at all.
    Quiet,
}

impl ProgressArgs {
    /// The form; from now on all that goes to standard error has it.
    pub fn begin(&self) -> Form {
        let form = match self.progress {
            _ if self.quiet => Form::Quiet,
            Choice::Auto | Choice::Bar if std::io::stderr().is_terminal() => Form::Bar,
            Choice::Auto | Choice::Bar | Choice::Lines => Form::Lines,
            Choice::Json => Form::Json,
            Choice::None => Form::None,
        };
        if form == Form::Json {
            terminal::tell_in_json();
        }
        form
    }
}

impl Form {
    /// Whether nothing is to be told but errors.
    pub fn is_quiet(self) -> bool {
        self == Self::Quiet
    }
}
