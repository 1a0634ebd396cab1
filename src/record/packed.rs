//! Files of a record that may be kept compressed: `results.jsonl.gz` in place of `results.jsonl`.
//!
//! A manifest names the plain file and its hash, compressed or not: whoever reads gets the plain bytes, and what counts is
//! what they hash to. Compressing leaves time and name out, so that equal files stay equal.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use tempfile::TempPath;

use crate::error::{Error, Result};
use crate::stand_in::open_file;

/// The same file compressed.
pub(crate) fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// Opens a file, or what it is compressed to where it is not there itself.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let other = packed(path);
    if !path.exists() && other.exists() {
        let file = open_file(&other)?;
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(file)))));
    }
    Ok(Box::new(BufReader::with_capacity(1 << 16, open_file(path)?)))
}

/// Compresses a file, plain or not, to a new one, durably.
pub(crate) fn compress(from: &Path, to: &Path) -> Result<()> {
    let failed = |e| Error::io("write", to, e);
    let mut reader = open(from)?;
    let file = File::create_new(to).map_err(failed)?;
    let mut writer = GzBuilder::new().write(BufWriter::new(file), Compression::best());
    std::io::copy(&mut reader, &mut writer).map_err(|e| Error::io("compress", from, e))?;
    let mut file = writer.finish().map_err(failed)?;
    file.flush().map_err(failed)?;
    file.get_ref().sync_all().map_err(failed)
}

/// A plain file: itself, or a temporary one that goes with this.
pub enum Plain {
    /// It lies there.
    Lying(PathBuf),
    /// It was uncompressed.
    Unpacked(TempPath),
}

impl Plain {
    /// The plain file of a record.
    pub(super) fn of(path: &Path) -> Result<Self> {
        if path.exists() {
            return Ok(Self::Lying(path.to_owned()));
        }
        let failed = |e| Error::io("uncompress", packed(path), e);
        let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
        std::io::copy(&mut open(path)?, &mut file).map_err(failed)?;
        file.flush().map_err(failed)?;
        Ok(Self::Unpacked(file.into_temp_path()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lying(path) => path,
            Self::Unpacked(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_compressed_reads_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, one, two] = ["a.jsonl", "b.jsonl", "c.jsonl"].map(|name| folder.path().join(name));
        let text = "{\"line\":1}\n".repeat(10_000);
        std::fs::write(&plain, &text).unwrap();
        compress(&plain, &packed(&one)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        compress(&plain, &packed(&two)).unwrap();
        let bytes = std::fs::read(packed(&one)).unwrap();
        assert!(bytes.len() < text.len() / 50 && bytes == std::fs::read(packed(&two)).unwrap(), "no time in it");
        let mut read = String::new();
        open(&one).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let unpacked = Plain::of(&one).unwrap();
        assert_eq!(std::fs::read_to_string(unpacked.path()).unwrap(), text);
        std::fs::write(packed(&one), &bytes[..bytes.len() / 2]).unwrap();
        assert!(open(&one).unwrap().read_to_string(&mut String::new()).is_err(), "cut off");
        assert!(open(&folder.path().join("none")).is_err());
    }
}
