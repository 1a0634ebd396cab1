//! `karat man`: manual pages, one for each command.

use std::path::PathBuf;

use super::{Exit, terminal};
use crate::error::{Error, Result};
use crate::report::visible;

/// Arguments of `karat man`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat man ~/.local/share/man/man1")]
pub struct Args {
    /// The folder for `karat.1`, `karat-run.1` and so on; made if it is not there.
    folder: PathBuf,
}

/// Writes the pages.
pub fn run(args: Args, command: clap::Command) -> Result<Exit> {
    let failed = |e| Error::io("write manual pages to", &args.folder, e);
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(command, &args.folder).map_err(failed)?;
    terminal::page(&format!("wrote manual pages to {}\n", visible(&terminal::argument(&args.folder))))?;
    Ok(Exit::Passed)
}
