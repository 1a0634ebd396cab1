//! The file of a log: reads and writes at offsets, and syncs whose failure is never forgotten.
//!
//! After a failed sync the system may drop the unwritten pages and report success the next time: the first failure is kept
//! and given to everyone who asks from then on. It does not know what the bytes mean.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// An open file.
pub(super) struct Disk {
    file: File,
    /// Whether `failure` is set, for those who cannot wait for a sync in progress.
    failed: AtomicBool,
    /// The first sync that failed. Held during a sync: the system tells of a failure once, and to one caller only.
    failure: Mutex<Option<io::Error>>,
}

impl Disk {
    pub(super) fn new(file: File) -> Self {
        Self { file, failed: AtomicBool::new(false), failure: Mutex::new(None) }
    }

    /// Length of the file in bytes.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Fills as much of `buffer` as the file has; gives the number of bytes.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match read_some(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Writes all bytes: one call of the system, unless it takes fewer than all.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match write_some(&self.file, &bytes[written..], offset + written as u64) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the disk has contents and length.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.sync_with(File::sync_data)
    }

    /// Waits until the disk has everything about the file.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.sync_with(File::sync_all)
    }

    fn sync_with(&self, sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &*failure {
            return Err(again(failure));
        }
        sync(&self.file).inspect_err(|error| {
            *failure = Some(again(error));
            self.failed.store(true, Ordering::Release);
        })
    }

    /// The failure of an earlier sync, if there was one; does not wait for one that is in progress.
    pub(super) fn check(&self) -> io::Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |failure| Err(again(failure)))
    }

    /// Lets others own the file.
    pub(super) fn unlock(&self) {
        // Where this fails, closing the file does it.
        let _ = self.file.unlock();
    }
}

/// A copy of an error.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_some(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
fn write_some(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_is_never_forgotten() {
        let disk = Disk::new(tempfile::tempfile().unwrap());
        disk.write_at(b"abc", 2).unwrap();
        disk.sync().unwrap();
        disk.check().unwrap();
        assert!(disk.sync_with(|_| Err(io::Error::from_raw_os_error(5))).is_err());
        assert_eq!(disk.check().unwrap_err().raw_os_error(), Some(5));
        // The system would say that all is well now.
        assert_eq!(disk.sync().unwrap_err().raw_os_error(), Some(5));
        let mut buffer = [7; 9];
        assert_eq!((disk.read_at(&mut buffer, 1).unwrap(), &buffer[..4]), (4, b"\0abc".as_slice()));
    }
}
