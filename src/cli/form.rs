//! How reports are written and where to.

use std::path::PathBuf;

use clap::ValueEnum;

use super::lines::Output;
use super::terminal;
use crate::compare::{Ranking, pairs};
use crate::error::{Error, Result};
use crate::record::{PromptCursor, RunReader};
use crate::report::html::{Page, Shown};
use crate::report::{Report, json, markdown, ranking, terminal as page};

/// How a report is written and where to.
#[derive(clap::Args)]
pub struct FormArgs {
    /// How to write the report.
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Where to write it; - is standard output.
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: PathBuf,
}

/// The forms of a report.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Text for a terminal.
    Terminal,
    /// Markdown for a comment.
    Markdown,
    /// Everything, as JSON.
    Json,
    /// A page for a browser, in one file.
    Html,
}

/// A report and the saved runs that it is about.
pub struct Told<'a> {
    /// What there is to say.
    pub report: Report<'a>,
    /// The run in question.
    pub run: &'a RunReader,
    /// The run it was compared with.
    pub base: Option<&'a RunReader>,
}

impl FormArgs {
    /// Writes a report.
    ///
    /// # Errors
    /// A run that cannot be read, a file that cannot be written.
    pub fn write(&self, told: &Told<'_>) -> Result<()> {
        self.put(match self.format {
            Format::Terminal => page::render(&told.report, self.style()).into_bytes(),
            Format::Markdown => markdown::render(&told.report).into_bytes(),
            Format::Json => json::render(&told.report)?,
            Format::Html => html(told)?,
        })
    }

    /// Writes a ranking.
    ///
    /// # Errors
    /// A form that rankings do not have, a file that cannot be written.
    pub fn write_ranking(&self, ranked: &Ranking) -> Result<()> {
        self.put(match self.format {
            Format::Terminal => ranking::terminal(ranked, self.style()).into_bytes(),
            Format::Markdown => ranking::markdown(ranked).into_bytes(),
            Format::Json => ranking::json(ranked)?,
            Format::Html => {
                let error = Error::input("write a ranking of several candidates as HTML");
                return Err(error.with_hint("a page shows one candidate; rankings are text, Markdown or JSON"));
            }
        })
    }

    fn to_terminal(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    fn style(&self) -> page::Style {
        if self.to_terminal() { terminal::style() } else { page::Style::default() }
    }

    fn put(&self, bytes: Vec<u8>) -> Result<()> {
        if self.to_terminal() {
            return terminal::show(&String::from_utf8_lossy(&bytes));
        }
        let mut output = Output::open(&self.out)?;
        output.bytes(&bytes)?;
        output.close()
    }
}

/// The page of a run, with its cases.
///
/// # Errors
/// A run that cannot be read.
pub fn html(told: &Told<'_>) -> Result<Vec<u8>> {
    let Told { report, run, base } = told;
    let (performance, before) = (run.performance()?, base.map(RunReader::performance).transpose()?);
    let mut page = Page::new(Report {
        performance: Some(&performance),
        base_performance: before.as_ref(),
        base_manifest: base.map(RunReader::manifest),
        ..*report
    });
    let mut after = PromptCursor::new(run.prompts()?);
    match base {
        None => {
            for line in run.lines()? {
                let line = line?;
                let prompt = after.find(line.case())?;
                page.add(Shown::Alone(line), (None, prompt));
            }
        }
        Some(base) => {
            let mut before = PromptCursor::new(base.prompts()?);
            for pair in pairs(base.lines()?, run.lines()?) {
                let pair = pair?;
                let prompts = (before.find(pair.case())?, after.find(pair.case())?);
                page.add(Shown::Compared(pair), prompts);
            }
        }
    }
    page.finish()
}
