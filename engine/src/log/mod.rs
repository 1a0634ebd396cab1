//! An append-only log: a file of checksummed records that survives a killed process and power loss.
//!
//! One process owns a log at a time, by a lock on the file that the system releases when the process ends, however it ends.
//! Records are added to a buffer and handed to the system in one write ([`Log::flush`]); a background thread brings them to
//! the disk within a second. Others may read a log while it is written ([`LogReader`]).
//!
//! A crash can leave anything behind the last synced record: half a record, zeros, old blocks of the disk. Every record
//! carries a checksum under a key that is the file's own and over its own offset, so that nothing but what was appended
//! there ever passes as a record. Reading ends at the first record that does not hold its checksum; the next owner cuts the
//! file there. What a record means is the caller's.
//!
//! On Windows the owner's lock also keeps others from reading.

mod disk;
mod header;
mod records;
mod syncer;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use self::disk::Disk;
use self::header::Header;
pub use self::header::LONGEST;
pub use self::records::{LogReader, Records};
use self::records::{PREFIX, prefix};
use self::syncer::Syncer;
use crate::error::{Error, Result};
use crate::stand_in::check_file;

/// A buffer that grew beyond this is given back once it is written.
const KEPT_BUFFER: usize = 1 << 20;

/// A log that this process owns. Dropping it flushes, syncs and releases it; whoever must know whether that worked calls
/// [`Log::sync`] first.
pub struct Log {
    reader: LogReader,
    /// Behind the last record that was flushed.
    end: u64,
    /// Records that were not flushed yet.
    buffer: Vec<u8>,
    /// Bytes that were cut at opening.
    cut: u64,
    /// Started by the first flush.
    syncer: Option<Syncer>,
}

impl Log {
    /// Creates a log and owns it. `about` says what it holds, in whatever form the caller likes. File and folder entry are
    /// durable afterwards.
    ///
    /// # Errors
    /// The file exists already: kind `Input`, caused by an [`io::Error`] of kind `AlreadyExists`. It cannot be created or written,
    /// in which case nothing is left behind.
    pub fn create(path: &Path, about: &[u8]) -> Result<Self> {
        Self::create_with(OpenOptions::new(), path, about)
    }

    /// As [`Log::create`], under options that say who may read the file.
    ///
    /// # Errors
    /// Those of [`Log::create`].
    pub fn create_with(mut options: OpenOptions, path: &Path, about: &[u8]) -> Result<Self> {
        let failed = |e| Error::io("create", path, e);
        let (header, bytes) = Header::new(about)?;
        let file = options.read(true).write(true).create_new(true).open(path).map_err(failed)?;
        // Someone may have opened the file in the meantime, to find it empty and remove it.
        let locked = match lock(&file, path) {
            // Where the file system knows no locks, a log can be written, and nobody can tell when its owner is gone.
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(true),
            locked => locked,
        };
        let owned = locked.and_then(|locked| Ok(locked && is_at(&file, path)?));
        if !owned.inspect_err(|_| drop(std::fs::remove_file(path))).map_err(failed)? {
            return Err(failed(ErrorKind::AlreadyExists.into()));
        }
        let disk = Disk::new(file);
        let written = disk.write_at(&bytes, 0).and_then(|()| disk.sync_all()).map_err(failed);
        if let Err(error) = written.and_then(|()| sync_parent(path)) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        let end = bytes.len() as u64;
        Ok(Self::new(LogReader::new(path, Arc::new(header), Arc::new(disk)), end, 0))
    }

    /// Opens a log to go on with it; nothing where another process, or another `Log` of this one, owns it. A torn tail is cut.
    ///
    /// # Errors
    /// The file is not a log or its header is damaged: kind `Input`. A newer karat wrote it: kind `Newer`. It cannot be opened, read
    /// or cut.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        Self::open_with(path, &mut |_, _| ())
    }

    /// As [`Log::open`], and hands every record with its offset to `each`: the file is read once.
    ///
    /// # Errors
    /// Those of [`Log::open`].
    pub fn open_with(path: &Path, each: &mut dyn FnMut(u64, &[u8])) -> Result<Option<Self>> {
        let failed = |e| Error::io("open", path, e);
        check_file(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        if !lock(&file, path).map_err(failed)? {
            return Ok(None);
        }
        // Its former owner may have removed it before the lock came free.
        if !is_at(&file, path).map_err(failed)? {
            return Err(failed(ErrorKind::NotFound.into()));
        }
        let disk = Disk::new(file);
        let header = Header::read(&disk, path)?;
        let reader = LogReader::new(path, Arc::new(header), Arc::new(disk));
        let mut records = reader.records()?;
        while let Some((offset, payload)) = records.next_record()? {
            each(offset, payload);
        }
        let (end, length) = (records.offset(), reader.disk().length().map_err(failed)?);
        let cut = length.saturating_sub(end);
        if cut > 0 {
            let disk = reader.disk();
            disk.set_length(end).and_then(|()| disk.sync_all()).map_err(|e| Error::io("cut", path, e))?;
        }
        Ok(Some(Self::new(reader, end, cut)))
    }

    fn new(reader: LogReader, end: u64, cut: u64) -> Self {
        Self { reader, end, buffer: Vec::new(), cut, syncer: None }
    }

    /// Removes a log, whole or damaged; false where another process owns it.
    ///
    /// # Errors
    /// It cannot be opened or removed.
    pub fn remove(path: &Path) -> Result<bool> {
        let failed = |e| Error::io("remove", path, e);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        if !lock(&file, path).map_err(failed)? {
            return Ok(false);
        }
        // Gone already, or another file by now.
        if is_at(&file, path).map_err(failed)? {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(true)
    }

    /// Removes what a crash left of a log while it was created: without a whole header there is no record, and nothing is lost.
    /// Whether it did; a file of something else stays, as does a log that a process owns.
    ///
    /// # Errors
    /// It cannot be opened or removed.
    pub fn remove_incomplete(path: &Path) -> Result<bool> {
        if Self::is_owned(path)? {
            return Ok(false);
        }
        let disk = Disk::new(File::open(path).map_err(|e| Error::io("open", path, e))?);
        let torn = Header::read(&disk, path).is_err_and(|error| error.kind() == crate::error::Kind::Input);
        Ok(torn && header::may_be_begun(&disk, path)? && Self::remove(path)?)
    }

    /// Whether a process owns a log.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn is_owned(path: &Path) -> Result<bool> {
        let failed = |e| Error::io("open", path, e);
        // Shared, so that two who ask at once do not take each other for its owner; it is released with the file.
        match File::open(path).map_err(failed)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            // For all that can be told.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.reader.path()
    }

    /// What it was created with.
    pub fn about(&self) -> &[u8] {
        self.reader.about()
    }

    /// Bytes behind the last good record that were cut at opening.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Adds a record to the buffer and gives its offset. Nothing is written before [`Log::flush`].
    ///
    /// # Errors
    /// A record longer than [`LONGEST`]; an earlier sync that failed.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64> {
        self.check()?;
        let length = u32::try_from(payload.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| Error::input("the record is larger than 1 GiB").at(self.path()))?;
        let offset = self.end + self.buffer.len() as u64;
        self.buffer.reserve(PREFIX + payload.len());
        self.buffer.extend(prefix(self.reader.header(), offset, length, payload));
        self.buffer.extend(payload);
        Ok(offset)
    }

    /// Hands everything that was appended to the system, in one write. It survives the process from here on, and power loss
    /// within a second.
    ///
    /// # Errors
    /// The write failed (a full disk, say): the file ends where it ended before, the records stay in the buffer and the next call
    /// tries again. Or an earlier sync failed: what reached the disk is unknown then, and every later call fails too.
    pub fn flush(&mut self) -> Result<()> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let disk = self.reader.disk();
        if let Err(error) = disk.write_at(&self.buffer, self.end) {
            // Where this fails, too, the next write goes over what is there, or the next owner cuts it.
            let _ = disk.set_length(self.end);
            return Err(Error::io("write", self.path(), error));
        }
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        self.sync_soon()
    }

    /// Flushes, and waits until the disk has it.
    ///
    /// # Errors
    /// Those of [`Log::flush`]; the sync failed.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(syncer) = &self.syncer {
            syncer.forget();
        }
        self.sync_now()
    }

    /// All records that were flushed, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self) -> Result<Records> {
        self.reader.records()
    }

    /// A record that was flushed, by its offset.
    ///
    /// # Errors
    /// There is no whole record at this offset: kind `Input`. The file cannot be read.
    pub fn read(&self, offset: u64) -> Result<Vec<u8>> {
        self.reader.read(offset)
    }

    /// A reader of this log that other threads can use.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    fn sync_soon(&mut self) -> Result<()> {
        if self.syncer.is_none() {
            self.syncer = Syncer::start(self.reader.disk().clone());
        }
        match &self.syncer {
            Some(syncer) => syncer.written(),
            // No thread to be had: slower, and as safe.
            None => self.sync_now()?,
        }
        Ok(())
    }

    fn sync_now(&self) -> Result<()> {
        self.reader.disk().sync().map_err(|e| Error::io("sync", self.path(), e))
    }

    fn check(&self) -> Result<()> {
        self.reader.disk().check().map_err(|e| Error::io("sync", self.path(), e))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.flush();
        // It syncs what is left to sync, and ends.
        drop(self.syncer.take());
        // Readers may hold the file open for longer.
        self.reader.disk().unlock();
    }
}

/// Locks a file; false where another handle holds the lock.
fn lock(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(io::Error::new(error.kind(), format!("lock `{}`: {error}", path.display())))
        }
    }
}

/// Whether `path` still leads to this file, and not to none or to a newer one.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let here = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere the name of an open file is not given to another one.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Makes the name of a new file durable.
fn sync_parent(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder).map_err(|e| Error::io("sync", folder, e))
}

/// Makes the names in a folder durable, as far as the system can: some folders can be written and not read, and some file
/// systems know nothing of it.
///
/// # Errors
/// The disk failed.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix can open a folder; elsewhere the file system's own journal has to do.
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder).and_then(|file| file.sync_all()) {
        Err(e)
            if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::PermissionDenied | ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}
