//! `karat compare`: two saved runs, case by case.

use std::path::PathBuf;

use clap::ValueEnum;

use super::conclude::{Judged, judged};
use super::lines::Output;
use super::store_args::StoreArgs;
use super::{Exit, terminal};
use crate::error::Result;
use crate::record::RunReader;
use crate::report::{Report, json, markdown, terminal as page};

/// Arguments of `karat compare`.
#[derive(clap::Args)]
pub struct Args {
    /// The run to compare against: a run folder, a run id, `latest`, or the name of a baseline.
    base: String,
    /// The run in question, named in the same ways. The gates of its own plan apply.
    candidate: String,
    /// The suite, where a name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    store: StoreArgs,
}

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
}

impl FormArgs {
    /// Writes a report.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, report: &Report<'_>) -> Result<()> {
        let to_terminal = self.out.as_os_str() == "-";
        let text = match self.format {
            Format::Terminal if to_terminal => page::render(report, terminal::style()),
            Format::Terminal => page::render(report, page::Style::default()),
            Format::Markdown => markdown::render(report),
            Format::Json => String::from_utf8_lossy(&json::render(report)?).into_owned(),
        };
        if to_terminal {
            return terminal::show(&text);
        }
        let mut output = Output::open(&self.out)?;
        output.bytes(text.as_bytes())?;
        output.close()
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let store = args.store.store();
    let open = |reference: &str| RunReader::open(&store.resolve(args.suite.as_deref(), reference)?);
    let (base, candidate) = (open(&args.base)?, open(&args.candidate)?);
    let (one, two) = (&base.manifest().suite, &candidate.manifest().suite);
    if one != two {
        eprintln!("note: the runs belong to different suites, `{one}` and `{two}`");
    }
    let Judged { comparison, summary, verdict, exit } = judged(Some(&base), &candidate)?;
    let missing = candidate.manifest().missing(&summary);
    let report = Report {
        comparison: comparison.as_ref(),
        verdict: Some(&verdict),
        missing: Some(&missing),
        ..Report::of_run(candidate.manifest(), &summary)
    };
    args.form.write(&report)?;
    Ok(exit)
}
