//! How a run looks on standard error: a bar on a terminal, a few plain lines elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::{Event, Phase};

/// How often a plain line appears while cases are answered.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// How often the bar's figures change.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// Shows events.
pub struct RunProgress {
    state: Option<Mutex<State>>,
}

struct State {
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Instant,
    total: Option<u64>,
    answered: u64,
    cached: u64,
    prompt_tokens: u64,
    generated_tokens: u64,
    scored: u64,
    errored: u64,
}

impl RunProgress {
    /// Shows from now on, or never.
    pub fn start(quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (!quiet && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(BAR_EVERY);
        }
        let state = State {
            bar,
            began: now,
            shown: now,
            total: None,
            answered: 0,
            cached: 0,
            prompt_tokens: 0,
            generated_tokens: 0,
            scored: 0,
            errored: 0,
        };
        Self { state: (!quiet).then(|| Mutex::new(state)) }
    }

    /// Takes in an event.
    pub fn see(&self, event: Event) {
        if let Some(Ok(mut state)) = self.state.as_ref().map(Mutex::lock) {
            state.see(event);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(Ok(state)) = self.state.as_ref().map(Mutex::lock)
            && let Some(bar) = &state.bar
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn see(&mut self, event: Event) {
        match event {
            Event::Began { phase: Phase::Answer, cases } => {
                (self.total, self.began, self.shown) = (cases, Instant::now(), Instant::now());
                if let Some(bar) = &self.bar {
                    bar.set_length(cases.unwrap_or(0));
                    bar.set_style(style("{spinner} answer [{bar:24}] {pos}/{len} {msg}"));
                    bar.set_message("");
                }
            }
            Event::Began { phase, .. } => self.spin(phase.name()),
            Event::Loading { role } => match &self.bar {
                Some(_) => self.spin(&format!("load the {role}")),
                None => say!("load: {role}"),
            },
            Event::Answered { cases, cached, prompt_tokens, generated_tokens } => {
                (self.answered, self.cached) = (cases, cached);
                (self.prompt_tokens, self.generated_tokens) = (prompt_tokens, generated_tokens);
                self.show();
            }
            Event::Scored { cases, passed: _, errored } => {
                (self.scored, self.errored) = (cases, errored);
                self.show();
            }
            Event::Ended { phase: Phase::Answer, seconds } => self.answered(seconds),
            Event::Ended { .. } => {}
            Event::Noted { text } => self.line(&format!("note: {text}")),
        }
    }

    fn spin(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message(what.to_owned());
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{text}")),
            None => say!("{text}"),
        }
    }

    /// Tokens a second of the answering phase; nothing where there are none (recorded answers).
    fn rate(&self) -> Option<String> {
        let tokens = self.prompt_tokens + self.generated_tokens;
        let seconds = self.began.elapsed().as_secs_f64().max(1e-3);
        (tokens > 0).then(|| format!("{:.0} tokens/s", tokens as f64 / seconds))
    }

    /// What is left if the rest goes as the cases before; nothing before the first.
    fn eta(&self) -> Option<String> {
        let left = self.total?.saturating_sub(self.answered);
        let each = self.began.elapsed().as_secs_f64() / self.answered as f64;
        (self.answered > 0).then(|| format!("ETA {}", duration(each * left as f64)))
    }

    fn message(&self) -> String {
        let errors = (self.errored > 0).then(|| format!("{} errors", self.errored));
        let parts = [self.rate(), Some(format!("{} scored", self.scored)), errors, self.eta()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn show(&mut self) {
        let every = if self.bar.is_some() { BAR_EVERY } else { PLAIN_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        match (&self.bar, self.total) {
            (Some(bar), _) => {
                bar.set_position(self.answered);
                bar.set_message(self.message());
            }
            (None, Some(total)) => say!("answer: {}/{total} cases, {}", self.answered, self.message()),
            (None, None) => {}
        }
    }

    fn answered(&self, seconds: f64) {
        let cases = self.total.unwrap_or(self.answered);
        let tokens = match self.generated_tokens {
            0 => String::new(),
            generated => format!(
                ", {} prompt and {generated} generated tokens ({:.0} tokens/s)",
                self.prompt_tokens,
                (self.prompt_tokens + generated) as f64 / seconds.max(1e-9)
            ),
        };
        let cached = match self.cached {
            0 => String::new(),
            cached => format!(", {cached} of them from the cache"),
        };
        self.line(&format!("answered {cases} cases in {seconds:.2} s{cached}{tokens}"));
        self.spin("score");
    }
}

/// Seconds as `45 s`, `3 min 20 s` or `2 h 5 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").tick_chars("-\\|/ ")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        assert_eq!([duration(0.4), duration(200.0), duration(7500.0)], ["0 s", "3 min 20 s", "2 h 5 min"]);
    }
}
