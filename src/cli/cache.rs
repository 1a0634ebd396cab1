//! `karat cache`: what is kept of earlier runs, and forgetting it.

use std::path::Path;

use clap::Subcommand;
use indicatif::DecimalBytes;
use jiff::Timestamp;

use super::cache_args::CacheFolder;
use super::{Exit, terminal};
use crate::engine::response_cache::cache_files;
use crate::error::{Error, Result};

/// Arguments of `karat cache`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers that are kept, a line for each file of a model's answers.
    Stats,
    /// Remove all answers and remembered hashes, but for those that another karat is using; the next run computes them again.
    Clear,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let folder = CacheFolder::find().ok_or_else(|| {
        Error::input("there is no cache folder: KARAT_CACHE is empty, or there is no home folder")
            .with_hint("name its folder in the environment variable KARAT_CACHE")
    })?;
    match args.command {
        Command::Stats => stats(&folder),
        Command::Clear => clear(&folder),
    }
}

fn stats(folder: &CacheFolder) -> Result<Exit> {
    let files = cache_files(&folder.responses())?;
    let mut lines = vec![folder.path().display().to_string()];
    for file in &files {
        let (answers, model) = match &file.content {
            Some((answers, model)) => (answers.to_string(), model.as_str()),
            None => ("?".into(), "damaged, or of another version"),
        };
        let written = Timestamp::try_from(file.modified).map_or_else(|_| "?".into(), |time| format!("{time:.0}"));
        lines.push(format!("  {answers:>9} answers  {:>9}  {written}  {model}", DecimalBytes(file.bytes).to_string()));
    }
    let known = files.iter().filter_map(|file| Some(file.content.as_ref()?.0)).sum::<u64>();
    let bytes = files.iter().map(|file| file.bytes).sum();
    lines.push(format!("  {known:>9} answers  {:>9}  in all", DecimalBytes(bytes).to_string()));
    terminal::lines(lines)?;
    Ok(Exit::Passed)
}

fn clear(folder: &CacheFolder) -> Result<Exit> {
    let files = cache_files(&folder.responses())?;
    let (mut bytes, mut left) = (0, Vec::new());
    for file in &files {
        if file.remove()? {
            bytes += file.bytes
        } else {
            left.push(format!("  {}: in use by another karat; left", file.path.display()))
        }
    }
    remove(&folder.hashes())?;
    let removed = format!("removed {} of answers from {}", DecimalBytes(bytes), folder.path().display());
    terminal::lines(std::iter::once(removed).chain(left))?;
    Ok(Exit::Passed)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}
