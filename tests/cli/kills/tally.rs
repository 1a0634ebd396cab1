//! What a sweep counts, and its table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::work::Work;
use crate::power::Report;

/// Sums over trials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Calls that were to be cut off.
    pub cuts: u64,
    /// Those that were, and had not ended before.
    pub landed: u64,
    /// Those of them with a journal: work was going on.
    pub working: u64,
    /// Calls that found nothing to resume, and nothing finished either.
    pub nothing: u64,
    /// Calls that found the end of their journal torn.
    pub torn: u64,
    /// Lines of the last calls that came from the journal.
    pub resumed: u64,
    /// Lines of the last calls.
    pub cases: u64,
    /// Time of all calls.
    pub time: Duration,
    /// What the trials would have taken undisturbed.
    pub whole: Duration,
    /// The most milliseconds of each of the shim's reports.
    lags: [u64; 3],
}

impl Tally {
    /// Takes in what the shim of power losses reports.
    pub fn see(&mut self, report: Report) {
        let seen = [report.journal_lag, report.entry_lag, report.lost_lag];
        self.lags.iter_mut().zip(seen).for_each(|(most, lag)| *most = lag.max(*most));
    }

    fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.landed += other.landed;
        self.working += other.working;
        self.nothing += other.nothing;
        self.torn += other.torn;
        self.resumed += other.resumed;
        self.cases += other.cases;
        self.time += other.time;
        self.whole += other.whole;
        self.lags.iter_mut().zip(other.lags).for_each(|(most, lag)| *most = lag.max(*most));
    }
}

/// A sum for each command.
#[derive(Default)]
pub struct Table(BTreeMap<Work, Tally>);

impl Table {
    /// Adds a trial.
    pub fn add(&mut self, work: Work, tally: &Tally) {
        self.0.entry(work).or_default().add(tally);
    }

    /// Prints it, if there is anything.
    pub fn show(&self, title: &str) {
        if self.0.is_empty() {
            return;
        }
        println!("\n{title}");
        println!(
            "  command    cuts landed working nothing torn  from the journal   time of all parts / of one undisturbed"
        );
        for (work, tally) in &self.0 {
            let share = format!("{}/{}", tally.resumed, tally.cases);
            let times = (tally.time.as_secs_f64(), tally.whole.as_secs_f64());
            println!(
                "  {:<9} {:>5} {:>6} {:>7} {:>7} {:>4}  {:>16}   {:.1} s / {:.1} s = {:.2}",
                work.name(),
                tally.cuts,
                tally.landed,
                tally.working,
                tally.nothing,
                tally.torn,
                if tally.cases > 0 { share } else { "-".to_owned() },
                times.0,
                times.1,
                times.0 / times.1,
            );
        }
        let mut all = Tally::default();
        self.0.values().for_each(|tally| all.add(tally));
        let [synced, entry, lost] = all.lags;
        if all.lags != [0; 3] {
            println!(
                "  a journal's bytes were durable after {synced} ms at most; when the power failed, the oldest that could be \
                 lost were {lost} ms old, the oldest journal without a durable name {entry} ms"
            );
        }
    }
}
