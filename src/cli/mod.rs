//! The door: clap, terminal, progress, exit codes; one file per subcommand.
//!
//! Only this module prints, reads signals and chooses exit codes. Standard output carries results, standard error
//! everything else.
//! Nothing here uses `println!` or `eprintln!`, which panic where nobody reads any more: results go through
//! [`terminal::show`], everything else through `say!`, and clippy refuses the others.

#[macro_use]
mod terminal;

mod baseline;
mod cache;
mod cache_args;
mod classify;
mod compare;
mod completions;
mod conclude;
mod embed;
mod engine_args;
mod exit;
mod form;
mod gate;
mod generate;
mod init;
mod lines;
mod lint;
mod logprob;
mod model;
mod models;
mod progress;
mod render;
mod run;
mod run_progress;
mod runs;
mod score;
mod signals;
mod store_args;
mod suite_args;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};

pub use exit::Exit;

/// Batch evaluation of language models with local inference and diffs that can be trusted.
#[derive(Parser)]
#[command(name = "karat", version, after_help = exit::TABLE, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a small suite to begin with.
    Init(init::Args),
    /// Run a suite: answer, score, record, compare with the baseline, judge.
    Run(run::Args),
    /// Score recorded answers of a suite, without a generator.
    Score(score::Args),
    /// Compare two runs case by case, or rank several.
    Compare(compare::Args),
    /// Judge a run that was made before.
    Gate(gate::Args),
    /// Look at a run in a browser.
    View(view::Args),
    /// Accept, regenerate, list and show baselines.
    Baseline(baseline::Args),
    /// Recorded runs: suite, model, label, verdict, date.
    Runs(runs::Args),
    /// Check suite, templates and datasets without loading a model.
    Lint(lint::Args),
    /// The model registry: list, show, verify and pull entries.
    Models(models::Args),
    /// What is kept of earlier runs: show it, forget it.
    Cache(cache::Args),
    /// Generate answers with a model.
    Generate(generate::Args),
    /// Log-probabilities of texts under a model.
    Logprob(logprob::Args),
    /// Embed texts.
    Embed(embed::Args),
    /// Classify texts.
    Classify(classify::Args),
    /// Show exactly what a model would see: text and token ids.
    Render(render::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// Parses the command line, runs the command, prints its error and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error, for which clap's code is 2 as well.
            let failed = error.use_stderr();
            // A closed terminal is no reason to fail twice.
            let _ = error.print();
            return ExitCode::from(if failed { Exit::BadInput.code() } else { Exit::Passed.code() });
        }
    };
    let exit = dispatch(cli.command).unwrap_or_else(|error| {
        show(&error);
        Exit::of(&error)
    });
    ExitCode::from(exit.code())
}

fn dispatch(command: Command) -> Result<Exit> {
    match command {
        Command::Init(args) => init::run(args),
        Command::Run(args) => run::run(args),
        Command::Score(args) => score::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Gate(args) => gate::run(args),
        Command::View(args) => view::run(args),
        Command::Baseline(args) => baseline::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Models(args) => models::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Logprob(args) => logprob::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Render(args) => render::run(args),
        Command::Completions(args) => completions::run::<Cli>(args),
    }
}

/// "failed to …", where, why, and what to do.
fn show(error: &Error) {
    say!("error: failed to {}", error.fragment());
    if let Some(location) = error.location() {
        say!("  --> {location}");
    }
    let chain = error.chain();
    if let Some(causes) = chain.strip_prefix(error.fragment()).and_then(|rest| rest.strip_prefix(": ")) {
        say!("cause: {causes}");
    }
    if let Some(hint) = error.hint() {
        say!("hint: {hint}");
    }
}
