//! A dataset's file and its stream of cases.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::content_id;
use super::csv::Rows;
use super::digest::{FileDigest, Verified, hashing, joined};
use super::fields::FieldMap;
use super::ids::IdTable;
use super::json::{Array, Lines};
use super::position::Stream;
use super::resolve::resolve;
use super::sample::{Kind, Sample};
use super::start::text;
use crate::error::{Error, Result};
use crate::stand_in::{Expected, StandIn, open_file};

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
    /// Separated by tabs, with a header.
    Tsv,
}

impl Format {
    /// The format that the file's ending names, before `.gz` where it is packed.
    ///
    /// # Errors
    /// An ending that names none.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = |path: &Path| path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
        let packed = ending(path).is_some_and(|end| end == "gz");
        let end = if packed { path.file_stem().and_then(|stem| ending(Path::new(stem))) } else { ending(path) };
        match end.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("tsv" | "tab") => Ok(Self::Tsv),
            _ => {
                let error = Error::input("the ending of the dataset's name tells no format").at(path);
                Err(error
                    .with_hint("datasets end in .jsonl, .json, .csv or .tsv; with .gz behind it where they are packed"))
            }
        }
    }

    /// What separates the cells of a table; `own` is what the suite says.
    ///
    /// # Errors
    /// A separator that is none, or for a file that is no table.
    pub fn separator(self, own: Option<char>) -> Result<u8> {
        let usual = match self {
            Self::Csv => b',',
            Self::Tsv => b'\t',
            Self::Json | Self::Jsonl if own.is_some() => {
                return Err(Error::input("`delimiter` does not apply: the file is no table"));
            }
            Self::Json | Self::Jsonl => return Ok(b','),
        };
        match own {
            None => Ok(usual),
            Some('"' | '\r' | '\n') => Err(Error::input("a quote or line break cannot separate cells")),
            Some(own) => u8::try_from(own).ok().filter(u8::is_ascii).ok_or_else(|| {
                Error::input(format!("`{own}` cannot separate cells")).with_hint("it is one character of ASCII")
            }),
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
    /// What separates cells, where the file is a table.
    pub separator: u8,
    /// Which key of the file means which field.
    pub fields: FieldMap,
    /// Read only this many cases from the start of the file.
    pub limit: Option<usize>,
    /// Where ids come from.
    pub ids: Ids,
    /// What is made of each case as it is read.
    pub derive: Option<Derive>,
}

/// Where the ids of cases come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ids {
    /// From the row, or else from its content.
    #[default]
    Content,
    /// From its place in the file, from 0: rows may be equal.
    Row,
}

impl Ids {
    /// Whether it is the default, which plans don't spell out.
    pub fn is_content(&self) -> bool {
        *self == Self::Content
    }
}

/// What is made of the cases of a dataset as they are read, one after the other in the file's order.
#[derive(Clone)]
pub struct Derive(Arc<dyn Fn() -> Step + Send + Sync>);

/// Completes one case after the other.
pub type Step = Box<dyn FnMut(&mut Sample) -> Result<()> + Send>;

impl Derive {
    /// By steps that `begin` makes, one for each time that the file is read.
    pub fn new(begin: impl Fn() -> Step + Send + Sync + 'static) -> Self {
        Self(Arc::new(begin))
    }
}

impl fmt::Debug for Derive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derive")
    }
}

impl PartialEq for Derive {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
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
        let separator = format.separator(None)?;
        let fields = FieldMap::default();
        Ok(Self {
            name,
            kind: Kind::Golden,
            path,
            format,
            separator,
            fields,
            limit: None,
            ids: Ids::Content,
            derive: None,
        })
    }

    /// Opens the file and streams its cases, hashing all of it on the way ([`Samples::finish`]). An empty dataset shows as an
    /// error in the stream.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is no text.
    pub fn open(&self) -> Result<Samples> {
        let (reader, digest) = hashing(self.opened()?);
        Ok(Samples { digest: Some(digest), ..self.read(Box::new(reader))? })
    }

    /// Streams the cases of a file that was read before: ids are known to be unique. What is not as it was then is an error in
    /// the stream, before the cases in it.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    pub fn reopen(&self, digest: &FileDigest) -> Result<Samples> {
        let (name, path) = (self.name.clone(), self.path.clone());
        let changed = move || {
            let error = Error::input(format!("the file of dataset `{name}` was changed during the run")).at(&path);
            error.with_hint("nothing was recorded; start the run again")
        };
        let reader = Verified::new(self.opened()?, digest, changed);
        Ok(Samples { ids: None, ..self.read(Box::new(reader))? })
    }

    /// Streams the cases of `reader` as if it were the file.
    ///
    /// # Errors
    /// A reader whose first bytes cannot be read, are no text, or are those of something that lies in the file's place: a pointer,
    /// a page.
    pub fn read(&self, reader: Box<dyn Read + Send>) -> Result<Samples> {
        let mut stream = text(reader, &self.path)?;
        let start = stream.fill_buf().map_err(|error| Error::io("read", &self.path, error))?;
        // Whether a dataset may be empty, its reader decides.
        if let Some(stand_in) = StandIn::of(start, Expected::Text).filter(|found| *found != StandIn::Empty) {
            let error = Error::input(format!("the dataset `{}` is {}", self.name, stand_in.what()));
            return Err(error.at(&self.path).with_hint(stand_in.hint()));
        }
        let (path, fields) = (self.path.clone(), self.fields.clone());
        let cases = match self.format {
            Format::Jsonl => Cases::Lines(Lines::new(stream, path.clone(), fields)),
            Format::Json => Cases::Array(Array::new(stream, path.clone(), fields.clone()), fields),
            Format::Csv | Format::Tsv => Cases::Rows(Rows::new(stream, path.clone(), self.separator), fields),
        };
        // Places are different.
        let (ids, left) = (self.ids.is_content().then(IdTable::new), self.limit);
        let rows = (!self.ids.is_content()).then_some(0);
        let derive = self.derive.as_ref().map(|derive| derive.0());
        Ok(Samples { cases, path, ids, left, any: false, finished: false, digest: None, derive, rows })
    }

    pub(super) fn opened(&self) -> Result<File> {
        let failed = |error: Error| error.context(format!("failed to open the dataset `{}`", self.name)).at(&self.path);
        let file = open_file(&self.path).map_err(failed)?;
        if file.metadata().is_ok_and(|data| data.is_dir()) {
            return Err(Error::input(format!("the dataset `{}` is a folder", self.name)).at(&self.path));
        }
        Ok(file)
    }
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

    /// What is not read yet.
    fn rest(self) -> Result<Stream> {
        match self {
            Self::Lines(lines) => lines.rest(),
            Self::Array(array, _) => Ok(array.rest()),
            Self::Rows(rows, _) => Ok(rows.rest()),
        }
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
    /// The thread that hashes, of a file that is read first.
    digest: Option<JoinHandle<FileDigest>>,
    derive: Option<Step>,
    /// The number of the next row, where that is its id.
    rows: Option<u64>,
}

impl Samples {
    /// Completes the case.
    fn derived(&mut self, mut sample: Sample) -> Result<Sample> {
        if let Some(derive) = &mut self.derive {
            derive(&mut sample).map_err(|error| {
                if error.location().is_some() { error } else { error.at_line(&self.path, sample.line) }
            })?;
        }
        Ok(sample)
    }

    /// Holds the id against those before.
    fn accept(&mut self, mut sample: Sample) -> Result<Sample> {
        if let Some(row) = &mut self.rows {
            sample.id = row.to_string();
            *row += 1;
            return Ok(sample);
        }
        let line = sample.line;
        let met = self.ids.as_mut().and_then(|ids| ids.insert(&sample.id, line));
        let Some(first) = met else { return Ok(sample) };
        if sample.id == content_id(&sample) {
            let message = format!("line {line} is equal to line {first}, and neither has an id");
            let error = Error::input(message).at_line(&self.path, line);
            return Err(error.with_hint("take one of them out, or give both an id"));
        }
        let message = format!("the id `{}` is used on line {first} and again on line {line}", sample.id);
        let error = Error::input(message).at_line(&self.path, line);
        Err(error.with_hint("ids are unique within a dataset; cases without an id get one from their content"))
    }
}

impl Samples {
    /// Whether a limit has left cases out: looks at one more, which is not checked.
    pub fn leaves_out(&mut self) -> bool {
        self.left == Some(0) && self.cases.next(&self.path).is_some()
    }

    /// Reads what a limit has left out, and gives the digest of the whole file as it was read.
    ///
    /// # Errors
    /// The rest cannot be read; the cases are not those of [`Source::open`].
    pub fn finish(self) -> Result<FileDigest> {
        let Some(digest) = self.digest else {
            return Err(Error::internal("failed to hash a dataset that is not read first"));
        };
        let mut rest = self.cases.rest()?;
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(|error| Error::io("read", &self.path, error))?;
        drop(rest);
        joined(digest)
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
            let empty = || Error::input("the dataset is empty").at(&self.path);
            let hint = "give it cases, or take it out of the suite";
            return (!self.any).then(|| Err(empty().with_hint(hint)));
        };
        self.any = true;
        let sample = case.and_then(|sample| self.accept(sample)).and_then(|sample| self.derived(sample));
        if let (Ok(_), Some(left)) = (&sample, &mut self.left) {
            *left -= 1;
        }
        Some(sample)
    }
}
