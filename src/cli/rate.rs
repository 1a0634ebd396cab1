//! How fast something goes, and how long the rest will take.
//!
//! Times are passed in, counted from the begin of the work. The speed is that of the last minute, not of the whole: what was
//! fast at the beginning (answers that were known, short prompts) says little about the rest.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back the speed looks.
const WINDOW: Duration = Duration::from_secs(60);
/// Time between two moments that are remembered.
const SPACING: Duration = Duration::from_millis(500);
/// Fewer pieces than this say nothing: where the window holds fewer, it reaches further back.
const FEW: u64 = 3;
/// With so many pieces done an estimate is shown, however many there are.
const MANY: u64 = 20;
/// No estimate is shown earlier.
const EARLIEST: Duration = Duration::from_secs(3);

/// A count that grows, over time.
pub struct Rate {
    /// Moments and the count that was reached by then, oldest first; the first one is what the speed is counted from.
    moments: VecDeque<(Duration, u64)>,
    /// The highest count so far.
    count: u64,
}

impl Default for Rate {
    /// Nothing done at the begin of the work.
    fn default() -> Self {
        Self { moments: VecDeque::from([(Duration::ZERO, 0)]), count: 0 }
    }
}

impl Rate {
    /// Notes that `count` pieces are done by now.
    pub fn note(&mut self, now: Duration, count: u64) {
        if count <= self.count {
            return;
        }
        self.count = count;
        if self.moments.back().is_none_or(|(last, _)| now >= *last + SPACING) {
            self.moments.push_back((now, count));
        }
        let start = now.saturating_sub(WINDOW);
        while self
            .moments
            .get(1)
            .is_some_and(|(at, then)| (*at <= start || self.filled(*at, now)) && count - then >= FEW)
        {
            self.moments.pop_front();
        }
    }

    /// Whether the time before the first pieces were done says nothing any more. Many are in work at once, so that none is done
    /// for a while, and then one after the other: from twice that time on, it counts no longer.
    fn filled(&self, first: Duration, now: Duration) -> bool {
        self.moments.front().is_some_and(|(begin, _)| begin.is_zero()) && now >= 2 * first
    }

    /// Pieces a second; nothing where none were done.
    pub fn per_second(&self, now: Duration) -> Option<f64> {
        let (start, before) = *self.moments.front()?;
        let seconds = now.checked_sub(start)?.as_secs_f64();
        let pieces = self.count - before;
        (pieces > 0 && seconds > 0.0).then(|| pieces as f64 / seconds)
    }

    /// Seconds until `left` more pieces are done; nothing while too little is known.
    pub fn eta(&self, now: Duration, left: u64) -> Option<f64> {
        let total = self.count.saturating_add(left);
        let enough = total.div_ceil(100).clamp(FEW, MANY);
        let known = now >= EARLIEST && self.count >= enough;
        self.per_second(now).filter(|_| known).map(|rate| left as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Notes counts at moments.
    fn noted(moments: impl IntoIterator<Item = (f64, u64)>) -> Rate {
        let mut rate = Rate::default();
        moments.into_iter().for_each(|(seconds, count)| rate.note(at(seconds), count));
        rate
    }

    #[test]
    fn a_steady_pace_gives_what_is_left() {
        let rate = noted((1..=2000).map(|step| (f64::from(step) * 0.1, step as u64)));
        let eta = rate.eta(at(200.0), 1000).unwrap();
        assert!((eta - 100.0).abs() < 2.0, "{eta}");
        assert_eq!(rate.eta(at(200.0), 0), Some(0.0));
    }

    #[test]
    fn nothing_is_said_too_early() {
        assert_eq!(Rate::default().eta(at(100.0), 10), None);
        let quick = noted([(1.0, 500)]);
        assert_eq!(quick.eta(at(2.9), 500), None);
        assert!(quick.eta(at(3.0), 500).is_some());
        // 1 %, at least 3, at most 20 pieces.
        assert_eq!(noted([(5.0, 2)]).eta(at(5.0), 98), None);
        assert!(noted([(5.0, 3)]).eta(at(5.0), 97).is_some());
        assert_eq!(noted([(5.0, 9)]).eta(at(5.0), 991), None);
        assert!(noted([(5.0, 20)]).eta(at(5.0), 1_000_000).is_some());
    }

    #[test]
    fn a_fast_beginning_is_forgotten() {
        let beginning = [(1.0, 10_000)];
        let rest = (1..=120).map(|second| (1.0 + f64::from(second), 10_000 + second as u64));
        let eta = noted(beginning.into_iter().chain(rest)).eta(at(121.0), 100).unwrap();
        assert!((eta - 100.0).abs() < 5.0, "{eta}");
    }

    #[test]
    fn the_time_until_the_first_are_done_is_forgotten() {
        // None for 8 s, then ten a second.
        let rate = noted((1..=100).map(|step| (8.0 + f64::from(step) * 0.1, step as u64)));
        let eta = rate.eta(at(18.0), 1000).unwrap();
        assert!((eta - 100.0).abs() < 10.0, "{eta}");
        // All of a batch at once, one batch after the other.
        let rate = noted([(10.0, 128), (20.0, 256)]);
        let eta = rate.eta(at(20.0), 256).unwrap();
        assert!((eta - 20.0).abs() < 1e-9, "{eta}");
    }

    #[test]
    fn a_pause_makes_it_longer_and_never_negative() {
        let rate = noted((1..=100).map(|step| (f64::from(step), step as u64)));
        let (soon, later) = (rate.eta(at(100.0), 50).unwrap(), rate.eta(at(160.0), 50).unwrap());
        assert!(soon < later && soon > 0.0, "{soon} {later}");
        // A clock that seems to go back gives nothing.
        assert_eq!(rate.eta(at(3.0), 50), None);
    }

    #[test]
    fn slow_pieces_reach_further_back() {
        let rate = noted((1..=5).map(|step| (f64::from(step) * 100.0, step as u64)));
        let eta = rate.eta(at(500.0), 5).unwrap();
        assert!((eta - 500.0).abs() < 1.0, "{eta}");
    }

    #[test]
    fn counts_that_do_not_grow_change_nothing_and_memory_is_bounded() {
        let rate = noted((0..100_000).map(|step| (f64::from(step) * 0.1, step as u64)));
        assert!(rate.moments.len() < 130, "{}", rate.moments.len());
        let rate = noted([(10.0, 30), (11.0, 20)]);
        assert_eq!(rate.per_second(at(15.0)), Some(2.0));
    }
}
