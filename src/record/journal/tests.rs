//! Journals: what is there again after a crash, and what is not.

use super::*;
use crate::record::tests_support::{line, saved};
use crate::record::{prune, unfinished};
use serde_json::json;

fn about(id: &str) -> About {
    let time = "2026-11-20T11:00:00Z".parse().unwrap();
    About::new(Manifest::new("desk", RunId::parse(id).unwrap(), time, json!({"a": 1})), true)
}

fn path(folder: &Path, id: &str) -> PathBuf {
    journal_path(folder, &RunId::parse(id).unwrap())
}

fn create(folder: &Path, id: &str) -> Result<Journal> {
    Journal::create(&path(folder, id), about(id))
}

fn resumed(folder: &Path, id: &str) -> Option<Journal> {
    Journal::resume(&path(folder, id)).unwrap()
}

#[test]
fn what_was_flushed_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = create(folder.path(), "r1").unwrap();
    let key = |id: &str| Key::of_case(Work::Answer, ("d", id, 0));
    let models = Models { fingerprint: [("a".into(), "b".into())].into(), hashes: BTreeMap::new() };
    journal.put_models(&models).unwrap();
    journal.put(Work::Answer, &key("1"), b"one").unwrap();
    journal.put(Work::Line, &Key::of_case(Work::Line, ("d", "1", 0)), b"line").unwrap();
    journal.flush().unwrap();
    assert!(resumed(folder.path(), "r1").is_none(), "it has an owner");
    assert!(create(folder.path(), "r1").is_err());
    let listed = unfinished(folder.path()).unwrap();
    assert_eq!((listed.len(), listed[0].running, listed[0].finished), (1, true, 2));
    assert!(!prune(folder.path(), &listed[0]).unwrap(), "it has an owner");
    drop(journal);
    let journal = resumed(folder.path(), "r1").unwrap();
    assert_eq!((journal.about(), journal.models.as_ref(), journal.finished()), (&about("r1"), Some(&models), 2));
    assert_eq!(journal.find(&key("1")).unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!((journal.find(&key("2")).unwrap(), journal.knows(&key("1"))), (None, true));
    assert_eq!(journal.lines().collect::<Result<Vec<_>>>().unwrap(), [b"line"]);
    drop(journal);
    assert!(prune(folder.path(), &unfinished(folder.path()).unwrap()[0]).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Of recorded answers only what encoders make of them is computed: no case is finished by it, and it is not to be lost.
#[test]
fn encoded_texts_alone_keep_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    drop(Log::create(&path(folder.path(), "r1"), &serde_json::to_vec(&about("r1")).unwrap()).unwrap());
    for _ in 0..2 {
        let journal = resumed(folder.path(), "r1").expect("nobody has it");
        journal.put(Work::Encoded, &Key::of(Work::Encoded, &[b"embedder", b"text"]), b"1234").unwrap();
        journal.flush().unwrap();
        drop(journal);
        let listed = unfinished(folder.path()).unwrap();
        assert_eq!((listed[0].finished, listed[0].computed), (0, 1));
    }
}

#[test]
fn only_what_is_written_counts() {
    let folder = tempfile::tempdir().unwrap();
    let journal = create(folder.path(), "r1").unwrap();
    journal.put(Work::Answer, &Key::of(Work::Answer, &[]), b"one").unwrap();
    assert!(journal.is_empty() && journal.finished() == 0);
    journal.flush().unwrap();
    assert!(!journal.is_empty() && journal.finished() == 1);
}

#[test]
fn a_journal_without_a_finished_case_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let journal = create(folder.path(), "r1").unwrap();
    journal.put_models(&Models { fingerprint: BTreeMap::new(), hashes: BTreeMap::new() }).unwrap();
    drop(journal);
    assert!(unfinished(folder.path()).unwrap().is_empty());
    // One of a run that has its place was left by a crash.
    let journal = create(folder.path(), "r2").unwrap();
    journal.put(Work::Answer, &Key::of(Work::Answer, &[]), b"").unwrap();
    drop(journal);
    fs::create_dir(folder.path().join("r2")).unwrap();
    assert_eq!(unfinished(folder.path()).unwrap().len(), 1, "a folder is no run");
    fs::write(folder.path().join("r2/manifest.json"), "{}").unwrap();
    assert_eq!(unfinished(folder.path()).unwrap().len(), 1, "nor is this");
    let runs = tempfile::tempdir().unwrap();
    let whole = saved(runs.path(), 2, &[line("a", "1", true)]);
    fs::remove_dir_all(folder.path().join("r2")).unwrap();
    fs::rename(whole, folder.path().join("r2")).unwrap();
    assert!(unfinished(folder.path()).unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    let key = |dataset: &str, id: &str| Key::of_case(Work::Answer, (dataset, id, 0));
    assert_ne!(key("ab", "c"), key("a", "bc"));
    assert_ne!(key("a", "b"), Key::of_case(Work::Line, ("a", "b", 0)));
}

#[test]
fn a_journal_of_another_version_says_so() {
    let folder = tempfile::tempdir().unwrap();
    drop(Log::create(&path(folder.path(), "r1"), b"{\"format\":\"karat-journal/9\"}").unwrap());
    let error = Journal::<About>::resume(&path(folder.path(), "r1")).err().unwrap();
    assert!(error.kind() == Kind::Newer && error.hint().unwrap().contains("another version"));
    assert!(unfinished(folder.path()).unwrap()[0].about.is_err());
}
