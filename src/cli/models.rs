//! `karat models`: the registry's entries. What is wrong with one is a result here and goes to standard output.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use clap::Subcommand;
use indicatif::{DecimalBytes, HumanCount};

use super::{Exit, model, terminal};
use crate::engine::ModelRef;
use crate::engine::hub::registry::{Found, Source, find, visible};
use crate::engine::models::kind::Role;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::BackendChoice;
use crate::error::{Error, Result};
use crate::report;

/// Arguments of `karat models`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All entries that can be named here: those of models/ in this folder and the ones above it.
    List,
    /// Everything that an entry says.
    Show {
        /// The entry.
        #[arg(value_name = "NAME@VERSION")]
        entry: String,
    },
    /// Hash the files of entries; ends with 2 where one is not what its entry says.
    Verify {
        /// The entries (default: all; those of the hub only as far as they were pulled).
        #[arg(value_name = "NAME@VERSION")]
        entries: Vec<String>,
    },
    /// Fetch a model from the hub, check it where an entry names it, and print its folder.
    Pull {
        /// An entry, name@version, or org/name[@revision] on the hub.
        model: String,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    match args.command {
        Command::List => list(),
        Command::Show { entry } => show(&named(&entry)?),
        Command::Verify { entries } => verify(&entries),
        Command::Pull { model } => {
            terminal::lines([model::named(&model, Role::Any, BackendChoice::Fast)?.path().display().to_string()])?;
            Ok(Exit::Passed)
        }
    }
}

/// The entry `name@version`.
fn named(text: &str) -> Result<Found> {
    match ModelRef::parse(text, Path::new("."))? {
        ModelRef::Registry { name, version, base } => find(&base, &name, &version),
        _ => Err(Error::input(format!("there is no model `{text}` in the registry"))
            .with_hint("an entry is named name@version; `karat models list` shows them")),
    }
}

fn list() -> Result<Exit> {
    let entries: Vec<Found> = visible(Path::new(""))?.values().map(|path| Found::read(path)).collect::<Result<_>>()?;
    let rows: Vec<[String; 6]> = entries.iter().map(|found| row(found).map(|cell| report::visible(&cell))).collect();
    let mut lines = Vec::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().take(5) {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
            // Figures to the right.
            let cell = if (2..4).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") };
            line.push_str(&format!("{cell}  "));
        }
        line.push_str(&row[5]);
        lines.push(line);
    }
    terminal::lines(lines)?;
    if entries.is_empty() {
        say!("no entries: there is no models/NAME@VERSION.yaml in this folder or one above it");
    }
    Ok(Exit::Passed)
}

fn row(found: &Found) -> [String; 6] {
    let entry = &found.entry;
    let parameters = format!("{} parameters", HumanCount(entry.parameters));
    let (licence, description) = (entry.licence.to_string(), entry.description.to_string());
    [entry.reference(), entry.kind.name().to_owned(), parameters, size(found), licence, description]
}

fn show(found: &Found) -> Result<Exit> {
    let entry = &found.entry;
    let mut rows: Vec<(&str, String)> = vec![
        ("entry", found.path.display().to_string()),
        ("kind", entry.kind.name().into()),
        ("description", entry.description.to_string()),
        ("source", source(found)),
        ("size", size(found)),
        ("parameters", format!("{} in {}", HumanCount(entry.parameters), entry.dtype.name())),
        ("licence", entry.licence.to_string()),
        ("tokenizer", entry.tokenizer.to_string()),
    ];
    if let Some(training) = &entry.training {
        rows.push(("trained at", training.commit.to_string()));
        rows.push(("trained on", training.data.to_string()));
        rows.push(("trained by", training.command.to_string()));
        rows.extend(training.teacher.iter().map(|teacher| ("teacher", teacher.to_string())));
    }
    if let Some(card) = &entry.card {
        rows.push(("card", found.beside(card.as_str()).display().to_string()));
    }
    let mut lines = vec![entry.reference()];
    lines.extend(rows.into_iter().map(|(name, value)| format!("  {name:11}  {value}")));
    section(&mut lines, "evaluation", &entry.evaluation);
    section(&mut lines, "files", &entry.files);
    terminal::lines(lines)?;
    Ok(Exit::Passed)
}

/// A heading and its pairs, one a line.
fn section<K: Borrow<str>, V: Display>(lines: &mut Vec<String>, heading: &str, pairs: &BTreeMap<K, V>) {
    let width = pairs.keys().map(|key| key.borrow().chars().count()).max().unwrap_or_default();
    if !pairs.is_empty() {
        lines.push(format!("  {heading}"));
    }
    lines.extend(pairs.iter().map(|(key, value)| format!("    {:width$}  {value}", key.borrow())));
}

fn verify(names: &[String]) -> Result<Exit> {
    let entries: Vec<(String, Result<Found>)> = match names {
        [] => visible(Path::new(""))?.into_iter().map(|(name, path)| (name, Found::read(&path))).collect(),
        names => names.iter().map(|name| (name.clone(), named(name))).collect(),
    };
    let mut exit = Exit::Passed;
    for (name, found) in entries {
        if names.is_empty() && found.as_ref().is_ok_and(Found::is_unpulled) {
            terminal::lines([format!("-     {name}  not pulled")])?;
            continue;
        }
        let problems = found.map_or_else(|error| vec![error], |found| problems(&found));
        let mut lines = Vec::new();
        for problem in &problems {
            lines.push(format!("FAIL  {name}  {problem}"));
            lines.extend(problem.hint().map(|hint| format!("      hint: {hint}")));
        }
        if problems.is_empty() {
            lines.push(format!("ok    {name}"));
        } else {
            exit = Exit::BadInput;
        }
        terminal::lines(lines)?;
    }
    Ok(exit)
}

/// Everything that is not as an entry says, without asking the hub.
fn problems(found: &Found) -> Vec<Error> {
    let Some(folder) = found.local() else { return vec![found.lost()] };
    let folder = ModelFolder::new(folder);
    let mut problems = found.check(&folder);
    if problems.is_empty() {
        problems.extend(found.check_claims(&folder).err());
    }
    problems
}

fn source(found: &Found) -> String {
    match &found.entry.source {
        Source::Folder(path) => found.beside(path.as_str()).display().to_string(),
        Source::Hub { repo, revision } => format!("{repo}@{revision} on the hub"),
    }
}

/// Bytes of the listed files in words, as far as they are here.
fn size(found: &Found) -> String {
    let Some(folder) = found.local() else { return "not here".into() };
    let len = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    let bytes: u64 = found.entry.files.keys().map(|name| len(name.as_str())).sum();
    DecimalBytes(bytes).to_string()
}
