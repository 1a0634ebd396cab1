//! Runs and baselines in temporary folders.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::record::tests_support::{line, saved};
use crate::record::{RESULTS, ResultLine};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    Place { folder, store }
}

impl Place {
    fn run(&self, second: u32, lines: &[ResultLine]) -> PathBuf {
        saved(self.store.runs(), second, lines)
    }

    fn accept(&self, run: &Path, name: &str) -> crate::error::Result<Accepted> {
        self.store
            .accept(Accept { run, name, force: false, compress: false, why: "test" }, |_, _| Ok(Review::default()))
    }
}

fn id(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn accepting_copies_and_moves_current() {
    let place = place();
    let one = place.run(1, &[line("a", "1", true)]);
    let two = place.run(2, &[line("a", "1", false)]);
    let accepted = place.accept(&one, "main").unwrap();
    assert_eq!((accepted.known, accepted.replaced.as_deref()), (false, None));
    assert_eq!(accepted.folder, place.folder.path().join("baselines/desk/main").join(id(&one)));
    assert_eq!(fs::read(accepted.folder.join(RESULTS)).unwrap(), fs::read(one.join(RESULTS)).unwrap());
    let again = place.accept(&one, "main").unwrap();
    assert!(again.known && again.replaced.is_none());
    let next = place.accept(&two, "main").unwrap();
    assert_eq!(next.replaced, Some(id(&one)));
    let baseline = place.store.baseline("desk", "main").unwrap();
    assert_eq!(baseline.entries.iter().map(|entry| entry.run_id.clone()).collect::<Vec<_>>(), [id(&one), id(&two)]);
    assert_eq!(baseline.current.run().map(|entry| entry.run_id), Some(id(&two)));
    assert_eq!(place.store.current("desk", "main").unwrap().run().map(|run| run.folder), Some(next.folder));
    assert_eq!(place.store.current("desk", "other").unwrap(), Current::None);
    let log: Vec<_> = baseline.accepted.iter().map(|line| (line.run_id.clone(), line.replaced.clone())).collect();
    assert_eq!(log, [(id(&one), None), (id(&one), None), (id(&two), Some(id(&one)))]);
    // Nothing unfinished is left, and git is told to leave line ends alone.
    assert_eq!(fs::read_dir(place.folder.path().join("baselines/desk/main")).unwrap().count(), 4);
    assert!(place.folder.path().join("baselines/.gitattributes").is_file());
}

#[test]
fn compressed_entries_read_as_before() {
    let place = place();
    let lines: Vec<_> = (0..50).map(|i| line("a", &format!("{i:02}"), i % 3 > 0)).collect();
    let run = place.run(1, &lines);
    let how = Accept { run: &run, name: "main", force: false, compress: true, why: "large" };
    let entry = place.store.accept(how, |_, _| Ok(Review::default())).unwrap().folder;
    assert!(!entry.join(RESULTS).exists() && entry.join(format!("{RESULTS}.gz")).exists());
    let reader = crate::record::RunReader::open(&entry).unwrap();
    let read: crate::error::Result<Vec<_>> = reader.lines().unwrap().collect();
    assert_eq!(read.unwrap(), lines);
    assert_eq!(fs::read(reader.plain(RESULTS).unwrap().path()).unwrap(), fs::read(run.join(RESULTS)).unwrap());
    // A copy of it stays compressed, a damaged one is refused.
    let copy = place.accept(&entry, "other").unwrap().folder;
    let packed = copy.join(format!("{RESULTS}.gz"));
    let mut bytes = fs::read(&packed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&packed, bytes).unwrap();
    assert!(crate::record::RunReader::open(&copy).is_err());
}

#[test]
fn refusals() {
    let place = place();
    let mut broken = line("a", "1", false);
    broken.error = Some("x".into());
    let errored = place.run(1, &[broken, line("a", "2", true)]);
    let error = place.accept(&errored, "main").unwrap_err();
    assert!(error.message().ends_with(": of 2 cases 1 errored and 0 are missing"), "{error}");
    assert!(error.hint().unwrap().contains("--force"));
    assert!(place.accept(&place.run(2, &[]), "main").is_err());
    assert!(place.accept(&errored, "../main").is_err());
    assert_eq!(place.store.list_baselines(None).unwrap(), []);
    // Files that were not committed: nobody else could make this run again.
    let dirty = place.run(5, &[line("a", "1", true)]);
    let text = fs::read_to_string(dirty.join(crate::record::MANIFEST)).unwrap();
    let changed = text.replace("\"git_commit\": null,", "\"git_commit\": \"abc\",\n  \"git_dirty\": true,");
    fs::write(dirty.join(crate::record::MANIFEST), &changed).unwrap();
    let order = dirty.with_file_name(crate::record::ORDER);
    let [before, after] = [text, changed].map(|text| crate::hash::sha256(text.as_bytes()));
    fs::write(&order, fs::read_to_string(&order).unwrap().replace(&before, &after)).unwrap();
    let error = place.accept(&dirty, "main").unwrap_err();
    assert!(error.message().ends_with("were not committed when it ran"), "{error}");
    let how = Accept { run: &errored, name: "main", force: true, compress: false, why: "a known gap" };
    let worse = vec!["golden.match 1 to 0.5".to_owned()];
    place.store.accept(how, |_, _| Ok(Review { forced: false, worse })).unwrap();

    let baseline = place.store.baseline("desk", "main").unwrap();
    let last = baseline.accepted.last().unwrap();
    assert_eq!((last.forced, last.why.as_deref(), last.replaced.as_deref()), (true, Some("a known gap"), None));
    assert_eq!(last.run_id, id(&errored));

    // The same id with other content.
    let other = super::tests::place();
    let same_id = other.run(1, &[line("a", "9", true)]);
    assert_eq!(id(&same_id), id(&errored));
    let error = place.accept(&same_id, "main").unwrap_err();
    assert!(error.message().ends_with("the baseline holds another run of that id"), "{error}");

    // A changed run, and a changed entry.
    fs::write(same_id.join(RESULTS), "").unwrap();
    assert!(place.accept(&same_id, "fresh").is_err());
    assert_eq!(last.worse, ["golden.match 1 to 0.5"]);
    let entry = place.store.current("desk", "main").unwrap().run().unwrap().folder;
    fs::write(entry.join(RESULTS), "").unwrap();
    let error = place.store.accept(how, |_, _| Ok(Review::default())).unwrap_err();
    assert_eq!(error.message(), "the existing baseline entry does not verify");
}

#[test]
fn references() {
    let place = place();
    let lines = [line("a", "1", true)];
    let (one, two) = (place.run(1, &lines), place.run(2, &lines));
    let entry = place.accept(&one, "main").unwrap().folder;
    fs::create_dir_all(place.store.runs().join("desk/.99999999T000000Z-000000.partial")).unwrap();
    let store = &place.store;
    let workspace = Workspace::from(store.clone());
    let find = |reference: &str| workspace.resolve(Some("desk"), reference).map(|found| found.folder);
    assert_eq!(find(one.to_str().unwrap()).unwrap(), one);
    assert_eq!(find(place.folder.path().join("baselines/desk/main").to_str().unwrap()).unwrap(), entry);
    assert_eq!(find("latest").unwrap(), two);
    assert_eq!(find("main").unwrap(), entry);
    assert_eq!(find("baseline:main").unwrap(), entry);
    assert_eq!(find(&id(&one)).unwrap(), one);
    assert_eq!(find(&id(&two)[..16]).unwrap(), two);
    assert_eq!(workspace.resolve(None, "main").unwrap().folder, entry);
    assert_eq!(find("desk/latest").unwrap(), two);
    let error = find("20261120T").unwrap_err();
    assert!(error.message().starts_with("which run `20261120T` means is not clear: `20261120T110001Z-"), "{error}");
    let fails = |reference| {
        let error = find(reference).unwrap_err();
        format!("{}; {}", error.message(), error.hint().unwrap_or("-"))
    };
    assert_eq!(fails("mian"), "there is no run or baseline `mian`; did you mean `main`? `karat runs` lists all");
    assert_eq!(
        fails("baseline:mian"),
        "there is no baseline `mian`; did you mean `main`? `karat baseline list` lists all"
    );
    assert_eq!(fails("lates"), "there is no run or baseline `lates`; did you mean `latest`? `karat runs` lists all");
    assert_eq!(fails("dsek/latest"), "there is no run of suite `dsek`; did you mean `desk`?");
    let error = store.baseline("desk", "mein").unwrap_err();
    assert_eq!(error.hint(), Some("did you mean `main`?"));
    // Once the run itself is gone, its baseline entry still goes by the id.
    fs::remove_dir_all(&one).unwrap();
    assert_eq!(find(&id(&one)).unwrap(), entry);
    fs::remove_dir_all(&entry).unwrap();
    assert!(find("main").unwrap_err().message().ends_with("which is not there"));
}

#[test]
fn an_empty_store_says_so() {
    let place = place();
    let workspace = Workspace::from(place.store.clone());
    let find = |reference| workspace.resolve(None, reference).unwrap_err().hint().map(str::to_owned);
    assert_eq!(find("latest").as_deref(), Some("`karat run SUITE` makes one"));
    assert!(find("baseline:main").unwrap().contains("baseline accept"));
    assert_eq!(place.store.list_runs(None).unwrap(), []);
    assert_eq!(place.store.list_runs(Some("desk")).unwrap(), []);
    assert!(place.store.list_runs(Some("../x")).is_err());
}

#[test]
fn latest_is_the_run_that_was_recorded_last_whatever_the_clock_says() {
    let place = place();
    let lines = [line("a", "1", true)];
    let later = place.run(9, &lines);
    let earlier = place.run(3, &lines);
    let workspace = Workspace::from(place.store.clone());
    let latest = || workspace.resolve(None, "latest").unwrap().folder;
    assert_eq!(latest(), earlier, "recorded last by a clock that went back");
    let ids: Vec<String> = place.store.list_runs(None).unwrap().into_iter().map(|run| run.run_id).collect();
    assert_eq!(ids, [id(&later), id(&earlier)]);
    let order = place.store.runs().join("desk").join(crate::record::ORDER);
    let whole = fs::read_to_string(&order).unwrap();
    let with = |lines: &[&str]| fs::write(&order, lines.join("\n") + "\n").unwrap();
    let written: Vec<&str> = whole.lines().collect();
    // Without its line, the run of the later clock is newer than the last that is known; a line twice tells of no run.
    with(&written[1..]);
    let untold = || workspace.resolve(None, "latest").unwrap_err();
    let newer = format!("`{}` is newer than `{}`", id(&later), id(&earlier));
    assert!(untold().message().contains(&newer), "{}", untold());
    with(&[written[0], written[1], written[0]]);
    assert!(untold().message().ends_with("was recorded once and stands there twice"), "{}", untold());
    // One that was killed before its folder stood, and was recorded again.
    let again = format!("{} {}", id(&later), "0".repeat(64));
    with(&[&again, written[1], written[0]]);
    assert_eq!(latest(), later);
    with(&written);
    // A copy of an older one, whatever it is called.
    let old = place.run(1, &lines);
    with(&written);
    let copy = old.with_file_name("saved-before-the-release");
    fs::rename(&old, &copy).unwrap();
    assert_eq!(latest(), earlier);
    fs::remove_dir_all(&copy).unwrap();
    // One that an older version recorded stands before all others; its name says when it was.
    let old = place.run(1, &lines);
    with(&written);
    assert_eq!(latest(), earlier);
    fs::remove_dir_all(&earlier).unwrap();
    let lost = || workspace.resolve(None, "latest").unwrap_err();
    assert!(lost().message().contains(&format!("`{}`, is not there any more", id(&earlier))), "{}", lost());
    // A run that a crash cut off never was the latest.
    let partial = later.with_file_name(format!(".{}.partial", id(&earlier)));
    fs::create_dir(&partial).unwrap();
    assert_eq!(latest(), later);
    fs::remove_dir(&partial).unwrap();
    fs::remove_file(&order).unwrap();
    assert_eq!(latest(), later);
    fs::remove_dir_all(&later).unwrap();
    assert_eq!(latest(), old);
}

#[test]
fn a_broken_current_is_no_first_run() {
    let place = place();
    let run = place.run(1, &[line("a", "1", true)]);
    let entry = place.accept(&run, "main").unwrap().folder;
    let current = entry.parent().unwrap().join(CURRENT);
    let broken = || match place.store.current("desk", "main").unwrap() {
        Current::Broken(why) => why,
        other => panic!("{other:?}"),
    };
    fs::remove_file(&current).unwrap();
    assert!(broken().ends_with("is missing, and 1 entry is there"), "{}", broken());
    fs::write(&current, "../elsewhere").unwrap();
    assert!(broken().ends_with("names no run"), "{}", broken());
    fs::write(&current, b"\xff\x00").unwrap();
    assert!(broken().ends_with("names no run"), "{}", broken());
    fs::write(&current, "20991120T110000Z-000000").unwrap();
    assert!(broken().ends_with("which is not there"), "{}", broken());
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    assert!(broken().ends_with("current` is a folder"), "{}", broken());
    // Accepting anew mends it.
    place.accept(&run, "main").unwrap();
    assert!(place.store.current("desk", "main").unwrap().run().is_some());
    fs::remove_file(&current).unwrap();
    fs::remove_dir_all(&entry).unwrap();
    assert!(broken().ends_with("is missing, and no entry is there"), "{}", broken());
    let folder = entry.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(place.store.current("desk", "main").unwrap(), Current::None);
    fs::create_dir(folder).unwrap();
    assert!(broken().ends_with("no entry is there"), "{}", broken());
    fs::remove_dir(folder).unwrap();
    fs::write(folder, "").unwrap();
    assert!(broken().ends_with("main` is no folder"), "{}", broken());
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_a_broken_baseline() {
    let place = place();
    let entry = place.accept(&place.run(1, &[line("a", "1", true)]), "main").unwrap().folder;
    for folder in [entry.parent().unwrap(), place.store.baselines()] {
        fs::remove_dir_all(folder).unwrap();
        std::os::unix::fs::symlink("/nonexistent/folder", folder).unwrap();
        assert!(matches!(place.store.current("desk", "main").unwrap(), Current::Broken(_)), "{}", folder.display());
    }
}

#[test]
fn what_is_refused_or_fails_leaves_no_folder() {
    let place = place();
    let run = place.run(1, &[line("a", "1", true)]);
    let how = Accept { run: &run, name: "main", force: false, compress: false, why: "test" };
    let refuse = |current: &Current, _: &[RunEntry]| {
        assert_eq!(*current, Current::None);
        Err(crate::error::Error::input("no"))
    };
    place.store.accept(how, refuse).unwrap_err();
    assert!(!place.store.baselines().exists());
}

#[test]
fn many_accepts_at_once_keep_every_line() {
    let place = place();
    let runs: Vec<PathBuf> = (0..12).map(|second| place.run(second, &[line("a", "1", true)])).collect();
    let accept = |run: &PathBuf| {
        let how = Accept { run, name: "main", force: false, compress: false, why: "test" };
        let review = |current: &Current, _: &[RunEntry]| {
            let worse = current.clone().run().map(|run| run.run_id).into_iter().collect();
            // Time for the others to come between.
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(Review { forced: false, worse })
        };
        place.store.accept(how, review).unwrap();
    };
    std::thread::scope(|scope| {
        for run in &runs {
            let accept = &accept;
            scope.spawn(move || (0..3).for_each(|_| accept(run)));
        }
    });
    let baseline = place.store.baseline("desk", "main").unwrap();
    assert_eq!((baseline.accepted.len(), baseline.entries.len()), (36, 12));
    // Each line replaces what the one before it accepted, was weighed against just that, and `current` is the last.
    for pair in baseline.accepted.windows(2) {
        let replaced = pair[1].replaced.as_ref().unwrap_or(&pair[1].run_id);
        assert_eq!(replaced, &pair[0].run_id);
        assert_eq!(pair[1].worse, [pair[0].run_id.clone()]);
    }
    assert_eq!(baseline.current.run().map(|run| run.run_id), baseline.accepted.last().map(|last| last.run_id.clone()));
}
