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
        self.store.accept(Accept { run, name, force: false, compress: false, why: None })
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
    assert_eq!(baseline.current.map(|entry| entry.run_id), Some(id(&two)));
    assert_eq!(place.store.current("desk", "main").unwrap(), Some(next.folder));
    assert_eq!(place.store.current("desk", "other").unwrap(), None);
    // Nothing unfinished is left, and git is told to leave line ends alone.
    assert_eq!(fs::read_dir(place.folder.path().join("baselines/desk/main")).unwrap().count(), 4);
    assert!(place.folder.path().join("baselines/.gitattributes").is_file());
}

#[test]
fn compressed_entries_read_as_before() {
    let place = place();
    let lines: Vec<_> = (0..50).map(|i| line("a", &format!("{i:02}"), i % 3 > 0)).collect();
    let run = place.run(1, &lines);
    let how = Accept { run: &run, name: "main", force: false, compress: true, why: None };
    let entry = place.store.accept(how).unwrap().folder;
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
    assert!(error.fragment().ends_with(": of 2 cases 1 errored and 0 are missing"), "{error}");
    assert!(error.hint().unwrap().contains("--force"));
    assert!(place.accept(&place.run(2, &[]), "main").is_err());
    assert!(place.accept(&errored, "../main").is_err());
    assert_eq!(place.store.list_baselines(None).unwrap(), []);
    // Files that were not committed: nobody else could make this run again.
    let dirty = place.run(5, &[line("a", "1", true)]);
    let text = fs::read_to_string(dirty.join(crate::record::MANIFEST)).unwrap();
    let text = text.replace("\"git_commit\": null,", "\"git_commit\": \"abc\",\n  \"git_dirty\": true,");
    fs::write(dirty.join(crate::record::MANIFEST), text).unwrap();
    let error = place.accept(&dirty, "main").unwrap_err();
    assert!(error.fragment().ends_with("were not committed when it ran"), "{error}");
    place
        .store
        .accept(Accept { run: &errored, name: "main", force: true, compress: false, why: Some("a known gap") })
        .unwrap();

    let baseline = place.store.baseline("desk", "main").unwrap();
    let last = baseline.accepted.last().unwrap();
    assert_eq!((last.forced, last.why.as_deref(), last.replaced.as_deref()), (true, Some("a known gap"), None));
    assert_eq!(last.run_id, id(&errored));

    // The same id with other content.
    let other = super::tests::place();
    let same_id = other.run(1, &[line("a", "9", true)]);
    assert_eq!(id(&same_id), id(&errored));
    let error = place.accept(&same_id, "main").unwrap_err();
    assert!(error.fragment().ends_with("the baseline holds another run of that id"), "{error}");

    // A changed run, and a changed entry.
    fs::write(same_id.join(RESULTS), "").unwrap();
    assert!(place.accept(&same_id, "fresh").is_err());
    let entry = place.store.current("desk", "main").unwrap().unwrap();
    fs::write(entry.join(RESULTS), "").unwrap();
    let error = place
        .store
        .accept(Accept { run: &errored, name: "main", force: true, compress: false, why: Some("a known gap") })
        .unwrap_err();
    assert_eq!(error.fragment(), "verify the baseline entry that is there");
}

#[test]
fn references() {
    let place = place();
    let lines = [line("a", "1", true)];
    let (one, two) = (place.run(1, &lines), place.run(2, &lines));
    let entry = place.accept(&one, "main").unwrap().folder;
    fs::create_dir_all(place.store.runs().join("desk/.99999999T000000Z-000000.partial")).unwrap();
    let store = &place.store;
    let find = |reference: &str| store.resolve(Some("desk"), reference);
    assert_eq!(find(one.to_str().unwrap()).unwrap(), one);
    assert_eq!(find(place.folder.path().join("baselines/desk/main").to_str().unwrap()).unwrap(), entry);
    assert_eq!(find("latest").unwrap(), two);
    assert_eq!(find("main").unwrap(), entry);
    assert_eq!(find("baseline:main").unwrap(), entry);
    assert_eq!(find(&id(&one)).unwrap(), one);
    assert_eq!(find(&id(&two)[..16]).unwrap(), two);
    assert_eq!(store.resolve(None, "main").unwrap(), entry);
    let error = find("20261120T").unwrap_err();
    assert!(error.fragment().starts_with("tell which run `20261120T` is meant: `20261120T110001Z-"), "{error}");
    let fails = |reference| {
        let error = find(reference).unwrap_err();
        format!("{}; {}", error.fragment(), error.hint().unwrap_or("-"))
    };
    assert_eq!(fails("mian"), "find the run or baseline `mian`; did you mean `main`?");
    assert_eq!(fails("baseline:mian"), "find the baseline `mian`; did you mean `main`?");
    assert_eq!(fails("lates"), "find the run or baseline `lates`; did you mean `latest`?");
    let error = store.baseline("desk", "mein").unwrap_err();
    assert_eq!(error.hint(), Some("did you mean `main`?"));
    // Once the run itself is gone, its baseline entry still goes by the id.
    fs::remove_dir_all(&one).unwrap();
    assert_eq!(find(&id(&one)).unwrap(), entry);
    fs::remove_dir_all(&entry).unwrap();
    assert!(find("main").unwrap_err().fragment().ends_with(", the accepted one"));
}

#[test]
fn an_empty_store_says_so() {
    let place = place();
    let find = |reference| place.store.resolve(None, reference).unwrap_err().hint().map(str::to_owned);
    assert_eq!(find("latest").as_deref(), Some("`karat run` makes one"));
    assert!(find("baseline:main").unwrap().contains("baseline accept"));
    assert_eq!(place.store.list_runs(None).unwrap(), []);
    assert_eq!(place.store.list_runs(Some("desk")).unwrap(), []);
    assert!(place.store.list_runs(Some("../x")).is_err());
}
