//! Blocks of whole lines: what is parsed at a time, on all threads.

use std::io::{BufRead, Error, Read, Result};

use super::limits::{CASE, too_long};

/// Bytes of a block; a longer line is a block of its own.
const BLOCK: u64 = 1 << 18;

/// Reads the next lines of `stream` into `block`, in place of what it holds. None are left at the end of the file, whose
/// last line needs no line break.
///
/// # Errors
/// The stream cannot be read; the whole lines before that place are in the block.
pub fn read_lines(stream: &mut impl BufRead, block: &mut Vec<u8>) -> Result<()> {
    block.clear();
    let mut read = || {
        stream.by_ref().take(BLOCK).read_to_end(block)?;
        if block.last().is_some_and(|byte| *byte != b'\n') {
            stream.by_ref().take(CASE as u64).read_until(b'\n', block)?;
            if block.last() != Some(&b'\n') && !stream.fill_buf()?.is_empty() {
                return Err(Error::other(too_long()));
            }
        }
        Ok(())
    };
    let result = read();
    if result.is_err() {
        let whole = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        block.truncate(whole);
    }
    result
}

/// The lines of a block, each with its line break.
pub fn lines(mut block: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while !block.is_empty() {
        let before = block;
        // By way of the system's search for a byte, which is many times faster than a loop. Memory cannot fail to be read.
        let length = block.skip_until(b'\n').unwrap_or(before.len());
        lines.push(&before[..length]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives bytes in small pieces, then an error.
    struct Broken<'a>(&'a [u8]);

    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            if self.0.is_empty() { Err(std::io::Error::other("broken")) } else { self.0.read(&mut buffer[..3]) }
        }
    }

    #[test]
    fn every_line_is_whole_and_comes_once() {
        let long = "x".repeat(BLOCK as usize + 7);
        let text: Vec<String> = (0..20_000).map(|n| format!("line {n} of many\n")).chain([long]).collect();
        let text = text.concat();
        let (mut stream, mut block, mut read, mut blocks) = (text.as_bytes(), Vec::new(), Vec::new(), 0);
        loop {
            read_lines(&mut stream, &mut block).unwrap();
            if block.is_empty() {
                break;
            }
            blocks += 1;
            assert!(block.last() == Some(&b'\n') || stream.is_empty());
            read.extend_from_slice(&block);
        }
        assert_eq!(lines(&read), text.split_inclusive('\n').map(str::as_bytes).collect::<Vec<_>>());
        assert_eq!((read, blocks > 1), (text.into_bytes(), true));
    }

    #[test]
    fn a_line_that_does_not_end_is_an_error() {
        let text = std::io::Cursor::new(b"one\n").chain(std::io::repeat(b'x').take(2 * CASE as u64));
        let (mut stream, mut block) = (std::io::BufReader::new(text), Vec::new());
        let error = read_lines(&mut stream, &mut block).unwrap_err();
        assert!(error.to_string().contains("more than 67108864 bytes"), "{error}");
        assert_eq!(block, b"one\n", "whole lines before it are read");
    }

    #[test]
    fn an_error_leaves_whole_lines() {
        let (mut stream, mut block) = (std::io::BufReader::new(Broken(b"one\ntwo\nthr")), Vec::new());
        assert!(read_lines(&mut stream, &mut block).is_err());
        assert_eq!(block, b"one\ntwo\n");
    }
}
