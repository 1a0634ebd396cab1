//! Input that may keep its reader waiting: standard input, pipes, terminals.
//!
//! read(2) cannot be called off by a signal that only sets a flag. A thread of its own reads, and is left behind where it
//! waits at the end; the one who wants the bytes waits for them in short turns and asks in between whether to go on. A
//! regular file never waits, and is read as it is.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::signals::Signals;
use crate::error::{Error, Result};
use crate::stand_in::{DEVICE, no_file};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 16;
/// Chunks that wait for the reader.
const AHEAD: usize = 4;
/// How long the reader waits before it asks whether to go on.
const TURN: Duration = Duration::from_millis(50);

/// An open input.
pub enum Input {
    /// A regular file, which can be read twice.
    File(File),
    /// Everything else.
    Stream(Stream),
}

impl Input {
    /// Opens a file, or standard input for `-`. A pipe that nobody has opened for writing is waited for.
    ///
    /// # Errors
    /// It cannot be opened, or what `signals` say while it is waited for.
    pub fn open(path: &Path, signals: &Signals) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stream(Stream::start(|| Ok(std::io::stdin()), signals)));
        }
        // A folder is opened here too, and fails with the system's own words.
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() || metadata.is_dir()) {
            return File::open(path).map(Self::File).map_err(|e| Error::io("open", path, e));
        }
        refuse_endless(path)?;
        let of_thread = path.to_owned();
        let mut stream = Stream::start(move || File::open(of_thread), signals);
        stream.opened().map_err(|e| Error::io("open", path, e))?;
        Ok(Self::Stream(stream))
    }

    /// What it is called in messages.
    pub fn name(path: &Path) -> PathBuf {
        if path.as_os_str() == "-" { "<stdin>".into() } else { path.into() }
    }

    /// As a reader.
    pub fn reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => Box::new(stream),
        }
    }
}

/// Holds that a device is one that lines come from: most others never end, and what is read twice would fill the disk.
fn refuse_endless(path: &Path) -> Result<()> {
    let ends = || {
        let null = std::fs::canonicalize(path).is_ok_and(|place| place == Path::new("/dev/null"));
        null || File::open(path).is_ok_and(|device| device.is_terminal())
    };
    if no_file(path) != Some(DEVICE) || ends() {
        return Ok(());
    }
    Err(Error::input(format!("`{}` is {DEVICE}", path.display()))
        .with_hint("give a file, a pipe, or - for standard input"))
}

/// Bytes that another thread reads.
pub struct Stream {
    chunks: Receiver<std::io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    /// How much of the chunk is taken.
    taken: usize,
    signals: Signals,
}

impl Stream {
    /// Opens and reads on a thread of its own.
    fn start<R: Read>(open: impl FnOnce() -> std::io::Result<R> + Send + 'static, signals: &Signals) -> Self {
        let (sender, chunks) = sync_channel(AHEAD);
        std::thread::spawn(move || match open() {
            // Tells by an empty chunk that it is open.
            Ok(source) if sender.send(Ok(Vec::new())).is_ok() => pump(source, &sender),
            Ok(_) => {}
            Err(error) => drop(sender.send(Err(error))),
        });
        Self { chunks, chunk: Vec::new(), taken: 0, signals: signals.clone() }
    }

    /// Waits until it is open.
    fn opened(&mut self) -> std::io::Result<()> {
        self.next().map(|_| ())
    }

    /// The next chunk; none at the end.
    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            match self.chunks.recv_timeout(TURN) {
                Ok(chunk) => return chunk.map(Some),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.signals.check_waiting().map_err(std::io::Error::other)?,
            }
        }
    }
}

/// Sends what there is to read until its end, an error, or until nobody wants it.
fn pump(mut source: impl Read, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if sender.send(read).is_err() || failed {
            return;
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.taken == self.chunk.len() {
            let Some(chunk) = self.next()? else { return Ok(0) };
            (self.chunk, self.taken) = (chunk, 0);
        }
        let count = buffer.len().min(self.chunk.len() - self.taken);
        buffer[..count].copy_from_slice(&self.chunk[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::signals::WallArgs;
    use super::*;

    /// Gives what is sent to it, as it comes.
    struct Sent(Receiver<Vec<u8>>);

    impl Read for Sent {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Ok(bytes) = self.0.recv() else { return Ok(0) };
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn bytes_come_whole_and_in_order() {
        let text: Vec<u8> = (0..3 * CHUNK + 5).map(|i| i as u8).collect();
        let signals = Signals::listen(&WallArgs::default()).unwrap();
        let source = std::io::Cursor::new(text.clone());
        let mut read = Vec::new();
        Stream::start(|| Ok(source), &signals).read_to_end(&mut read).unwrap();
        assert!(read == text);
    }

    #[test]
    fn a_reader_that_waits_is_called_off() {
        let (sender, receiver) = channel();
        let signals = Signals::listen(&WallArgs::default()).unwrap();
        let mut stream = Stream::start(move || Ok(Sent(receiver)), &signals);
        sender.send(b"one".to_vec()).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(stream.read(&mut buffer).unwrap(), 3);
        signals.want_no_more();
        let error = stream.read(&mut buffer).unwrap_err();
        assert_eq!(Error::io("read", "x", error).message(), "stopped: the work has ended");
        drop(sender);
    }

    #[test]
    fn what_cannot_be_opened_says_so() {
        let signals = Signals::listen(&WallArgs::default()).unwrap();
        let error = Input::open(Path::new("no/such/file"), &signals).err().unwrap();
        assert_eq!(error.message(), "failed to open `no/such/file`");
        let failing = || Err::<File, _>(std::io::Error::from(ErrorKind::PermissionDenied));
        let mut stream = Stream::start(failing, &signals);
        assert_eq!(stream.opened().unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
}
