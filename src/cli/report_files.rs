//! Files that reports are written to: opened before anything runs, so that a wrong path costs no run, and written once all is
//! known, so that one which fails costs itself alone.

use std::path::{Path, PathBuf};

use super::form::Format;
use super::lines::Output;
use super::{Exit, terminal};
use crate::error::{Error, Result};

/// Files that reports are written to as well.
#[derive(clap::Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportArgs {
    /// Write a report to this file too, in the format that its ending names: .html, .md, .json, .xml (JUnit), .csv, .parquet
    /// or .txt; may be given several times.
    #[arg(long = "report", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl ReportArgs {
    /// Whether no file is named.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The formats that the files' names end in.
    pub fn formats(&self) -> impl Iterator<Item = Result<Format>> {
        self.files.iter().map(|file| Format::of(file))
    }

    /// Opens the files. Until they are written, nothing stands under their names.
    ///
    /// # Errors
    /// The first ending that names no format, the first file that cannot be written.
    pub fn open(&self) -> Result<ReportFiles> {
        let formats = self.formats().collect::<Result<Vec<_>>>()?;
        let open = |(path, format): (&PathBuf, Format)| {
            let output = Output::open(path).map_err(|e| e.with_hint("name a file in a folder that can be written"))?;
            Ok(ReportFile { path: path.clone(), format, output })
        };
        Ok(ReportFiles(self.files.iter().zip(formats).map(open).collect::<Result<_>>()?))
    }
}

/// Open files that wait for their reports. Dropped, they leave nothing behind.
#[derive(Default)]
pub struct ReportFiles(Vec<ReportFile>);

struct ReportFile {
    path: PathBuf,
    format: Format,
    output: Output,
}

impl ReportFiles {
    /// What the files are called.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|file| file.path.as_path())
    }

    /// Says how to write what is left out, because nothing ran.
    pub fn left(&self, run: Option<&Path>) {
        for path in self.paths() {
            let path = terminal::argument(path);
            match run {
                Some(run) => say!("note: `karat gate {} --report {path}` writes the report", terminal::argument(run)),
                None => say!("note: no report is written to {path}"),
            }
        }
    }

    /// Writes all reports; each file appears whole or not at all. One that fails is told, with what `advised` adds, and gives
    /// the exit code; the others are written all the same.
    pub fn write(self, bytes: impl Fn(Format) -> Result<Vec<u8>>, advised: impl Fn(Error, &Path) -> Error) -> Exit {
        let mut exit = Exit::Passed;
        for ReportFile { path, format, mut output } in self.0 {
            let written =
                bytes(format).map_err(|e| e.context(format!("failed to make the report `{}`", path.display())));
            if let Err(error) = written.and_then(|bytes| output.bytes(&bytes).and_then(|()| output.close())) {
                let error = advised(error, &path);
                super::error::show(&error);
                exit = exit.worse(Exit::of(&error));
            }
        }
        exit
    }
}
