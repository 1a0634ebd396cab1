//! How reports are written and where to.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::lines::Output;
use super::report_files::{ReportArgs, ReportFiles};
use super::{Exit, terminal};
use crate::compare::{Pair, Ranking, pairs};
use crate::error::{Error, Result};
use crate::record::{PromptCursor, RunReader};
use crate::report::html::{Page, Shown};
use crate::report::{Report, csv, json, junit, markdown, parquet, ranking, terminal as page};

/// How a report is written and where to.
#[derive(clap::Args)]
#[command(next_help_heading = "Reports")]
pub struct FormArgs {
    /// How to write the report.
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Where to write it; - is standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    reports: ReportArgs,
}

/// The forms of a report.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// Text for a terminal.
    Terminal,
    /// Markdown for a comment.
    Markdown,
    /// Everything, as JSON.
    Json,
    /// A page for a browser, in one file.
    Html,
    /// JUnit XML for CI servers.
    Junit,
    /// A row per case.
    Csv,
    /// A row per case, typed.
    Parquet,
}

impl Format {
    /// The format that a file's name ends in.
    ///
    /// # Errors
    /// An ending that names none.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let known = [
            ("txt", Self::Terminal),
            ("md", Self::Markdown),
            ("json", Self::Json),
            ("html", Self::Html),
            ("xml", Self::Junit),
            ("csv", Self::Csv),
            ("parquet", Self::Parquet),
        ];
        match known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(ending)) {
            Some((_, format)) => Ok(format),
            None => {
                let error = Error::input(format!("the ending of `{}` names no report format", path.display()));
                Err(error.with_hint("known are .txt, .md, .json, .html, .xml (JUnit), .csv and .parquet"))
            }
        }
    }
}

/// A report and the saved runs that it is about.
pub struct ReportInput<'a> {
    /// What there is to say.
    pub report: Report<'a>,
    /// The run in question.
    pub run: &'a RunReader,
    /// The run it was compared with.
    pub base: Option<&'a RunReader>,
}

impl FormArgs {
    /// Opens all that is to be written, before anything is computed.
    ///
    /// # Errors
    /// An ending that names no format, a file that cannot be written, Parquet for the standard output.
    pub fn open(&self) -> Result<Form> {
        let to_terminal = self.out.as_os_str() == "-";
        if matches!(self.format, Format::Parquet) && to_terminal {
            let error = Error::input("Parquet cannot be written to standard output");
            return Err(error.with_hint("name a file: --out cases.parquet"));
        }
        let reports = self.reports.open()?;
        let out = if to_terminal { None } else { Some(Output::open(&self.out)?) };
        Ok(Form { format: self.format, out, reports })
    }

    /// Refuses formats that rankings do not have, before anything is computed.
    ///
    /// # Errors
    /// The first of them.
    pub fn check_ranking(&self) -> Result<()> {
        self.reports.formats().chain([Ok(self.format)]).try_for_each(|format| match format? {
            Format::Terminal | Format::Markdown | Format::Json => Ok(()),
            Format::Html | Format::Junit | Format::Csv | Format::Parquet => Err(no_ranking()),
        })
    }
}

/// How a report is written, and where to: opened.
pub struct Form {
    format: Format,
    /// None is the standard output.
    out: Option<Output>,
    reports: ReportFiles,
}

impl Form {
    /// Writes a report. A further file that cannot be written is told, and gives the exit code.
    ///
    /// # Errors
    /// A run that cannot be read, an output that cannot be written.
    pub fn write(self, input: &ReportInput<'_>) -> Result<Exit> {
        self.put(|format, style| bytes(format, input, style))
    }

    /// Writes a ranking, in every file that is named.
    ///
    /// # Errors
    /// A form that rankings do not have, an output that cannot be written.
    pub fn write_ranking(self, ranked: &Ranking) -> Result<Exit> {
        self.put(|format, style| {
            Ok(match format {
                Format::Terminal => ranking::terminal(ranked, style).into_bytes(),
                Format::Markdown => ranking::markdown(ranked).into_bytes(),
                Format::Json => ranking::json(ranked)?,
                Format::Html | Format::Junit | Format::Csv | Format::Parquet => return Err(no_ranking()),
            })
        })
    }

    fn put(self, bytes: impl Fn(Format, page::Style) -> Result<Vec<u8>>) -> Result<Exit> {
        let Self { format, out, reports } = self;
        let exit = reports.write(|format| bytes(format, page::Style::default()), |error, _| error);
        match out {
            None => {
                let bytes = bytes(format, terminal::style())?;
                let text = String::from_utf8_lossy(&bytes);
                match format {
                    Format::Terminal => terminal::page(&text)?,
                    Format::Json => terminal::json(&text)?,
                    _ => terminal::file(&text)?,
                }
            }
            Some(mut output) => {
                output.bytes(&bytes(format, page::Style::default())?)?;
                output.close()?;
            }
        }
        Ok(exit)
    }
}

fn no_ranking() -> Error {
    let error = Error::input("a ranking of several candidates cannot be written in this format");
    error.with_hint(
        "rankings are text (.txt), Markdown (.md) or JSON (.json); compare with one candidate for the others",
    )
}

/// A report in a format.
///
/// # Errors
/// A run that cannot be read.
pub fn bytes(format: Format, input: &ReportInput<'_>, style: page::Style) -> Result<Vec<u8>> {
    let report = &input.report;
    Ok(match format {
        Format::Terminal => page::render(report, style).into_bytes(),
        Format::Markdown => markdown::render(report).into_bytes(),
        Format::Json => json::render(report)?,
        Format::Html => html(input)?,
        Format::Junit => {
            let performance = input.run.performance()?;
            junit::render(&Report { performance: Some(&performance), ..*report }, cases(input)?)?
        }
        Format::Csv => csv::render(report, cases(input)?)?,
        Format::Parquet => parquet::render(report, cases(input)?)?,
    })
}

/// The cases of a run, beside those of the run it is compared with.
fn cases<'a>(input: &ReportInput<'a>) -> Result<Box<dyn Iterator<Item = Result<Shown>> + 'a>> {
    let lines = input.run.lines()?;
    Ok(match input.base {
        None => Box::new(lines.map(|line| line.map(Shown::Alone))),
        Some(base) => {
            let (before, now) = (base.manifest(), input.run.manifest());
            // What this run was not asked for is no part of it.
            let gone = |pair: &Pair| matches!(pair, Pair::Removed(_)) && pair.unasked(before, now);
            let pairs = pairs(base.lines()?, lines).filter(move |pair| !pair.as_ref().is_ok_and(gone));
            Box::new(pairs.map(|pair| pair.map(Shown::Compared)))
        }
    })
}

/// The page of a run, with its cases.
///
/// # Errors
/// A run that cannot be read.
pub fn html(input: &ReportInput<'_>) -> Result<Vec<u8>> {
    let ReportInput { report, run, base } = input;
    let (performance, before) = (run.performance()?, base.map(RunReader::performance).transpose()?);
    let mut page = Page::new(Report {
        performance: Some(&performance),
        base_performance: before.as_ref(),
        base_manifest: base.map(RunReader::manifest),
        ..*report
    });
    let mut after = PromptCursor::new(run.prompts()?);
    let mut before = PromptCursor::new(base.map(RunReader::prompts).transpose()?.flatten());
    for shown in cases(input)? {
        let shown = shown?;
        let prompts = (before.find(shown.case())?, after.find(shown.case())?);
        page.add(shown, prompts);
    }
    page.finish()
}
