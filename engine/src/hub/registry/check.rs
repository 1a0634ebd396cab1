//! A model folder held against its entry: every listed file is there and hashes to what is listed, no file that would
//! change an answer is unlisted, and the weights are as many and of the type that the entry says.

use std::collections::BTreeSet;
use std::path::Path;

use super::entry::Source;
use super::find::Found;
use crate::error::{Error, Result};
use crate::models::count_weights;
use crate::models::identity::model_files;
use crate::models::model_folder::ModelFolder;
use crate::stand_in::{Expected, StandIn};

impl Found {
    /// Everything that is not as the entry says.
    pub fn check(&self, folder: &ModelFolder) -> Vec<Error> {
        let (listed, mut problems) = self.listed(folder);
        let read = match model_files(folder) {
            Ok(read) => read,
            // A missing file explains it.
            Err(_) if !problems.is_empty() => return problems,
            Err(error) => return vec![error],
        };
        problems.extend(read.difference(&listed).map(|name| self.unlisted(folder.path(), name)));
        let hashes = match folder.hash(&listed) {
            Ok(hashes) => hashes,
            Err(error) => {
                problems.push(error);
                return problems;
            }
        };
        for (name, found) in &hashes {
            let expected = self.entry.files.get(name.as_str()).map_or("", |hash| hash.as_str());
            if found != expected {
                problems.push(self.changed(folder.path(), name, (found, expected)));
            }
        }
        problems
    }

    /// What is not as the entry says, as far as names tell: files that are missing, and unlisted ones that have a say.
    pub fn check_names(&self, folder: &ModelFolder) -> Vec<Error> {
        let (listed, missing) = self.listed(folder);
        match model_files(folder) {
            Ok(read) if missing.is_empty() => {
                read.difference(&listed).map(|name| self.unlisted(folder.path(), name)).collect()
            }
            // What is wrong with the folder itself, its own check says.
            _ => missing,
        }
    }

    /// The files that the entry lists and that are there, and what is wrong with the others.
    fn listed(&self, folder: &ModelFolder) -> (BTreeSet<String>, Vec<Error>) {
        let (mut listed, mut missing) = (BTreeSet::new(), Vec::new());
        for name in self.entry.files.keys().map(|name| name.as_str()) {
            match folder.has(name) {
                Ok(true) => drop(listed.insert(name.to_owned())),
                Ok(false) => missing.push(self.missing(folder.path(), name)),
                Err(error) => missing.push(error),
            }
        }
        (listed, missing)
    }

    /// Holds what the entry says beside its hashes against the folder: number and type of the weights, the model card.
    ///
    /// # Errors
    /// It is not so, or the weights cannot be read.
    pub fn check_claims(&self, folder: &ModelFolder) -> Result<()> {
        let counts = count_weights(folder)?;
        let (entry, total) = (&self.entry, counts.values().sum::<u64>());
        let most = counts.iter().max_by_key(|(_, count)| **count).map_or("", |(dtype, _)| dtype.as_str());
        let wrong = |what: String| {
            Err(Error::input(format!("failed to use `{}`: {what}", entry.reference()))
                .at(&self.path)
                .with_hint("correct the entry"))
        };
        if total != entry.parameters {
            return wrong(format!("it has {total} parameters, its entry says {}", entry.parameters));
        }
        if most != entry.dtype.name() {
            return wrong(format!("its weights are {most}, its entry says {}", entry.dtype.name()));
        }
        match entry.card.as_ref().filter(|card| !self.beside(card.as_str()).is_file()) {
            Some(card) => wrong(format!("there is no model card `{card}`")),
            None => Ok(()),
        }
    }

    fn missing(&self, folder: &Path, name: &str) -> Error {
        let path = folder.join(name);
        let error =
            Error::input(format!("there is no file `{name}`, which the entry of `{}` lists", self.entry.reference()));
        error.with_hint(self.remedy(&path)).at(path)
    }

    fn unlisted(&self, folder: &Path, name: &str) -> Error {
        let reference = self.entry.reference();
        let what = format!(
            "`{reference}` has the file `{name}`, which its entry does not list and which would change its answers"
        );
        let hint = format!("remove the file, or add it with its hash to `files` in {}", self.path.display());
        Error::input(what).at(folder.join(name)).with_hint(hint)
    }

    fn changed(&self, folder: &Path, name: &str, (found, expected): (&str, &str)) -> Error {
        let path = folder.join(name);
        let reference = self.entry.reference();
        let stand_in = StandIn::of_file(&path, Expected::Safetensors).ok().flatten();
        let (what, hint) = match stand_in.filter(|found| matches!(found, StandIn::GitLfs | StandIn::Html)) {
            Some(found) => (format!("`{name}` is {}", found.what()), found.hint().to_owned()),
            None => (format!("`{name}` has the SHA-256 {found}, its entry says {expected}"), self.remedy(&path)),
        };
        Error::input(format!("failed to use `{reference}`: {what}")).at(path).with_hint(hint)
    }

    /// How a file comes back.
    fn remedy(&self, path: &Path) -> String {
        match &self.entry.source {
            Source::Folder(_) => format!(
                "restore it with `git checkout -- {}`; another model is another version with its own entry",
                path.display()
            ),
            Source::Hub { .. } => {
                let snapshot = path.parent().unwrap_or(path).display();
                format!("remove `{snapshot}` and pull again; if that does not help, the entry is wrong")
            }
        }
    }
}
