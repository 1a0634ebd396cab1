//! Commands that are killed, interrupted, out of power or out of disk, and resumed: they end with the bytes of a command that
//! nobody disturbed, and leave nothing else.
//!
//! A few kills here; `scripts/kill_sweep.sh` does hundreds. What may be set:
//!
//! - `KARAT_KILLS`: how often, for example `kill=100 term=40 int=40 power=20 disk=20 two=10`, or `every=2` for every step of small
//!   work; what is not named happens not.
//! - `KARAT_SEED`: seeds count up from here (default 1). A failure names the seed of its trial.
//! - `KARAT_WORK`: one command alone, `run` for example.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a sweep prints its table")]

mod disk;
mod tally;
mod trial;
mod two;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};

use karat::stats::CounterRng;
use tally::Table;
use trial::{Cause, Trial};
use work::Work;

use crate::power::Fails;

/// How often by default.
const FEW: &str = "kill=6 term=3 int=3 power=4 disk=3 two=1 every=1";
/// By default, every so many steps only, of these commands.
const SPARSE: (usize, [Work; 2]) = (7, [Work::Run, Work::Generate]);
/// Failures after which a sweep stops.
const ENOUGH: usize = 10;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How often `KARAT_KILLS` wants this.
fn count(name: &str) -> u64 {
    let all = setting("KARAT_KILLS").unwrap_or_else(|| FEW.to_owned());
    let mut named = all.split_whitespace().filter_map(|one| one.split_once('='));
    let found = named.find(|(given, _)| *given == name);
    found.map_or(0, |(_, count)| count.parse().expect("KARAT_KILLS holds numbers"))
}

fn first_seed() -> u64 {
    setting("KARAT_SEED").map_or(1, |seed| seed.parse().expect("KARAT_SEED is a number"))
}

/// Whether `KARAT_WORK` names no other command.
fn wanted(work: Work) -> bool {
    setting("KARAT_WORK").is_none_or(|name| name == work.name())
}

/// The command of a trial: all of them in turn.
fn work(cause: Cause, trial: u64) -> Work {
    let turn = 2 * trial + 2 * trial / 6 + u64::from(cause == Cause::Int);
    let named = Work::ALL.into_iter().find(|work| setting("KARAT_WORK").is_some() && wanted(*work));
    named.unwrap_or(Work::ALL[(turn % 6) as usize])
}

/// Runs `trial`; what failed in it.
fn failure(trial: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(trial)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).or(Some("a panic".to_owned()))
}

fn sweep(cause: Cause, name: &str) {
    let (mut left, mut table, mut failures) = (count(name), Table::default(), Vec::new());
    for trial in 0.. {
        if left == 0 || failures.len() == ENOUGH {
            break;
        }
        let (work, seed) = (work(cause, trial), first_seed() + trial);
        // Every command once, then several cuts in a row as well.
        let cuts = if trial < 6 { 1 } else { (1 + CounterRng::new(!seed, 0).below(3)).min(left) };
        left -= cuts;
        let failed = failure(|| table.add(work, &Trial::run(work, cause, cuts, seed)));
        let again = || format!("KARAT_WORK={} KARAT_SEED={seed} KARAT_KILLS={name}={cuts}", work.name());
        failures.extend(failed.map(|text| format!("--- {}\n{text}\n", again())));
    }
    table.show(&format!("{cause:?}"));
    assert!(failures.is_empty(), "{} of the trials failed\n{}", failures.len(), failures.concat());
}

/// Small work, cut off at its first and its last calls that change a file, and at some between, as often as `KARAT_KILLS` says:
/// killed alone, and with the power lost.
#[test]
fn cut_off_at_every_step() {
    let (times, seed) = (count("every"), first_seed());
    let (mut killed, mut lost, mut failures) = (Table::default(), Table::default(), Vec::new());
    let sparse = setting("KARAT_KILLS").is_none();
    for work in Work::ALL.into_iter().filter(|work| wanted(*work) && (!sparse || SPARSE.1.contains(work))) {
        let calls = work.calls();
        let apart = (calls / 40).max(1);
        let chosen = (1..=calls).filter(|call| *call <= 25 || *call + 40 > calls || call.is_multiple_of(apart));
        let steps = chosen.flat_map(|call| [Fails::Kills(call), Fails::At(call)]).chain([Fails::AtTheEnd]);
        for fails in steps.step_by(if sparse { SPARSE.0 } else { 1 }) {
            let table = if matches!(fails, Fails::Kills(_)) { &mut killed } else { &mut lost };
            for seed in seed..seed + times {
                let failed = failure(|| table.add(work, &Trial::at_call(work, fails, seed)));
                failures.extend(
                    failed.map(|text| format!("--- {} {fails:?} of {calls}, seed {seed}\n{text}\n", work.name())),
                );
            }
        }
    }
    killed.show("Killed between two steps");
    lost.show("Out of power between two steps");
    assert!(failures.is_empty(), "{} of the trials failed\n{}", failures.len(), failures.concat());
}

#[test]
fn killed() {
    sweep(Cause::Kill, "kill");
}

#[test]
fn terminated() {
    sweep(Cause::Term, "term");
}

#[test]
fn interrupted() {
    sweep(Cause::Int, "int");
}

#[test]
fn out_of_power() {
    sweep(Cause::Power, "power");
}

#[test]
fn out_of_disk() {
    if count("disk") > 0 && !disk::Disk::possible() {
        println!("no tmpfs can be mounted here: files are limited in size instead");
    }
    sweep(Cause::Disk, "disk");
}

#[test]
fn two_at_once() {
    for trial in 0..count("two") {
        let mut random = CounterRng::new(first_seed() + trial, 0);
        two::with_one_cache();
        two::one_is_killed(&mut random);
        two::an_owned_journal_is_not_touched();
        println!("two at once, {}: equal bytes", trial + 1);
    }
}
