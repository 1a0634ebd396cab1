//! `karat completions`: a completion script on standard output.

use clap::CommandFactory;

use super::Exit;
use crate::error::Result;

/// Arguments of `karat completions`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run<C: CommandFactory>(args: Args) -> Result<Exit> {
    clap_complete::generate(args.shell, &mut C::command(), "karat", &mut std::io::stdout());
    Ok(Exit::Passed)
}
