//! Where reading a dataset stops, whatever the file: so long is one case, so much does a packed file unpack to.
//!
//! A case is in memory as a whole, and one that never ends would fill it; a few kilobytes of gzip unpack to gigabytes.

use std::io::{self, Read};

use crate::error::Error;

/// Bytes of a case: a line, an element of an array, a row of a table.
pub(super) const CASE: usize = 64 << 20;
/// Bytes that a packed file unpacks to.
const UNPACKED: u64 = 64 << 30;

/// The error of a case that is longer than that.
pub(super) fn too_long() -> Error {
    Error::input(format!("the case has more than {CASE} bytes"))
        .with_hint("a line, an element of an array or a row of a table is one case")
}

/// What a packed file holds, up to the most that is read.
pub(super) struct Unpacked<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Unpacked<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, left: UNPACKED }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let error = Error::input(format!("the file unpacks to more than {UNPACKED} bytes"));
            io::Error::other(error.with_hint("split it into several datasets"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_ends_at_the_bound() {
        let mut bomb = Unpacked { inner: io::repeat(b'x'), left: 1000 };
        let error = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
        assert!(error.downcast::<Error>().unwrap().message().contains("more than"));
        let mut whole = Unpacked { inner: io::repeat(b'x').take(1000), left: 1000 };
        assert_eq!(io::copy(&mut whole, &mut io::sink()).unwrap(), 1000);
    }
}
