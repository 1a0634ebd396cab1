//! Which suite, and what the command line says about it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::suite::Overrides;

/// The suite that is meant when none is named.
const DEFAULT: &str = "datasets/support-desk/suite.yaml";

/// The suite file: as named, `suite.yaml` of a named folder, or the default.
///
/// # Errors
/// None is named and the default does not exist.
pub fn suite_path(named: Option<&Path>, command: &str) -> Result<PathBuf> {
    match named {
        Some(path) if path.is_dir() => Ok(path.join("suite.yaml")),
        Some(path) => Ok(path.to_owned()),
        None if Path::new(DEFAULT).is_file() => Ok(DEFAULT.into()),
        None => Err(Error::input(format!("find a suite: none is named and there is no `{DEFAULT}` here"))
            .with_hint(format!("usage: karat {command} SUITE"))),
    }
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
}

impl OverrideArgs {
    /// The layer above the suite file.
    ///
    /// # Errors
    /// A `--set` without `=`.
    pub fn overrides(&self) -> Result<Overrides> {
        let set = self.set.iter().map(|text| Overrides::parse_set(text)).collect::<Result<_>>()?;
        Ok(Overrides { limit: self.limit, set, ..Overrides::default() })
    }
}
