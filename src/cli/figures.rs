//! How far work has come, as a line, as a bar and as JSON.

use serde::Serialize;

/// How far it is at a moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Always `progress`.
    pub event: &'static str,
    /// What goes on.
    pub phase: &'static str,
    /// What is counted.
    #[serde(skip)]
    pub unit: &'static str,
    /// Pieces done.
    pub done: u64,
    /// All of them, where that is known.
    pub total: Option<u64>,
    /// Of those done, the ones whose answer was known.
    pub cached: u64,
    /// Pieces scored, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored: Option<u64>,
    /// Pieces that failed.
    pub errored: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens a second of late.
    #[serde(serialize_with = "tenths")]
    pub tokens_per_second: Option<f64>,
    /// Seconds until all is done.
    #[serde(rename = "eta_seconds", serialize_with = "tenths")]
    pub eta: Option<f64>,
    /// Seconds since the begin of the phase.
    #[serde(rename = "elapsed_seconds", serialize_with = "milliseconds")]
    pub elapsed: f64,
}

fn tenths<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| (value * 10.0).round() / 10.0).serialize(serializer)
}

fn milliseconds<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    thousandths(*value).serialize(serializer)
}

/// Seconds to the millisecond.
pub fn thousandths(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// The widest gauge.
const WIDEST: usize = 26;
/// A narrower gauge shows nothing.
const NARROWEST: usize = 10;

impl Figures {
    fn percent(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((self.done as f64 / total as f64 * 100.0).min(100.0))
    }

    fn rate(&self) -> Option<String> {
        self.tokens_per_second.map(|rate| format!("{rate:.0} tokens/s"))
    }

    fn errors(&self) -> String {
        format!("{} error{}", self.errored, if self.errored == 1 { "" } else { "s" })
    }

    fn left(&self) -> Option<String> {
        self.eta.map(|eta| format!("ETA {}", duration(eta)))
    }

    /// A line that can be understood alone.
    pub fn line(&self) -> String {
        let Self { phase, unit, done, .. } = self;
        let counted = match (self.total, self.percent()) {
            (Some(total), Some(percent)) => format!("{done}/{total} {unit} ({percent:.1} %)"),
            _ => format!("{done} {unit}"),
        };
        let parts = [Some(counted), self.rate(), Some(self.errors()), self.left()];
        format!("{phase}: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    /// A bar of at most so many columns: what fits, the important things first.
    pub fn bar(&self, columns: usize) -> String {
        let Self { phase, unit, done, .. } = self;
        let head = match self.total {
            Some(total) => format!("{phase} {done}/{total}"),
            None => format!("{phase} {done} {unit}"),
        };
        let mut room = columns.saturating_sub(head.len());
        let mut fits = |text: Option<String>| {
            let text = text.filter(|text| text.len() + 2 <= room)?;
            room -= text.len() + 2;
            Some(text)
        };
        let percent = fits(self.percent().map(|percent| format!("{percent:.0} %")));
        let errors = fits((self.errored > 0).then(|| self.errors()));
        let left = fits(self.left().or_else(|| self.total.is_none().then(|| duration(self.elapsed))));
        let rate = fits(self.rate());
        let gauge = self.percent().filter(|_| room > NARROWEST).map(|percent| gauge(percent, (room - 1).min(WIDEST)));
        room -= gauge.as_ref().map_or(0, |gauge| gauge.len() + 1);
        let scored = self.scored.map(|scored| format!("{scored} scored")).filter(|text| text.len() + 2 <= room);
        let head = [Some(head), gauge, percent].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let tail = [rate, errors, scored, left].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let whole = if tail.is_empty() { head } else { format!("{head}  {tail}") };
        whole.chars().take(columns).collect()
    }
}

/// `[=====>    ]`, so many columns wide.
fn gauge(percent: f64, columns: usize) -> String {
    let inner = columns.saturating_sub(2);
    let full = (percent / 100.0 * inner as f64).floor() as usize;
    let (full, tip) = if full >= inner { (inner, "") } else { (full, ">") };
    format!("[{}{tip}{}]", "=".repeat(full), " ".repeat(inner - full - tip.len()))
}

/// Seconds as `45 s`, `3 min 20 s` or `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            event: "progress",
            phase: "answer",
            unit: "cases",
            done: 1206,
            total: Some(3000),
            scored: Some(1100),
            errored: 2,
            prompt_tokens: 50_000,
            generated_tokens: 20_000,
            tokens_per_second: Some(1234.56),
            eta: Some(130.04),
            elapsed: 87.12345,
            ..Figures::default()
        }
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([duration(0.4), duration(200.0), duration(7500.0)], ["0 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[test]
    fn a_line_says_it_all() {
        let line = figures().line();
        assert_eq!(line, "answer: 1206/3000 cases (40.2 %), 1235 tokens/s, 2 errors, ETA 2 min 10 s");
        let open = Figures { phase: "embed", unit: "lines", done: 7, ..Figures::default() };
        assert_eq!(open.line(), "embed: 7 lines, 0 errors");
    }

    #[test]
    fn json_has_every_figure() {
        let json = serde_json::to_string(&figures()).unwrap();
        assert_eq!(
            json,
            r#"{"event":"progress","phase":"answer","done":1206,"total":3000,"cached":0,"scored":1100,"errored":2,"prompt_tokens":50000,"generated_tokens":20000,"tokens_per_second":1234.6,"eta_seconds":130.0,"elapsed_seconds":87.123}"#
        );
    }

    #[test]
    fn a_bar_fits_and_keeps_the_important_things() {
        for columns in 0..200 {
            for figures in [figures(), Figures { total: None, eta: None, ..figures() }, Figures::default()] {
                assert!(figures.bar(columns).len() <= columns, "{columns}: {}", figures.bar(columns));
            }
        }
        assert_eq!(figures().bar(38), "answer 1206/3000 40 %  2 errors");
        assert_eq!(figures().bar(50), "answer 1206/3000 40 %  2 errors, ETA 2 min 10 s");
        assert_eq!(figures().bar(78), "answer 1206/3000 [====>       ] 40 %  1235 tokens/s, 2 errors, ETA 2 min 10 s");
        let wide = figures().bar(120);
        assert!(wide.contains("1100 scored"), "{wide}");
    }

    #[test]
    fn gauges_are_as_wide_as_asked() {
        assert_eq!([gauge(0.0, 6), gauge(50.0, 6), gauge(100.0, 6)], ["[>   ]", "[==> ]", "[====]"]);
    }
}
