//! What ran: the manifest of a run.

use std::path::Path;

use super::check::Checked;
use super::encoders::Encoders;
use crate::engine::Generator;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::record::{About, Manifest, RunId, Selected};

impl Checked {
    /// What would run: all of it but what only loaded models tell.
    ///
    /// # Errors
    /// A plan that cannot be written as JSON.
    pub fn about(&self, label: Option<String>, keep_outputs: bool) -> Result<About> {
        let mut manifest = begin(self)?;
        manifest.label = label;
        Ok(About::new(manifest, keep_outputs))
    }

    /// Whether models compute anything of it, which a journal keeps while it is unfinished. Recorded answers are kept already.
    pub fn keeps_journal(&self) -> bool {
        self.recorded.is_none() || self.needs_embedder || self.needs_toxicity
    }
}

/// The manifest without model hashes and files, which come later.
fn begin(checked: &Checked) -> Result<Manifest> {
    let plan = &checked.suite.plan;
    let value =
        serde_json::to_value(plan).map_err(|e| Error::internal("failed to write down the plan").caused_by(e))?;
    let now = jiff::Timestamp::now();
    let mut manifest = Manifest::new(&plan.name, RunId::new(now, &value), now, value);
    let git = Git::at(checked.suite.path().parent().unwrap_or(Path::new("")));
    manifest.git_commit = git.head();
    // Runs, baselines and reports that wait to be written are made from the suite, not the other way round. A suite that git does
    // not keep at all is no more dirty than one outside of a repository.
    manifest.git_dirty = git.is_dirty(&[":(exclude)runs", ":(exclude)baselines", ":(exclude,glob)**/.karat-*"]);
    for (source, survey) in checked.sources.iter().zip(&checked.surveys) {
        manifest.hashes.datasets.insert(source.name.clone(), survey.digest.sha256().to_owned());
        if let Some(header) = &survey.header {
            manifest.hashes.headers.insert(source.name.clone(), header.sha256.clone());
            manifest.dataset_versions.insert(source.name.clone(), header.version.clone());
        }
        let cases = survey.cases as u64 * u64::from(checked.repeats());
        let selected = Selected { kind: source.kind, cases, partial: survey.partial };
        manifest.selected.insert(source.name.clone(), selected);
    }
    if let Some(recorded) = &checked.recorded {
        let mut name = "responses".to_owned();
        while manifest.hashes.datasets.contains_key(&name) {
            name.insert(0, '+');
        }
        manifest.hashes.datasets.insert(name, recorded.sha256().to_owned());
    }
    for prompt in &checked.prompts {
        manifest.hashes.prompts.extend(prompt.files().clone());
    }
    Ok(manifest)
}

/// Adds what only loaded models tell.
pub(super) fn add_fingerprints(
    manifest: &mut Manifest,
    generator: Option<&Generator>,
    encoders: &Encoders,
) -> Result<()> {
    if let Some(generator) = generator {
        manifest.add_fingerprint("generator", generator.fingerprint())?;
    }
    if let Some(embedder) = &encoders.embedder {
        manifest.add_fingerprint("embedder", embedder.fingerprint())?;
    }
    if let Some(classifier) = &encoders.classifier {
        manifest.add_fingerprint("toxicity", classifier.fingerprint())?;
    }
    Ok(())
}
