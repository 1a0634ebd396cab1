//! `karat lint`: what is wrong with a suite and what it names, without loading a model. Findings go to standard error, as a compiler's do.

use std::path::PathBuf;

use super::Exit;
use super::suite_args::{OverrideArgs, suite_path};
use crate::error::Result;
use crate::prompt::{Finding, Severity};
use crate::suite::{has_errors, lint};

/// Arguments of `karat lint`.
#[derive(clap::Args)]
pub struct Args {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let path = suite_path(args.suite.as_deref(), "lint")?;
    let findings = lint(&path, &args.overrides.overrides()?);
    findings.iter().for_each(show);
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let plural = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    say!("{}: {}, {}", path.display(), plural(errors, "error"), plural(warnings, "warning"));
    Ok(if has_errors(&findings) { Exit::BadInput } else { Exit::Passed })
}

fn show(finding: &Finding) {
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
