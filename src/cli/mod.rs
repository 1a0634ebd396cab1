//! The door: clap, terminal, progress, exit codes; one file per subcommand.
//!
//! Only this module prints, reads signals and chooses exit codes. Standard output carries results, standard error
//! everything else.
//! Nothing here uses `println!` or `eprintln!`, which panic where nobody reads any more: results go through
//! `terminal`, everything else through `say!`, and clippy refuses the others.

#[macro_use]
mod terminal;

mod answers;
mod baseline;
mod cache;
mod cache_args;
mod chat_args;
mod classify;
mod compare;
mod completions;
mod conclude;
mod embed;
mod engine_args;
mod error;
mod exit;
mod figures;
mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod generate;
mod init;
mod input;
mod line_keys;
mod lines;
mod lint;
mod logprob;
mod long_args;
mod man;
mod memory;
mod model;
mod models;
mod preflight;
mod processor_args;
mod progress;
mod progress_args;
mod rate;
mod render;
mod render_suite;
mod report_files;
mod resume;
mod run;
mod run_progress;
mod runs;
mod schema;
mod score;
mod screen;
mod session;
mod signals;
mod store_args;
mod suite_args;
mod view;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::engine::device::NUMERICS_VERSION;
use crate::engine::guard::caught;
use crate::error::Result;

pub use exit::Exit;
pub use memory::out_of_memory;

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
    /// Check suite, templates, datasets, models and baseline, as a run does before it loads a model.
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
    /// Print JSON Schemas of karat's files.
    Schema(schema::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Write manual pages.
    Man(man::Args),
}

/// Parses the command line, runs the command, prints its error and gives its exit code.
pub fn main() -> ExitCode {
    signals::note_start();
    terminal::tell_panics();
    let exit = match parse() {
        // A panic is a bug, and its message is printed; what was computed is in a journal all the same.
        Ok((call, cli)) => engine_args::start_threads(&call)
            .and_then(|()| caught("finish", || dispatch(cli.command)).and_then(|exit| exit)),
        Err(error) => usage(&error),
    };
    let exit = exit.unwrap_or_else(|error| {
        error::show(&error);
        Exit::of(&error)
    });
    ExitCode::from(exit.code())
}

/// The command line, with all that `--version` says.
fn command() -> clap::Command {
    let known =
        [("hub", cfg!(feature = "hub")), ("reference", cfg!(feature = "reference")), ("cuda", cfg!(feature = "cuda"))];
    let built: Vec<&str> = known.into_iter().filter_map(|(name, built)| built.then_some(name)).collect();
    let features = if built.is_empty() { "none".to_owned() } else { built.join(", ") };
    // Where it was built in a checkout; see build.rs.
    let commit = option_env!("KARAT_COMMIT").map(|commit| format!("\ncommit: {commit}")).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let version = format!("{version}{commit}\nfeatures: {features}\nnumerics: {NUMERICS_VERSION}");
    // Once for each process; clap wants it for good.
    Cli::command().long_version(&*version.leak())
}

/// The call, as clap has it and as the command takes it.
fn parse() -> Result<(ArgMatches, Cli), clap::Error> {
    let call = command().try_get_matches()?;
    let cli = Cli::from_arg_matches(&call).map_err(|error| error.format(&mut command()))?;
    Ok((call, cli))
}

/// Prints what clap has to say: help and version, which are results, or a usage error, for which clap's code is 2 as well.
fn usage(error: &clap::Error) -> Result<Exit> {
    terminal::usage(error)?;
    Ok(if error.use_stderr() { Exit::BadInput } else { Exit::Passed })
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
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run::<Cli>(args),
        Command::Man(args) => man::run(args, self::command()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::command;

    #[test]
    fn the_version_names_the_commit_of_a_checkout_and_no_other() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let head = std::process::Command::new("git").args(["-C", folder, "rev-parse", "HEAD"]).output();
        let head = head.ok().filter(|output| output.status.success() && Path::new(folder).join(".git").exists());
        let head = head.map(|output| String::from_utf8(output.stdout).unwrap());
        let command = command();
        let version = command.get_long_version().unwrap();
        let shown = version.lines().find_map(|line| line.strip_prefix("commit: "));
        let shown = shown.map(|commit| commit.trim_end_matches("-dirty"));
        assert_eq!(shown.is_some(), head.is_some(), "{version}");
        assert!(shown.zip(head.as_deref()).is_none_or(|(shown, head)| shown.len() >= 10 && head.starts_with(shown)));
        assert!(version.contains("\nfeatures: ") && version.contains("\nnumerics: "), "{version}");
    }

    /// A heading holds for all options behind it, so that one at the wrong place takes others in.
    #[test]
    fn options_stand_under_their_own_heading() {
        let expected = |id: &str| match id {
            "label" | "limit" | "dry_run" | "no_outputs" | "no_cache" | "model" | "seed" | "suite" | "now"
            | "no_open" | "input" => Some(None),
            "chat_template_kwargs" => Some(Some("Chat template")),
            "require_baseline" => Some(Some("Baseline")),
            "runs_dir" | "baselines_dir" => Some(Some("Folders")),
            "max_wall" => Some(Some("Long runs")),
            "quiet" => Some(Some("Progress")),
            _ => None,
        };
        let (mut waiting, mut looked_at) = (vec![command()], 0);
        while let Some(command) = waiting.pop() {
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                if let Some(heading) = expected(option.get_id().as_str()) {
                    assert_eq!(option.get_help_heading(), heading, "{} {option}", command.get_name());
                    looked_at += 1;
                }
            }
            waiting.extend(command.get_subcommands().cloned());
        }
        assert!(looked_at > 50, "{looked_at}");
    }
}
