//! What an engine command shows on standard error while it goes through its lines.

use std::time::{Duration, Instant};

use super::figures::Figures;
use super::progress_args::Form;
use super::rate::Rate;
use super::screen::Screen;

/// What is done by now.
#[derive(Clone, Copy, Default)]
pub struct Done {
    /// Lines.
    pub lines: u64,
    /// Of these, those whose answer was known.
    pub cached: u64,
    /// Of these, those that could not be answered.
    pub failed: u64,
    /// Tokens computed that were given.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
}

/// Shows how far a command is. How many lines there are is not known.
pub struct Progress {
    screen: Screen,
    what: &'static str,
    started: Instant,
    done: Done,
    tokens: Rate,
    ended: bool,
}

impl Progress {
    /// Starts counting `what` ("generate").
    pub fn start(what: &'static str, form: Form) -> Self {
        let mut screen = Screen::new(form);
        screen.began(what, None);
        let (done, tokens) = (Done::default(), Rate::default());
        Self { screen, what, started: Instant::now(), done, tokens, ended: false }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows how far it is.
    pub fn show(&mut self, done: Done) {
        let now = self.elapsed();
        self.done = done;
        self.tokens.note(now, done.prompt_tokens + done.generated_tokens);
        if self.screen.due(now) {
            self.screen.show(&self.figures(now), now);
        }
    }

    fn figures(&self, now: Duration) -> Figures {
        Figures {
            event: "progress",
            phase: self.what,
            unit: "lines",
            done: self.done.lines,
            total: None,
            cached: self.done.cached,
            scored: None,
            errored: self.done.failed,
            prompt_tokens: self.done.prompt_tokens,
            generated_tokens: self.done.generated_tokens,
            tokens_per_second: self.tokens.per_second(now),
            eta: None,
            elapsed: now.as_secs_f64(),
        }
    }

    /// Takes the bar away: what was done in all, or nothing where the work failed.
    pub fn end(&mut self, done: Option<Done>) {
        if !std::mem::replace(&mut self.ended, true) {
            let now = self.elapsed();
            self.done = done.unwrap_or(self.done);
            self.screen.show_last(&self.figures(now), now);
            self.screen.ended(self.what, now.as_secs_f64(), done.is_some());
            self.screen.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// How many of something went by in a second.
pub fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-9)
}

/// Most memory that this process has held, in MiB, where the system tells.
pub fn peak_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// `, peak memory N MiB`, or nothing where the system does not tell.
pub fn peak_note() -> String {
    peak_mib().map_or_else(String::new, |mib| format!(", peak memory {mib} MiB"))
}
