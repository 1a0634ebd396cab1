//! `karat schema`: what files of karat may hold, as JSON Schemas on standard output.

use clap::Subcommand;

use super::{Exit, terminal};
use crate::error::Result;
use crate::suite;

/// Arguments of `karat schema`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat schema suite > suite.schema.json\n  karat schema verdict > verdict.schema.json"
)]
pub struct Args {
    #[command(subcommand)]
    file: File,
}

#[derive(Subcommand)]
enum File {
    /// Of suite.yaml, by which editors complete and check suites.
    #[command(after_help = "Examples:\n  karat schema suite > suite.schema.json\n  karat schema suite --markdown")]
    Suite {
        /// The same as a page: a table of keys for each section.
        #[arg(long)]
        markdown: bool,
    },
    /// Of verdict.json in a run's folder.
    #[command(after_help = "Examples:\n  karat schema verdict > verdict.schema.json")]
    Verdict,
}

/// Prints the schema.
pub fn run(args: Args) -> Result<Exit> {
    match args.file {
        File::Suite { markdown: true } => terminal::file(&suite::reference(&suite::schema()))?,
        File::Suite { markdown: false } => terminal::file(&suite::schema_text())?,
        File::Verdict => terminal::file(include_str!("../../docs/verdict.schema.json"))?,
    }
    Ok(Exit::Passed)
}
