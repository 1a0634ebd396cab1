//! How a run looks on standard error: its events, counted and shown in the form that was asked for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::progress::per_second;
use super::progress_args::Form;
use super::rate::Rate;
use super::resume::call_again;
use super::screen::Screen;
use crate::run::{Event, Phase};

/// Shows events.
pub struct RunProgress {
    state: Mutex<State>,
}

struct State {
    screen: Screen,
    /// When answering began; before that, when all began.
    began: Instant,
    /// What is counted: answers, and once they are all there, scores.
    phase: Phase,
    total: Option<u64>,
    /// Cases of the journal.
    resumed: u64,
    answered: u64,
    cached: u64,
    prompt_tokens: u64,
    generated_tokens: u64,
    scored: u64,
    errored: u64,
    /// How far a run came that stopped, until something else says so.
    stopped: Option<String>,
    /// Cases answered, without those of the journal.
    cases: Rate,
    tokens: Rate,
}

impl RunProgress {
    /// Shows from now on.
    pub fn start(form: Form) -> Self {
        let state = State {
            screen: Screen::new(form),
            began: Instant::now(),
            phase: Phase::Answer,
            total: None,
            resumed: 0,
            answered: 0,
            cached: 0,
            prompt_tokens: 0,
            generated_tokens: 0,
            scored: 0,
            errored: 0,
            stopped: None,
            cases: Rate::default(),
            tokens: Rate::default(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Takes in an event.
    pub fn see(&self, event: Event) {
        if let Ok(mut state) = self.state.lock() {
            state.see(event);
        }
    }

    /// Does something that may write lines, with the bar out of the way.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.state.lock() {
            Ok(state) => state.screen.suspend(work),
            Err(_) => work(),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.screen.clear();
            if let Some(text) = state.stopped.take() {
                state.screen.tell(&text);
            }
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
            Event::Began { phase, cases } => {
                if phase == Phase::Answer {
                    (self.total, self.began) = (cases, Instant::now());
                } else if phase == Phase::Sort {
                    // By now all is scored.
                    let now = self.began.elapsed();
                    self.screen.show_last(&self.figures(now), now);
                }
                self.screen.began(phase.name(), cases);
            }
            Event::Loading { role } => self.screen.loading(role),
            Event::Resumed { cases } => {
                self.resumed = cases;
                self.screen.resumed(cases);
            }
            Event::Answered { cases, cached, prompt_tokens, generated_tokens } => {
                (self.answered, self.cached) = (cases, cached);
                (self.prompt_tokens, self.generated_tokens) = (prompt_tokens, generated_tokens);
                let now = self.began.elapsed();
                self.cases.note(now, cases);
                self.tokens.note(now, prompt_tokens + generated_tokens);
                self.show(now);
            }
            Event::Scored { cases, passed: _, errored } => {
                (self.scored, self.errored) = (cases, errored);
                self.show(self.began.elapsed());
            }
            Event::Ended { phase, seconds, complete } => {
                if phase == Phase::Answer {
                    let now = self.began.elapsed();
                    self.screen.show_last(&self.figures(now), now);
                }
                self.screen.ended(phase.name(), seconds, complete);
                if phase == Phase::Answer {
                    self.answered(seconds, complete);
                    self.phase = Phase::Score;
                    self.screen.spin(Phase::Score.name());
                }
            }
            Event::Unfinished { run_id, finished } => {
                self.stopped = None;
                let of = self.total.map_or(String::new(), |total| format!(" of {total}"));
                let kept = if finished > 0 { format!("{finished}{of} cases") } else { "encoded texts".into() };
                let again = call_again(Some(&run_id));
                self.screen.suspend(|| say!("unfinished: run {run_id} keeps {kept}; `{again}` goes on with it"));
            }
            Event::Noted { text } => self.screen.note(&text),
            Event::Warned { text } => self.screen.suspend(|| say!("warning: {text}")),
        }
    }

    fn done(&self) -> u64 {
        self.resumed + self.answered
    }

    fn figures(&self, now: Duration) -> Figures {
        let answering = self.phase == Phase::Answer;
        let done = if answering { self.done() } else { self.scored };
        let left = self.total.filter(|_| answering).map(|total| total.saturating_sub(done));
        // Some cases of the journal were scored before, too; how many, nobody tells.
        let total = self.total.filter(|_| answering || self.resumed == 0);
        Figures {
            event: "progress",
            phase: self.phase.name(),
            unit: "cases",
            done,
            total,
            cached: self.cached,
            scored: Some(self.scored),
            errored: self.errored,
            prompt_tokens: self.prompt_tokens,
            generated_tokens: self.generated_tokens,
            tokens_per_second: self.tokens.per_second(now).filter(|_| answering),
            eta: left.and_then(|left| self.cases.eta(now, left)),
            elapsed: now.as_secs_f64(),
        }
    }

    fn show(&mut self, now: Duration) {
        if self.screen.due(now) {
            self.screen.show(&self.figures(now), now);
        }
    }

    /// The line that says what was answered; of a run that stopped, how far it came.
    fn answered(&mut self, seconds: f64, complete: bool) {
        let done = self.done();
        let journal = match self.resumed {
            0 => String::new(),
            resumed => format!(", {resumed} of them from the journal"),
        };
        if !complete {
            let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
            self.stopped = (done > 0).then(|| format!("stopped after {done}{of} cases{journal}"));
            return;
        }
        let tokens = match self.generated_tokens {
            0 => String::new(),
            generated => format!(
                ", {} prompt and {generated} generated tokens ({:.0} tokens/s)",
                self.prompt_tokens,
                per_second(self.prompt_tokens + generated, seconds)
            ),
        };
        let cached = match self.cached {
            0 => String::new(),
            cached => format!(", {cached} of them from the cache"),
        };
        let cases = self.total.unwrap_or(done);
        self.screen.tell(&format!("answered {cases} cases in {seconds:.2} s{journal}{cached}{tokens}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_the_journal_are_done_but_say_nothing_of_the_speed() {
        let progress = RunProgress::start(Form::Quiet);
        progress.see(Event::Resumed { cases: 40 });
        progress.see(Event::Began { phase: Phase::Answer, cases: Some(100) });
        progress.see(Event::Answered { cases: 30, cached: 1, prompt_tokens: 300, generated_tokens: 60 });
        progress.see(Event::Scored { cases: 20, passed: 12, errored: 2 });
        let state = progress.state.lock().unwrap();
        let figures = state.figures(Duration::from_secs(10));
        assert_eq!((figures.phase, figures.done, figures.total), ("answer", 70, Some(100)));
        assert_eq!((figures.scored, figures.errored, figures.cached), (Some(20), 2, 1));
        assert_eq!((figures.tokens_per_second, figures.eta), (Some(36.0), Some(10.0)));
    }

    #[test]
    fn scores_are_counted_once_the_answers_are_there() {
        let progress = RunProgress::start(Form::Quiet);
        progress.see(Event::Began { phase: Phase::Answer, cases: Some(100) });
        progress.see(Event::Answered { cases: 100, cached: 0, prompt_tokens: 0, generated_tokens: 0 });
        progress.see(Event::Ended { phase: Phase::Answer, seconds: 1.0, complete: true });
        progress.see(Event::Scored { cases: 90, passed: 0, errored: 0 });
        let figures = progress.state.lock().unwrap().figures(Duration::from_secs(10));
        assert_eq!((figures.phase, figures.done, figures.eta), ("score", 90, None));
    }
}
