//! Writing a run so that its final folder appears whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::dependence::Dependence;
use super::early::EarlyResults;
use super::files::{HashedFile, pretty};
use super::journal::{About, Journal, Key as JournalKey, Work, journal_path, resumable};
use super::prompts::FrontCoder;
use super::sort::{BUFFER_BYTES, ExternalSort};
use super::{
    Batch, FileEntry, Lines, MANIFEST, Manifest, PERFORMANCE, PROMPTS, Performance, RESULTS, RunId, SUMMARY, Summary,
    SummaryBuilder, check_name, order, sync_folder,
};
use crate::error::{Error, Kind, Result};
use crate::hash::sha256;

/// Bytes of sorted lines that are written at a time, and pieces that may wait.
const PIECE_BYTES: usize = 1 << 18;
const PIECES: usize = 4;

/// Takes in cases in any order, with bounded memory. Everything goes to `<runs>/<suite>/.<run-id>.partial`; dropping
/// the writer removes it. What is not to be lost with it stands in the run's journal, if it keeps one.
pub struct RunWriter {
    partial: Partial,
    journal: Option<Arc<Journal>>,
    /// The result file, as long as cases come in order.
    early: Option<EarlyResults>,
    /// What can only be written at the end.
    sort: ExternalSort,
    /// What was asked, once there is any of it.
    prompts: Option<ExternalSort>,
    limit: usize,
    summary: SummaryBuilder,
    run_id: RunId,
    target: PathBuf,
}

/// All cases are in and sorted; the other files and the commit are still to come.
pub struct SealedRun {
    partial: Partial,
    /// Removed once the run has its place.
    journal: Option<Arc<Journal>>,
    run_id: RunId,
    target: PathBuf,
    files: BTreeMap<String, FileEntry>,
    summary: Summary,
    /// Lines or summary say what became of answers.
    outcomes: bool,
}

/// A folder that vanishes with its owner unless it was committed.
struct Partial {
    path: PathBuf,
    committed: bool,
    /// Locked as long as the run goes on, where the file system can: what is left of a crash is told from work by it.
    _lock: Option<fs::File>,
}

impl Partial {
    fn new(path: PathBuf) -> Self {
        let lock = fs::File::open(&path).ok().filter(|folder| folder.try_lock().is_ok());
        Self { path, committed: false, _lock: lock }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing reads unfinished folders; what cannot be removed here does no harm.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl RunWriter {
    /// Reserves a folder for a run under `runs` (the folder that holds one folder per suite). Where the id is taken
    /// (the same plan ran within this second), the next of `-2`, `-3`, … is used: ask [`RunWriter::run_id`].
    pub fn create(runs: &Path, suite: &str, run_id: &RunId) -> Result<Self> {
        Self::with_buffer(runs, suite, run_id, BUFFER_BYTES)
    }

    /// As [`RunWriter::create`], for a run of which nothing that was computed may be lost: it begins a journal, of a manifest that
    /// gets the run's id.
    pub fn with_journal(runs: &Path, mut about: About) -> Result<Self> {
        check_name("suite name", &about.manifest.suite)?;
        let (folder, first) = (runs.join(&about.manifest.suite), about.manifest.run_id.clone());
        fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, e))?;
        // The names of new folders must survive what the journal survives.
        sync_folder(runs)?;
        sync_folder(super::folder(runs))?;
        for n in 1..1000 {
            let run_id = first.nth(n);
            let path = folder.join(format!(".{run_id}.partial"));
            let (target, journal) = (folder.join(run_id.as_str()), journal_path(&folder, &run_id));
            if target.exists() || path.exists() || journal.exists() {
                continue;
            }
            about.manifest.run_id = run_id.clone();
            // First of all: whatever a crash leaves behind is told from work by it.
            let journal = match Journal::create(&journal, about.clone()) {
                // Taken, or taken for what a crash left.
                Err(error) if error.kind() == Kind::Input => continue,
                created => Arc::new(created.map_err(hinted)?),
            };
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(unwritable(&path, e)),
            }
            let mut writer = Self::begin(Partial::new(path), run_id, target, BUFFER_BYTES)?;
            writer.journal = Some(journal);
            return Ok(writer);
        }
        Err(Error::input(format!("there is no free folder for run `{first}`")).at(&folder))
    }

    /// Goes on with an unfinished run, under its id.
    ///
    /// # Errors
    /// What its last process left behind cannot be cleared away.
    pub fn resume(runs: &Path, journal: Journal) -> Result<Self> {
        let (suite, run_id) = (&journal.about().manifest.suite, journal.about().manifest.run_id.clone());
        check_name("suite name", suite)?;
        let folder = runs.join(suite);
        let target = folder.join(run_id.as_str());
        if fs::read_dir(&target).map_or_else(|_| target.exists(), |mut listing| listing.next().is_some()) {
            let error = Error::input(format!("cannot resume run `{run_id}`: something is in its place")).at(&target);
            return Err(error.with_hint("move it away: it is no run"));
        }
        let path = folder.join(format!(".{run_id}.partial"));
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(&path, e)),
            _ => fs::create_dir(&path).map_err(|e| unwritable(&path, e))?,
        }
        let mut writer = Self::begin(Partial::new(path), run_id, target, BUFFER_BYTES)?;
        writer.journal = Some(Arc::new(journal));
        Ok(writer)
    }

    fn begin(partial: Partial, run_id: RunId, target: PathBuf, limit: usize) -> Result<Self> {
        let sort = ExternalSort::new(&partial.path, limit);
        let early = Some(EarlyResults::create(&partial.path.join(RESULTS))?);
        let (summary, prompts, journal) = (SummaryBuilder::default(), None, None);
        Ok(Self { partial, journal, early, sort, prompts, limit, summary, run_id, target })
    }

    fn with_buffer(runs: &Path, suite: &str, run_id: &RunId, limit: usize) -> Result<Self> {
        check_name("suite name", suite)?;
        let folder = runs.join(suite);
        fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, e))?;
        for n in 1..1000 {
            let run_id = run_id.nth(n);
            let target = folder.join(run_id.as_str());
            let path = folder.join(format!(".{run_id}.partial"));
            // First take the partial name, then look at the final one: whoever holds the former may create the latter.
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(unwritable(&path, e)),
            }
            let partial = Partial::new(path);
            // An unfinished run has its id too.
            if !target.exists() && !journal_path(&folder, &run_id).exists() {
                return Self::begin(partial, run_id, target, limit);
            }
        }
        Err(Error::input(format!("there is no free folder for run `{run_id}`")).at(&folder))
    }

    /// The id that this run got.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Its journal, if it keeps one.
    pub fn journal(&self) -> Option<Arc<Journal>> {
        self.journal.clone()
    }

    /// Takes in some cases. Where no answers are kept, their lines go to the journal first; cases that erred are tried again.
    pub fn push(&mut self, batch: Batch) -> Result<()> {
        if let Some(journal) = self.journal.as_ref().filter(|journal| !journal.about().keep_outputs) {
            for ((dataset, id), line) in batch.lines.entries().filter(|(_, line)| line.ends_with(NO_ERROR)) {
                journal.put(Work::Line, &JournalKey::of(Work::Line, &[dataset, id]), line)?;
            }
            journal.flush()?;
        }
        self.take_in(batch).map_err(hinted)
    }

    /// Takes in the lines that the journal of an interrupted run holds; how many there are.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn push_journalled(&mut self) -> Result<u64> {
        let Some(journal) = self.journal.clone() else { return Ok(0) };
        let (mut batch, mut count) = (Batch::default(), 0);
        for bytes in journal.lines() {
            let line = serde_json::from_slice(&bytes?);
            batch.push(line.map_err(|e| Error::internal("failed to read a line in the journal").caused_by(e))?)?;
            count += 1;
            if count % 1024 == 0 {
                self.take_in(std::mem::take(&mut batch)).map_err(hinted)?;
            }
        }
        self.take_in(batch).map_err(hinted)?;
        Ok(count)
    }

    fn take_in(&mut self, batch: Batch) -> Result<()> {
        let Batch { lines, prompts, summary } = batch;
        self.summary.merge(summary);
        if !prompts.is_empty() {
            let sort = || ExternalSort::new(&self.partial.path, self.limit);
            self.prompts.get_or_insert_with(sort).push(&prompts)?;
        }
        match self.early.take() {
            Some(mut early) if early.precedes(&lines) => {
                early.append(&lines)?;
                self.early = Some(early);
                return Ok(());
            }
            Some(early) => self.sort.add_written(early.take_back()?),
            None => {}
        }
        self.sort.push(&lines)
    }

    /// Brings the cases in order in `results.jsonl`, and adds them up.
    pub fn seal(self) -> Result<SealedRun> {
        self.sealed().map_err(hinted)
    }

    fn sealed(self) -> Result<SealedRun> {
        let Self { partial, journal, early, sort, prompts, limit: _, summary, run_id, target } = self;
        let entry = match early {
            Some(early) => early.finish()?,
            None => merge(sort, &partial.path.join(RESULTS), |line, piece| {
                piece.extend_from_slice(line);
                Ok(())
            })?,
        };
        let mut files = BTreeMap::from([(RESULTS.to_owned(), entry)]);
        if let Some(prompts) = prompts {
            let mut coder = FrontCoder::default();
            let entry = merge(prompts, &partial.path.join(PROMPTS), |line, piece| coder.code(line, piece))?;
            files.insert(PROMPTS.to_owned(), entry);
        }
        let (dependent, outcomes) = (summary.is_dependent(), summary.has_outcomes());
        let mut sealed = SealedRun { partial, journal, run_id, target, files, summary: summary.finish(), outcomes };
        if dependent {
            let mut dependence = Dependence::default();
            for line in sealed.lines()? {
                dependence.add(&line?);
            }
            dependence.apply(&mut sealed.summary);
        }
        Ok(sealed)
    }
}

/// How the line of a case without an error ends.
const NO_ERROR: &[u8] = b"\"error\":null}\n";
/// What to do where nothing can be written.
const ELSEWHERE: &str = "name a folder that can be written: --runs-dir FOLDER, or KARAT_RUNS_DIR";

/// A folder of runs that cannot be written is the environment's fault, whatever the system calls it.
fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::environment(format!("failed to create `{}`", path.display())).caused_by(error).with_hint(ELSEWHERE)
}

/// Where the environment fails while a run is recorded, as on a full disk, another folder may do.
fn hinted(error: Error) -> Error {
    if error.kind() == Kind::Environment && error.hint().is_none() { error.with_hint(ELSEWHERE) } else { error }
}

/// Writes what was sorted to the file, each line as `code` has it.
fn merge(
    sort: ExternalSort,
    path: &Path,
    mut code: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<FileEntry> {
    let file = HashedFile::create(path)?;
    std::thread::scope(|scope| {
        // In here, so that an error below closes the channel.
        let (sender, sorted) = sync_channel(PIECES);
        let entry = scope.spawn(move || write(sorted, file));
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let sorted = sort.finish(|line| {
            code(line, &mut piece)?;
            if piece.len() >= PIECE_BYTES {
                // Whoever writes stops only at an error, which is told below.
                let _ = sender.send(std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES)));
            }
            Ok(())
        });
        let _ = sender.send(piece);
        drop(sender);
        let entry = entry.join().map_err(|_| Error::internal("failed to write the cases: the thread panicked"))?;
        sorted.and(entry)
    })
}

fn write(pieces: Receiver<Vec<u8>>, mut file: HashedFile) -> Result<FileEntry> {
    pieces.iter().try_for_each(|piece| file.write(&piece))?;
    file.finish()
}

impl SealedRun {
    /// The id that this run got.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// The cases in order.
    pub(crate) fn lines(&self) -> Result<Lines> {
        Lines::open(&self.partial.path.join(RESULTS))
    }

    /// Adds a file.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.partial.path.join(name);
        let entry = HashedFile::create(&path).and_then(|mut file| file.write(bytes).and_then(|()| file.finish()));
        self.files.insert(name.to_owned(), entry.map_err(hinted)?);
        Ok(())
    }

    /// Writes summary, performance and manifest, makes everything durable and gives the folder its final name. Run id
    /// and file hashes of the manifest are filled in here. Returns the run folder.
    ///
    /// # Errors
    /// A folder that cannot be written: no run folder is left, but where the hint says so.
    pub fn commit(self, manifest: Manifest, performance: &Performance) -> Result<PathBuf> {
        let journal = self.journal.clone();
        self.committed(manifest, performance).map_err(|error| match journal {
            Some(journal) if !journal.is_gone() => resumable(error),
            _ => error,
        })
    }

    fn committed(mut self, mut manifest: Manifest, performance: &Performance) -> Result<PathBuf> {
        let summary = pretty(&self.summary)?;
        self.write(SUMMARY, &summary)?;
        self.write(PERFORMANCE, &pretty(performance)?)?;
        manifest.run_id = self.run_id.clone();
        manifest.files = std::mem::take(&mut self.files);
        manifest.settle_format(self.outcomes);
        let bytes = manifest.to_bytes()?;
        let manifest_sha256 = sha256(&bytes);
        self.write(MANIFEST, &bytes)?;
        sync_folder(&self.partial.path).map_err(hinted)?;
        if let Some(parent) = self.target.parent() {
            order::append(parent, &self.run_id, &manifest_sha256).map_err(|e| {
                let error = Error::environment(format!(
                    "failed to note in which order runs of {} were recorded",
                    parent.display()
                ));
                error.caused_by(e).with_hint(ELSEWHERE)
            })?;
        }
        fs::rename(&self.partial.path, &self.target).map_err(|e| unwritable(&self.target, e))?;
        self.partial.committed = true;
        if let Some(parent) = self.target.parent() {
            sync_folder(parent).map_err(|e| {
                e.with_hint(format!(
                    "the run is recorded in {}; a power cut might still lose it",
                    self.target.display()
                ))
            })?;
            // Those above may be new.
            let runs = super::folder(parent);
            [runs, super::folder(runs)].into_iter().for_each(|above| drop(sync_folder(above)));
        }
        if let Some(journal) = &self.journal {
            // Who reads the folder next clears away what cannot be removed now.
            let _ = journal.remove();
        }
        Ok(self.target)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::line::tests::line;
    use crate::record::{ResultLine, RunReader, Selected};
    use serde_json::json;

    /// Writes a run of these lines under `runs` and returns its folder; `complete` says whether the plan selected no
    /// more.
    pub(crate) fn saved(runs: &Path, second: u32, lines: &[ResultLine]) -> PathBuf {
        let time = format!("2026-11-20T11:00:{second:02}Z").parse().unwrap();
        let plan = json!({"generation": {"seed": 0}});
        let mut writer = RunWriter::create(runs, "desk", &RunId::new(time, &plan)).unwrap();
        let mut manifest = Manifest::new("desk", writer.run_id().clone(), time, plan);
        for line in lines {
            let selected = Selected { kind: line.kind, cases: 0, partial: false };
            manifest.selected.entry(line.dataset.clone()).or_insert(selected).cases += 1;
            writer.push(batch([line])).unwrap();
        }
        writer.seal().unwrap().commit(manifest, &Performance::default()).unwrap()
    }

    fn batch<'a>(lines: impl IntoIterator<Item = &'a ResultLine>) -> Batch {
        let mut batch = Batch::default();
        lines.into_iter().for_each(|line| batch.push(line.clone()).unwrap());
        batch
    }

    #[test]
    fn a_run_comes_back_sorted_and_equal() {
        let runs = tempfile::tempdir().unwrap();
        let cases = [line("b", "1", true), line("a", "2", false), line("a", "10", true)];
        let one = saved(runs.path(), 1, &cases);
        let reader = RunReader::open(&one).unwrap();
        let ids: Vec<_> = reader.lines().unwrap().map(|line| line.unwrap().id).collect();
        assert_eq!(ids, ["10", "2", "1"]);
        assert_eq!(reader.summary().unwrap().totals.passed, 2);
        assert!(reader.manifest().missing(&reader.summary().unwrap()).is_empty());
        let names: Vec<_> = reader.manifest().files.keys().cloned().collect();
        assert_eq!(names, [PERFORMANCE, RESULTS, SUMMARY]);
        // Another order and another time: the same bytes.
        let other = saved(runs.path(), 2, &[cases[2].clone(), cases[0].clone(), cases[1].clone()]);
        assert_ne!(one, other);
        let bytes = |folder: &Path, name| fs::read(folder.join(name)).unwrap();
        assert_eq!(bytes(&one, RESULTS), bytes(&other, RESULTS));
        assert_eq!(bytes(&one, SUMMARY), bytes(&other, SUMMARY));
    }

    #[test]
    fn results_do_not_depend_on_the_order_of_cases() {
        let runs = tempfile::tempdir().unwrap();
        let cases: Vec<_> =
            (0..60).map(|n| line(if n < 20 { "a" } else { "b\u{e9}" }, &format!("{n:02}\""), n % 3 > 0)).collect();
        let written = |limit: usize, size: usize, swapped: &[(usize, usize)]| {
            let mut cases = cases.clone();
            swapped.iter().for_each(|(one, two)| cases.swap(*one, *two));
            let id = RunId::parse("r1").unwrap();
            let mut writer = RunWriter::with_buffer(runs.path(), "desk", &id, limit).unwrap();
            for some in cases.chunks(size) {
                writer.push(batch(some)).unwrap();
            }
            let early = writer.early.is_some();
            let sealed = writer.seal().unwrap();
            let bytes = fs::read(sealed.partial.path.join(RESULTS)).unwrap();
            assert_eq!(fs::read_dir(&sealed.partial.path).unwrap().count(), 1);
            ((bytes, sealed.summary.clone(), sealed.files.clone()), early)
        };
        let (expected, early) = written(1 << 20, 60, &[]);
        assert!(early);
        for size in [1, 7, 60] {
            assert_eq!(written(1000, size, &[]), (expected.clone(), true));
            // In the first batch, later, and at the end; with spills and without.
            for swapped in [(0, 1), (3, 50), (58, 59)] {
                for limit in [1000, 1 << 20] {
                    assert_eq!(written(limit, size, &[swapped]), (expected.clone(), false));
                }
            }
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let runs = tempfile::tempdir().unwrap();
        let id = RunId::parse("r1").unwrap();
        let mut bad = line("a", "1", true);
        bad.scores.get_mut("match").unwrap().value = f64::NAN;
        assert!(Batch::default().push(bad).is_err());
        let mut writer = RunWriter::create(runs.path(), "desk", &id).unwrap();
        writer.push(batch([&line("a", "1", true)])).unwrap();
        writer.push(batch([&line("a", "1", true)])).unwrap();
        assert!(writer.seal().is_err());
        drop(RunWriter::create(runs.path(), "desk", &id).unwrap().seal().unwrap());
        assert_eq!(fs::read_dir(runs.path().join("desk")).unwrap().count(), 0);
        assert!(RunWriter::create(runs.path(), "../desk", &id).is_err());
    }

    #[test]
    fn equal_ids_get_numbers() {
        let runs = tempfile::tempdir().unwrap();
        let id = RunId::parse("r").unwrap();
        let open = RunWriter::create(runs.path(), "desk", &id).unwrap();
        let second = RunWriter::create(runs.path(), "desk", &id).unwrap();
        assert_eq!((open.run_id().as_str(), second.run_id().as_str()), ("r", "r-2"));
        let one = saved(runs.path(), 1, &[line("a", "1", true)]);
        let two = saved(runs.path(), 1, &[line("a", "1", true)]);
        assert_eq!(two, PathBuf::from(format!("{}-2", one.display())));
        assert_eq!(
            RunReader::open(&two).unwrap().manifest().run_id.as_str(),
            two.file_name().unwrap().to_str().unwrap()
        );
    }
}
