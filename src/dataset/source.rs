//! A dataset's file and its stream of cases.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content::content_id;
use super::csv::Rows;
use super::fields::FieldMap;
use super::ids::IdTable;
use super::json::{Array, Lines};
use super::resolve::resolve;
use super::sample::{Kind, Sample};
use crate::error::{Error, Kind as ErrorKind, Result};

/// How a dataset file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Comma-separated with a header.
    Csv,
}

impl Format {
    /// The format that the file's ending names.
    ///
    /// # Errors
    /// An ending that names none.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            _ => {
                let error = Error::input("tell the format of the dataset by the ending of its name").at(path);
                Err(error.with_hint("datasets end in .jsonl, .json or .csv"))
            }
        }
    }
}

/// A dataset: which file, how to read it, what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Name within the suite.
    pub name: String,
    /// Golden or danger.
    pub kind: Kind,
    /// The file, as messages show it.
    pub path: PathBuf,
    /// How the file is written.
    pub format: Format,
    /// Which key of the file means which field.
    pub fields: FieldMap,
    /// Read only this many cases from the start of the file.
    pub limit: Option<usize>,
}

impl Source {
    /// The golden dataset in `path`, named after the file, with the usual field names.
    ///
    /// # Errors
    /// A file ending that names no format.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let format = Format::of(&path)?;
        Ok(Self { name, kind: Kind::Golden, path, format, fields: FieldMap::default(), limit: None })
    }

    /// Opens the file and streams its cases. An empty dataset shows as an error in the stream.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn open(&self) -> Result<Samples> {
        let file = File::open(&self.path).map_err(|error| self.cannot_open(error))?;
        if file.metadata().is_ok_and(|data| data.is_dir()) {
            return Err(Error::input(format!("open the dataset `{}`: it is a folder", self.name)).at(&self.path));
        }
        self.read(Box::new(file))
    }

    /// As [`Source::open`], for a file whose ids are known to be unique: it was read before.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    pub fn reopen(&self) -> Result<Samples> {
        Ok(Samples { ids: None, ..self.open()? })
    }

    /// Streams the cases of `reader` as if it were the file.
    ///
    /// # Errors
    /// A reader whose first bytes cannot be read.
    pub fn read(&self, reader: Box<dyn Read + Send>) -> Result<Samples> {
        let stream = BufReader::with_capacity(1 << 16, reader);
        let (path, fields) = (self.path.clone(), self.fields.clone());
        let cases = match self.format {
            Format::Jsonl => Cases::Lines(Lines::new(stream, path.clone(), fields)?),
            Format::Json => Cases::Array(Array::new(stream, path.clone(), fields.clone())?, fields),
            Format::Csv => Cases::Rows(Rows::new(stream, path.clone())?, fields),
        };
        Ok(Samples { cases, path, ids: Some(IdTable::new()), left: self.limit, any: false, finished: false })
    }

    /// SHA-256 of the whole file, in hex.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn sha256(&self) -> Result<String> {
        sha256_file(&self.path)
    }

    fn cannot_open(&self, error: std::io::Error) -> Error {
        Error::io("open", &self.path, error).context(format!("open the dataset `{}`", self.name)).at(&self.path)
    }
}

/// SHA-256 of a file, in hex, read in pieces.
///
/// # Errors
/// A file that is missing or cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0_u8; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The cases as they stand in the file, ids not yet compared.
enum Cases {
    Lines(Lines),
    Array(Array, FieldMap),
    Rows(Rows, FieldMap),
}

impl Cases {
    fn next(&mut self, path: &Path) -> Option<Result<Sample>> {
        let (record, fields) = match self {
            Self::Lines(lines) => return lines.next(),
            Self::Array(array, fields) => (array.next()?, fields),
            Self::Rows(rows, fields) => (rows.next()?, fields),
        };
        Some(record.and_then(|record| resolve(record, fields, path)))
    }
}

/// The cases of a dataset in file order, or what is wrong with the file.
///
/// After an error the stream goes on with the next case where the format allows that, so that `lint` can show more than
/// the first; a run stops at the first.
pub struct Samples {
    cases: Cases,
    path: PathBuf,
    /// Ids that were met; absent where they need not be checked.
    ids: Option<IdTable>,
    left: Option<usize>,
    any: bool,
    finished: bool,
}

impl Samples {
    /// Holds the id against those before.
    fn accept(&mut self, sample: Sample) -> Result<Sample> {
        let line = sample.line;
        let met = self.ids.as_mut().and_then(|ids| ids.insert(&sample.id, line));
        let Some(first) = met else { return Ok(sample) };
        if sample.id == content_id(&sample) {
            let fragment = format!("read a case: line {line} says the same as line {first}, and neither has an id");
            let error = Error::input(fragment).at_line(&self.path, line);
            return Err(error.with_hint("take one of them out, or give both an id"));
        }
        let fragment = format!("read a case: the id `{}` is used on line {first} and again on line {line}", sample.id);
        let error = Error::input(fragment).at_line(&self.path, line);
        Err(error.with_hint("ids are unique within a dataset; cases without an id get one from their content"))
    }
}

impl Samples {
    /// Whether a limit has left cases out: looks at one more, which is not checked.
    pub fn leaves_out(&mut self) -> bool {
        self.left == Some(0) && self.cases.next(&self.path).is_some()
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished || self.left == Some(0) {
            return None;
        }
        let Some(case) = self.cases.next(&self.path) else {
            self.finished = true;
            let empty = || Error::new(ErrorKind::Empty, "read the cases: empty dataset").at(&self.path);
            return (!self.any).then(|| Err(empty()));
        };
        self.any = true;
        let sample = case.and_then(|sample| self.accept(sample));
        if let (Ok(_), Some(left)) = (&sample, &mut self.left) {
            *left -= 1;
        }
        Some(sample)
    }
}
