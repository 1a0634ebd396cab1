//! `karat completions`: a completion script on standard output.

use clap::CommandFactory;

use super::{Exit, terminal};
use crate::error::Result;

/// Arguments of `karat completions`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run<C: CommandFactory>(args: Args) -> Result<Exit> {
    // Into memory first: clap panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "karat", &mut script);
    terminal::file(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Passed)
}
