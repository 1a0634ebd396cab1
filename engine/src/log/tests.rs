//! What a log keeps, whatever a crash leaves of its file.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

/// A folder with a place for a log.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    (folder, path)
}

fn filled(path: &Path, payloads: &[Vec<u8>]) -> Vec<u64> {
    let mut log = Log::create(path, b"about").unwrap();
    let offsets = payloads.iter().map(|payload| log.append(payload).unwrap()).collect();
    log.sync().unwrap();
    offsets
}

fn payloads_of(records: Records) -> Vec<Vec<u8>> {
    records.map(|record| record.unwrap().1).collect()
}

fn small() -> Vec<Vec<u8>> {
    vec![b"one".to_vec(), Vec::new(), vec![7; 40], b"four".to_vec()]
}

#[test]
fn what_was_appended_is_read() {
    let (_folder, path) = place();
    let offsets = filled(&path, &small());
    let mut seen = Vec::new();
    let mut log = Log::open_with(&path, &mut |offset, payload| seen.push((offset, payload.to_vec()))).unwrap().unwrap();
    assert_eq!(seen, offsets.iter().copied().zip(small()).collect::<Vec<_>>());
    assert_eq!((log.about(), log.cut(), log.path()), (b"about".as_slice(), 0, path.as_path()));
    let fifth = log.append(b"five").unwrap();
    assert!(log.read(fifth).is_err(), "not flushed yet");
    log.flush().unwrap();
    assert_eq!(log.read(fifth).unwrap(), b"five");
    assert_eq!(log.read(offsets[2]).unwrap(), vec![7; 40]);
    assert_eq!(payloads_of(log.records().unwrap()), [small(), vec![b"five".to_vec()]].concat());
    for wrong in [0, 1, offsets[1] + 1, fifth + 1, fifth + 1000, u64::MAX - 3] {
        assert_eq!(log.read(wrong).unwrap_err().kind(), Kind::Input, "{wrong}");
    }
}

#[test]
fn records_larger_than_a_piece_are_read() {
    let (_folder, path) = place();
    let payloads: Vec<Vec<u8>> =
        [3 << 20, 5, (1 << 20) - PREFIX, 1 << 20, 0, 9].iter().map(|n| vec![*n as u8; *n]).collect();
    let offsets = filled(&path, &payloads);
    let log = Log::open(&path).unwrap().unwrap();
    assert_eq!(payloads_of(log.records().unwrap()), payloads);
    assert_eq!(log.read(offsets[0]).unwrap(), payloads[0]);
}

#[test]
fn every_length_of_the_file_gives_a_prefix_that_goes_on() {
    let (_folder, path) = place();
    let offsets = filled(&path, &small());
    let whole = std::fs::read(&path).unwrap();
    let header = offsets[0] as usize;
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        if length < header {
            assert_eq!(Log::open(&path).err().unwrap().kind(), Kind::Input, "{length}");
            assert_eq!(LogReader::open(&path).err().unwrap().kind(), Kind::Input, "{length}");
            continue;
        }
        let ends = offsets[1..].iter().map(|offset| *offset as usize).chain([whole.len()]);
        let good = ends.filter(|end| *end <= length).count();
        assert_eq!(payloads_of(LogReader::open(&path).unwrap().records().unwrap()), small()[..good], "{length}");
        let mut log = Log::open(&path).unwrap().unwrap();
        let end = if good == small().len() { whole.len() } else { offsets[good] as usize };
        assert_eq!(log.cut() as usize, length - end);
        log.append(b"later").unwrap();
        log.sync().unwrap();
        drop(log);
        let expected = [&small()[..good], &[b"later".to_vec()]].concat();
        let log = Log::open(&path).unwrap().unwrap();
        assert_eq!((log.cut(), payloads_of(log.records().unwrap())), (0, expected), "{length}");
    }
}

#[test]
fn flipped_bits_never_give_a_wrong_record() {
    let (_folder, path) = place();
    let offsets = filled(&path, &small());
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            let Ok(reader) = LogReader::open(&path) else {
                assert!(at < offsets[0] as usize, "byte {at} is not of the header");
                continue;
            };
            assert!(at >= offsets[0] as usize, "byte {at} of the header was not missed");
            let hurt = offsets.iter().filter(|offset| **offset as usize <= at).count() - 1;
            assert_eq!(payloads_of(reader.records().unwrap()), small()[..hurt], "byte {at}");
            for (i, offset) in offsets.iter().enumerate() {
                let read = reader.read(*offset);
                assert_eq!(read.ok(), (i != hurt).then(|| small()[i].clone()), "byte {at}, record {i}");
            }
        }
    }
}

#[test]
fn zeros_and_records_from_elsewhere_are_cut() {
    let (folder, path) = place();
    let offsets = filled(&path, &small());
    let whole = std::fs::read(&path).unwrap();
    // Another log of the same header and length, and records of this one at another offset.
    let other = folder.path().join("b.log");
    filled(&other, &small());
    let foreign = std::fs::read(&other).unwrap();
    let (from, to) = (offsets[3] as usize, offsets[2] as usize);
    let tails = [
        (whole.len(), vec![0; 5000]),
        (from, vec![0; 16]),
        (from, foreign[from..].to_vec()),
        (to, whole[from..].to_vec()),
        (whole.len(), whole[from..].to_vec()),
        (whole.len(), vec![0xff; 100]),
    ];
    for (end, tail) in tails {
        std::fs::write(&path, [&whole[..end], &tail].concat()).unwrap();
        let good = offsets.iter().filter(|offset| (**offset as usize) < end).count();
        let log = Log::open(&path).unwrap().unwrap();
        assert_eq!((log.cut() as usize, payloads_of(log.records().unwrap())), (tail.len(), small()[..good].to_vec()));
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, end);
    }
}

#[test]
fn a_log_has_one_owner() {
    let (_folder, path) = place();
    let log = Log::create(&path, b"").unwrap();
    assert!(Log::open(&path).unwrap().is_none());
    assert!(!Log::remove(&path).unwrap());
    let again = Log::create(&path, b"").err().unwrap();
    let cause = std::error::Error::source(&again).and_then(|e| e.downcast_ref::<io::Error>()).unwrap();
    assert_eq!((again.kind(), cause.kind()), (Kind::Input, ErrorKind::AlreadyExists));
    // Readers and records that live longer hold nothing back.
    let (reader, records) = (log.reader(), log.records().unwrap());
    drop(log);
    assert!(Log::open(&path).unwrap().is_some());
    drop((reader, records));
    assert!(Log::remove(&path).unwrap());
    assert_eq!(Log::open(&path).err().unwrap().kind(), Kind::Input);
}

#[test]
fn what_is_no_log_is_left_alone() {
    let (_folder, path) = place();
    std::fs::write(&path, "{\"some\": \"json\"}\n").unwrap();
    let error = Log::open(&path).err().unwrap();
    assert!(error.kind() == Kind::Input && error.to_string().contains("not a log of karat"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"{\"some\": \"json\"}\n");
    std::fs::write(&path, [b"karatlog".as_slice(), &2u32.to_le_bytes(), &[0; 64]].concat()).unwrap();
    assert_eq!(Log::open(&path).err().unwrap().kind(), Kind::Newer);
}

#[test]
fn a_reader_sees_what_was_flushed() {
    let (_folder, path) = place();
    let mut log = Log::create(&path, b"x").unwrap();
    let reader = LogReader::open(&path).unwrap();
    assert_eq!((reader.about(), payloads_of(reader.records().unwrap()).len()), (b"x".as_slice(), 0));
    let mut known = Vec::new();
    for payload in small() {
        let offset = log.append(&payload).unwrap();
        assert_eq!(payloads_of(reader.records().unwrap()), known);
        log.flush().unwrap();
        known.push(payload.clone());
        assert_eq!(payloads_of(reader.records().unwrap()), known);
        assert_eq!(reader.read(offset).unwrap(), payload);
    }
}

#[test]
fn a_failed_write_loses_nothing() {
    let (_folder, path) = place();
    let mut log = Log::create(&path, b"").unwrap();
    log.append(b"one").unwrap();
    log.flush().unwrap();
    let good = log.reader.clone();
    // The same file, in a handle that cannot write.
    log.reader = LogReader::open(&path).unwrap();
    let second = log.append(b"two").unwrap();
    assert_eq!(log.flush().unwrap_err().kind(), Kind::Environment);
    log.reader = good;
    // Half of the write arrived.
    log.reader.disk().write_at(&[9; 5], second).unwrap();
    log.append(b"three").unwrap();
    log.flush().unwrap();
    assert_eq!(log.read(second).unwrap(), b"two");
    drop(log);
    let log = Log::open(&path).unwrap().unwrap();
    let expected = vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    assert_eq!((log.cut(), payloads_of(log.records().unwrap())), (0, expected));
}

#[test]
fn threads_that_want_one_log_get_it_once() {
    let (_folder, path) = place();
    for _ in 0..20 {
        let won = std::thread::scope(|scope| {
            let work =
                |_| scope.spawn(|| Log::create(&path, b"").or_else(|_| Log::open(&path)?.ok_or(Error::input("x"))));
            let threads: Vec<_> = (0..4).map(work).collect();
            let logs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            logs.iter().filter(|log| log.is_ok()).count()
        });
        assert!(won <= 1, "{won} owners");
        assert!(Log::remove(&path).unwrap());
    }
}

proptest! {
    // Each case waits for the disk several times.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cuts_and_appends_in_any_order(
        rounds in prop::collection::vec((prop::collection::vec(0usize..3000, 0..8), any::<prop::sample::Index>()), 1..6),
    ) {
        let (_folder, path) = place();
        let mut expected: Vec<(u64, Vec<u8>)> = Vec::new();
        let first = Log::create(&path, b"any").unwrap().reader().records().unwrap().offset();
        for (round, (sizes, cut)) in rounds.into_iter().enumerate() {
            let mut log = Log::open(&path).unwrap().unwrap();
            for size in sizes {
                let payload = vec![round as u8; size];
                expected.push((log.append(&payload).unwrap(), payload));
                if size % 3 == 0 {
                    log.flush().unwrap();
                }
            }
            log.flush().unwrap();
            drop(log);
            let length = std::fs::metadata(&path).unwrap().len();
            let kept = first + cut.index((length - first + 1) as usize) as u64;
            OpenOptions::new().write(true).open(&path).unwrap().set_len(kept).unwrap();
            expected.retain(|(offset, payload)| offset + (PREFIX + payload.len()) as u64 <= kept);
            let found: Vec<_> = LogReader::open(&path).unwrap().records().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(&found, &expected);
        }
    }
}
