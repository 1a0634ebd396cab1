//! `karat lint`: what is wrong with a suite, before a model is loaded. Findings go to standard error, as a compiler's do.

use std::path::{Path, PathBuf};

use super::Exit;
use super::preflight::{Named, findings};
use super::store_args::{BaselineArgs, StoreArgs, Wanted, suite_and_store};
use super::suite_args::OverrideArgs;
use crate::compare::Without;
use crate::engine::options::{DeviceChoice, EngineOptions, Gpus};
use crate::error::Result;
use crate::history::Store;
use crate::prompt::{Finding, Severity};
use crate::suite::{Overrides, Purpose, Suite, has_errors};

/// Arguments of `karat lint`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat lint my-suite")]
pub struct Args {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Another generator: a model folder, name@version of the registry, or org/name[@revision] on the hub.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The backend of the runs: fast, or reference, which computes other families.
    #[arg(long, default_value = "fast", value_name = "BACKEND")]
    backend: String,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let (path, store) = suite_and_store(args.suite.as_deref(), "lint", &args.store)?;
    let (generator, backend) = (args.model.clone(), args.backend.parse()?);
    let overrides = Overrides { generator, backend, ..args.overrides.overrides()? };
    let mut found = Vec::new();
    for overrides in each_prompt(&path, &overrides) {
        let named = Named { path: &path, overrides: &overrides, purpose: Purpose::Lint };
        for finding in findings(&named, None) {
            if !found.contains(&finding) {
                found.push(finding);
            }
        }
    }
    if let Ok(suite) = Suite::load(&path, &overrides, Purpose::Look) {
        found.append(&mut baselines(&args, &store, &suite)?);
    }
    found.iter().for_each(show);
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let plural = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    say!("{}: {}, {}", path.display(), plural(errors, "error"), plural(warnings, "warning"));
    Ok(if has_errors(&found) { Exit::BadInput } else { Exit::Passed })
}

/// The same for each of the suite's prompts, where it has several and none is chosen.
fn each_prompt(path: &Path, overrides: &Overrides) -> Vec<Overrides> {
    // What is wrong with the file is found below.
    let names = Suite::prompt_names(path).unwrap_or_default();
    if overrides.prompt.is_some() || names.is_empty() {
        return vec![overrides.clone()];
    }
    names.into_iter().map(|name| Overrides { prompt: Some(name), ..overrides.clone() }).collect()
}

/// What is wrong with the baselines that runs on either class of devices would be held against. One that was never accepted is
/// none: that is a first run.
fn baselines(args: &Args, store: &Store, suite: &Suite) -> Result<Vec<Finding>> {
    let mut found: Vec<Finding> = Vec::new();
    for device in [DeviceChoice::Cpu, DeviceChoice::Cuda(Gpus::FIRST)] {
        let engine = EngineOptions { device, ..EngineOptions::default() };
        let finding = match args.baseline.open(&args.store, store, &Wanted::of_suite(suite, &engine)?) {
            Err(error) => Finding::from(&error),
            Ok(chosen) => match chosen.without {
                Without::Missing(why) => Finding::warning(why).with_hint("as it is, a run is inconclusive"),
                _ => continue,
            },
        };
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    Ok(found)
}

/// Shows a finding on standard error.
pub fn show(finding: &Finding) {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    say!("{word}: {}", finding.message);
    if let Some(place) = &finding.place {
        say!("  --> {place}");
    }
    if let Some(hint) = &finding.hint {
        say!("hint: {hint}");
    }
}
