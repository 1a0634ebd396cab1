//! Power losses: builds the shim of `tests/shim/power_loss.c` and has a command run under it, and tests that what the shim
//! leaves is what a crash may leave.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::project::repository;

/// Where the power fails.
#[derive(Clone, Copy, Debug)]
pub enum Fails {
    /// Nowhere: calls are counted.
    Never,
    /// At this call that changes something, from 1; where there are less, nowhere.
    At(u64),
    /// When the program ends, all its work done.
    AtTheEnd,
    /// Nowhere, but the program is killed at this call.
    Kills(u64),
}

/// A command whose power fails.
pub struct Power {
    side: TempDir,
}

/// What the shim counted: `struct report` of `tree.h`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Calls that change something below the root.
    pub calls: u64,
    /// Whether the power failed.
    pub crashed: bool,
    /// Most milliseconds between the first byte in a `.journal` and the sync that made it durable.
    pub journal_lag: u64,
    /// Age in milliseconds of a journal whose name the crash may take.
    pub entry_lag: u64,
    /// Age in milliseconds of the oldest byte in a journal that the crash may take.
    pub lost_lag: u64,
}

impl Power {
    /// Has the command lose its power: what is lost of the files below `root` depends on the seed.
    pub fn arm(command: &mut Command, root: &Path, fails: Fails, seed: u64) -> Self {
        let root = root.canonicalize().expect("a folder");
        // Beside the root, for files are linked between both.
        let side = TempDir::with_prefix_in("karat-side-", root.parent().expect("a parent")).expect("make a folder");
        command.env("LD_PRELOAD", built("power_loss", &["-shared", "-fPIC"]));
        command.env("KARAT_POWER_ROOT", root).env("KARAT_POWER_SIDE", side.path());
        command.env("KARAT_POWER_SEED", seed.to_string());
        // No other program starts under the shim; git is looked for.
        command.env("PATH", "");
        match fails {
            Fails::Never => command.env_remove("KARAT_POWER_AT"),
            Fails::At(call) => command.env("KARAT_POWER_AT", call.to_string()),
            Fails::AtTheEnd => command.env("KARAT_POWER_AT", "0"),
            Fails::Kills(call) => command.env("KARAT_POWER_AT", call.to_string()).env("KARAT_POWER_LOSSLESS", "1"),
        };
        Self { side }
    }

    /// What the shim has counted.
    pub fn report(&self) -> Report {
        let bytes = std::fs::read(self.side.path().join("report")).expect("read the report of the shim");
        let word = |i: usize| u64::from_ne_bytes(bytes[8 * i..8 * i + 8].try_into().expect("eight bytes"));
        let [calls, crashed, journal_lag, entry_lag, lost_lag] = [0, 1, 2, 3, 4].map(word);
        Report { calls, crashed: crashed != 0, journal_lag, entry_lag, lost_lag }
    }
}

/// Compiles a C file of `tests/shim`, once.
fn built(name: &'static str, flags: &[&str]) -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    let once = if name == "power_loss" { &SHIM } else { &PROBE };
    let compile = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (new, path) = (folder.join(format!("{name}-{}", std::process::id())), folder.join(name));
        let source = repository("tests/shim").join(name).with_extension("c");
        let cc = Command::new("cc").args(["-O1", "-o"]).arg(&new).args(flags).arg(source).output().expect("start cc");
        assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
        std::fs::rename(&new, &path).expect("name what was compiled");
        path
    };
    once.get_or_init(compile).clone()
}

// ---- the shim itself ------------------------------------------------------------------------------------------------

const RECORD: usize = 700;
const RECORDS: usize = 20;
const SEEDS: u64 = 60;

/// What the probe left.
struct Left {
    folder: TempDir,
    report: Report,
    /// The last number it told: what it has made durable.
    told: usize,
}

impl Left {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join(name)).ok()
    }

    /// Whole records from the beginning of the file, each as it was written.
    fn whole(&self) -> Option<usize> {
        let bytes = self.read("file")?;
        let good = |(n, record): (usize, &[u8])| {
            let letter = b'a' + n as u8;
            record.len() == RECORD && record[..RECORD - 1].iter().all(|byte| *byte == letter)
        };
        Some(bytes.chunks(RECORD).enumerate().take_while(|some| good(*some)).count())
    }
}

fn probe(act: &str, fails: Fails, seed: u64) -> Left {
    let folder = TempDir::with_prefix("karat-power-").expect("make a folder");
    if act == "changes" {
        for name in ["there", "cut", "gone", "sub/old"] {
            std::fs::create_dir_all(folder.path().join("sub")).expect("make a folder");
            std::fs::write(folder.path().join(name), "old contents of a file").expect("write a file");
        }
    }
    let mut command = Command::new(built("power_probe", &[]));
    command.arg(act).current_dir(folder.path());
    let power = Power::arm(&mut command, folder.path(), fails, seed);
    let Output { status, stdout, stderr } = command.output().expect("start the probe");
    let report = power.report();
    let crashes = match fails {
        Fails::Never => false,
        Fails::At(call) | Fails::Kills(call) => call <= report.calls,
        Fails::AtTheEnd => true,
    };
    assert_eq!(
        (status.code(), report.crashed),
        ((!crashes).then_some(0), crashes),
        "{act} {fails:?} {seed}: {stderr:?}"
    );
    let told = String::from_utf8_lossy(&stdout).lines().last().map_or(0, |line| line.parse().expect("a number"));
    Left { folder, report, told }
}

#[test]
fn without_a_failure_the_shim_changes_nothing() {
    for act in ["unsynced", "nameless", "journal", "replace"] {
        let left = probe(act, Fails::Never, 0);
        assert_eq!((left.whole(), left.told), (Some(RECORDS), RECORDS), "{act}");
        assert!(left.report.calls >= RECORDS as u64, "{act}: {:?}", left.report);
    }
    let left = probe("changes", Fails::Never, 0);
    assert_eq!(left.read("there").as_deref(), Some(&b"new contents of a file"[..]));
    assert_eq!(
        (left.read("cut").map(|cut| cut.len()), left.read("gone"), left.read("sub/old")),
        (Some(10), None, None)
    );
    assert!(left.read("moved").is_some());
}

#[test]
fn records_that_were_not_synced_are_lost_or_torn() {
    let mut kinds = BTreeSet::new();
    for seed in 0..SEEDS {
        let left = probe("unsynced", Fails::AtTheEnd, seed);
        let (bytes, whole) = (left.read("file").expect("its name was synced"), left.whole().expect("a file"));
        kinds.insert(match (bytes.len(), whole) {
            (0, _) => "lost",
            (_, RECORDS) => "whole",
            (length, whole) if length == whole * RECORD => "cut between records",
            (length, whole) if length < (whole + 1) * RECORD => "cut in a record",
            _ if bytes.ends_with(&[0; 8]) => "zeros",
            _ => "garbage",
        });
    }
    for kind in ["lost", "whole", "cut in a record", "zeros", "garbage"] {
        assert!(kinds.contains(kind), "no seed gives `{kind}`: {kinds:?}");
    }
}

#[test]
fn names_that_were_not_synced_may_be_lost() {
    for act in ["nameless", "in_new_folder"] {
        let file = if act == "nameless" { "file" } else { "new/file" };
        let left = |seed| probe(act, Fails::AtTheEnd, seed).read(file).map(|bytes| bytes.len());
        let kinds: BTreeSet<_> = (0..SEEDS).map(left).collect();
        let whole = if act == "nameless" { RECORD * RECORDS } else { RECORD };
        assert_eq!(kinds, BTreeSet::from([None, Some(whole)]), "{act}: there as synced, or not at all");
    }
}

#[test]
fn what_was_synced_survives_wherever_the_power_fails() {
    for act in ["journal", "replace"] {
        let calls = probe(act, Fails::Never, 0).report.calls;
        let mut told = BTreeSet::new();
        for seed in 0..2 * SEEDS {
            let left = probe(act, Fails::At(1 + seed * calls / (2 * SEEDS)), seed);
            told.insert(left.told);
            let whole = left.whole().unwrap_or(0);
            assert!(whole >= left.told, "{act} {seed}: {whole} records are left of {}", left.told);
            if act == "replace" && left.told > 0 {
                let length = left.read("file").expect("the file").len();
                assert_eq!(length, whole * RECORD, "{seed}: a file that is replaced is never torn");
                assert!(whole <= left.told + 1);
            }
        }
        assert_eq!(told.len(), RECORDS, "{act}: the power fails between any two records: {told:?}");
    }
}

#[test]
fn a_program_that_is_killed_alone_loses_nothing() {
    for call in 1..=2 * RECORDS as u64 {
        let left = probe("unsynced", Fails::Kills(call), call);
        let records = left.whole().map(|whole| whole as u64);
        // Two calls make the file and its name durable; the last one may be cut off before or after.
        let written = [call.checked_sub(3), call.checked_sub(2)].map(|n| n.map(|n| n.min(RECORDS as u64)));
        assert!(written.contains(&records) || (call <= 2 && records == Some(0)), "{call}: {records:?}");
    }
}

#[test]
fn changes_of_what_was_there_may_be_undone() {
    let (old, new) = (b"old contents of a file".to_vec(), b"new contents of a file".to_vec());
    let (mut there, mut cut, mut gone, mut moved) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let left = probe("changes", Fails::AtTheEnd, seed);
        there.insert(left.read("there").expect("nothing removed it"));
        cut.insert(left.read("cut").expect("nothing removed it"));
        gone.insert(left.read("gone"));
        let names = (left.read("sub/old"), left.read("moved"));
        assert!(names.0.is_some() != names.1.is_some(), "{seed}: {names:?}");
        moved.insert(names.1);
    }
    assert_eq!(there, BTreeSet::from([old.clone(), new]));
    assert!(cut.contains(&old) && cut.contains(&old[..10]) && cut.iter().all(|cut| cut.starts_with(&old[..10])));
    assert_eq!(gone, BTreeSet::from([None, Some(old.clone())]));
    assert_eq!(moved, BTreeSet::from([None, Some(old)]));
}
