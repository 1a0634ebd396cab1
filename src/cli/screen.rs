//! Where progress goes: standard error, in one of its forms, and not too often.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::figures::{Figures, thousandths};
use super::progress_args::Form;
use super::terminal;
use crate::report::visible;

/// How often the bar's figures change.
const BAR_EVERY: Duration = Duration::from_millis(100);
/// How often a JSON object tells the figures.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Columns where the terminal does not tell its width.
const COLUMNS: usize = 80;

/// Shows progress in one form.
pub struct Screen {
    form: Form,
    bar: Option<ProgressBar>,
    /// When figures are shown next, counted from the begin of the phase.
    next: Duration,
}

impl Screen {
    /// Nothing is shown yet.
    pub fn new(form: Form) -> Self {
        let bar = (form == Form::Bar).then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()).tick_chars("-\\|/ "));
            bar.enable_steady_tick(BAR_EVERY);
        }
        Self { form, bar, next: Duration::ZERO }
    }

    /// A phase began.
    pub fn began(&mut self, phase: &str, cases: Option<u64>) {
        self.next = self.after(Duration::ZERO);
        self.spin(phase);
        self.object(&json!({"event": "began", "phase": phase, "cases": cases}));
    }

    /// A phase ended, at its end or by an error.
    pub fn ended(&self, phase: &str, seconds: f64, complete: bool) {
        let seconds = thousandths(seconds);
        self.object(&json!({"event": "ended", "phase": phase, "seconds": seconds, "complete": complete}));
    }

    /// A model is about to be loaded.
    pub fn loading(&self, role: &str) {
        self.spin(&format!("load the {role}"));
        self.object(&json!({"event": "loading", "model": role}));
        if self.form == Form::Lines {
            say!("load: {role}");
        }
    }

    /// Answers were taken from the journal.
    pub fn resumed(&self, cases: u64) {
        self.object(&json!({"event": "resumed", "cases": cases}));
    }

    /// What goes on, where figures say nothing yet.
    pub fn spin(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(visible(what));
        }
    }

    /// Something that a reader of the result should know.
    pub fn note(&self, text: &str) {
        self.tell(&format!("note: {text}"));
    }

    /// Does something that may write lines, with the bar out of the way.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }

    /// A line of the summary.
    pub fn tell(&self, line: &str) {
        match &self.bar {
            _ if self.form == Form::Quiet => {}
            Some(bar) => bar.suspend(|| say!("{line}")),
            None => say!("{line}"),
        }
    }

    /// Whether it is time for figures again.
    pub fn due(&self, now: Duration) -> bool {
        matches!(self.form, Form::Bar | Form::Lines | Form::Json) && now >= self.next
    }

    /// Shows figures.
    pub fn show(&mut self, figures: &Figures, now: Duration) {
        self.next = self.after(now);
        match (&self.bar, self.form) {
            // The spinner and a space stand before it.
            (Some(bar), _) => bar.set_message(visible(&figures.bar(columns().saturating_sub(2)))),
            (None, Form::Lines) => say!("{}", figures.line()),
            (None, Form::Json) => self.object(&json!(figures)),
            (None, Form::Bar | Form::None | Form::Quiet) => {}
        }
    }

    /// The last figures of a phase, for those who add up.
    pub fn show_last(&mut self, figures: &Figures, now: Duration) {
        if self.form == Form::Json {
            self.show(figures, now);
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn object(&self, value: &Value) {
        if self.form == Form::Json {
            terminal::tell_object(value);
        }
    }

    fn after(&self, now: Duration) -> Duration {
        match self.form {
            Form::Bar => now + BAR_EVERY,
            Form::Json => now + JSON_EVERY,
            Form::Lines | Form::None | Form::Quiet => next_line(now),
        }
    }
}

/// When a plain line appears next: every 10 s in the first minute, then every 30 s, after 10 minutes every 60 s.
fn next_line(now: Duration) -> Duration {
    let every = match now.as_secs() {
        0..60 => 10,
        60..600 => 30,
        _ => 60,
    };
    Duration::from_secs((now.as_secs() / every + 1) * every)
}

fn columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(COLUMNS, |(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rare() {
        let (mut now, mut lines) = (Duration::ZERO, Vec::new());
        while now < Duration::from_secs(800) {
            now = next_line(now);
            lines.push(now.as_secs());
        }
        assert_eq!(lines[..8], [10, 20, 30, 40, 50, 60, 90, 120]);
        assert_eq!(lines[lines.len() - 6..], [570, 600, 660, 720, 780, 840]);
        // Late is no reason for two at once.
        assert_eq!(next_line(Duration::from_millis(14_900)).as_secs(), 20);
    }

    #[test]
    fn figures_are_due_in_their_time_and_only_where_they_are_shown() {
        let seconds = Duration::from_secs_f64;
        let due = |form: Form, now: f64| {
            let mut screen = Screen { form, bar: None, next: Duration::ZERO };
            screen.next = screen.after(Duration::ZERO);
            screen.due(seconds(now))
        };
        assert!(!due(Form::Lines, 9.9) && due(Form::Lines, 10.0));
        assert!(!due(Form::Json, 0.9) && due(Form::Json, 1.0));
        assert!(!due(Form::None, 100.0) && !due(Form::Quiet, 100.0));
    }
}
