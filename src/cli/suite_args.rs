//! Which suite, and what the command line says about it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::suite::Overrides;

/// The suites that are meant when none is named: the first that is there.
const DEFAULTS: [&str; 2] = ["suite.yaml", "datasets/support-desk/suite.yaml"];

/// The suite file: as named, `suite.yaml` of a named folder, or a default.
///
/// # Errors
/// None is named and no default exists.
pub fn suite_path(named: Option<&Path>, command: &str) -> Result<PathBuf> {
    match named {
        Some(path) if path.is_dir() => Ok(path.join("suite.yaml")),
        Some(path) => Ok(path.to_owned()),
        None => DEFAULTS.iter().find(|path| Path::new(path).is_file()).map(PathBuf::from).ok_or_else(|| {
            let [own, repository] = DEFAULTS;
            let error = format!("no suite is named, and there is no `{own}` or `{repository}` here");
            Error::input(error).with_hint(format!("usage: karat {command} SUITE"))
        }),
    }
}

/// What a run is called.
#[derive(clap::Args)]
pub struct LabelArgs {
    /// What to call the run, in lists and as a reference: a branch, a night, a ticket.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

impl LabelArgs {
    /// The label, if it fits a line.
    ///
    /// # Errors
    /// An empty or long label, or one with control characters.
    pub fn checked(&self) -> Result<Option<String>> {
        self.label.as_deref().map(checked_label).transpose()
    }

    /// The label of one of several runs: what is said for all, and what tells it from the others.
    ///
    /// # Errors
    /// As for [`LabelArgs::checked`].
    pub fn of_one(&self, which: &str) -> Result<String> {
        match &self.label {
            Some(label) => checked_label(&format!("{} {which}", label.trim())),
            None => checked_label(which),
        }
    }
}

fn checked_label(label: &str) -> Result<String> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > 100 || label.chars().any(char::is_control) {
        let error = Error::input(format!("the label `{}` is not valid", label.escape_debug()));
        return Err(error.with_hint("a label is 1 to 100 characters on one line"));
    }
    Ok(label.to_owned())
}

/// Options that are laid over the suite.
#[derive(clap::Args)]
pub struct OverrideArgs {
    /// At most this many cases of each dataset.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Another value of the suite, as in generation.max_new_tokens=32; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One of the suite's `prompts`, by its name.
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
}

impl OverrideArgs {
    /// The prompt that is chosen.
    pub fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    /// The layer above the suite file.
    ///
    /// # Errors
    /// A `--set` without `=`.
    pub fn overrides(&self) -> Result<Overrides> {
        let set = self.set.iter().map(|text| Overrides::parse_set(text)).collect::<Result<_>>()?;
        Ok(Overrides { limit: self.limit, set, prompt: self.prompt.clone(), ..Overrides::default() })
    }
}
