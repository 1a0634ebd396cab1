//! Git, called in one way: it runs no program that a repository names, takes no lock, and hears nothing of the caller's `GIT_*`.
//!
//! A suite may come as an archive with a `.git` of its own, and git runs what a repository's configuration names: hooks, file
//! system monitors, filters, pagers, helpers. All of these are turned off by the command line, which goes before the files. What
//! the user's own configuration names stays, but for monitors and hooks.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// Settings under which git runs no program that a repository names.
const QUIET: [&str; 14] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "core.pager=cat",
    "core.editor=false",
    "core.sshCommand=false",
    "core.gitProxy=",
    "core.askPass=",
    "credential.helper=",
    "diff.external=",
    "gpg.program=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
];

/// Git in a folder.
pub struct Git {
    from: PathBuf,
    /// Settings that turn off the filters that the repository's own configuration defines.
    filters: Vec<String>,
}

impl Git {
    /// Git as seen from a folder, which need not lie in a repository.
    pub fn at(folder: &Path) -> Self {
        let from = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() };
        let mut git = Self { from, filters: Vec::new() };
        git.filters = git.foreign_filters();
        git
    }

    /// Names of the settings of filters and text conversions that stand in the repository's configuration, each set to nothing.
    /// Reading the configuration runs nothing.
    fn foreign_filters(&self) -> Vec<String> {
        let listed = self.command(&["config", "--list", "--show-scope", "--name-only", "-z"]).output();
        let Some(output) = listed.ok().filter(|output| output.status.success()) else { return Vec::new() };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let parts: Vec<&str> = text.split('\0').collect();
        let (pairs, _) = parts.as_chunks::<2>();
        let mut off = Vec::new();
        for [scope, name] in pairs {
            let ours = matches!(*scope, "local" | "worktree");
            // A name with `=` would be cut by the command line, and the setting would stay.
            if !ours || name.contains('=') {
                continue;
            }
            if name.starts_with("filter.") {
                off.push(format!("{name}={}", if name.ends_with(".required") { "false" } else { "" }));
            } else if name.starts_with("diff.") && (name.ends_with(".command") || name.ends_with(".textconv")) {
                off.push(format!("{name}="));
            }
        }
        off
    }

    /// A call that is not made yet: no standard input, nothing of the environment that speaks to git.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1");
        command.arg("-C").arg(&self.from).arg("--no-pager");
        for setting in QUIET.into_iter().chain(self.filters.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        command.args(args).stdin(Stdio::null());
        command
    }

    /// What a call gives.
    ///
    /// # Errors
    /// There is no git.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        self.command(args).output().map_err(|e| {
            Error::input("failed to call git").caused_by(e).with_hint("references git:REF:PATH need git on the PATH")
        })
    }

    /// What a call prints, without white space around.
    ///
    /// # Errors
    /// There is no git, or the call fails.
    pub fn text(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(Error::input(format!("failed to call git: {}", String::from_utf8_lossy(&output.stderr).trim())))
        }
    }

    /// The commit that the working tree is at, if the folder lies in one.
    pub fn head(&self) -> Option<String> {
        self.text(&["rev-parse", "--verify", "--quiet", "HEAD"]).ok().filter(|text| !text.is_empty())
    }

    /// Whether the folder's files differ from those that are committed, but for these patterns (`:(exclude)runs`); `None` where
    /// git keeps none of them. Submodules are not looked into: git would run in them under their own configuration.
    pub fn is_dirty(&self, but: &[&str]) -> Option<bool> {
        let kept = self.text(&["ls-files", "--", "."]).is_ok_and(|files| !files.is_empty());
        let status = ["status", "--porcelain", "--untracked-files=all", "--ignore-submodules=all", "--", "."];
        let status = [&status[..], but].concat();
        kept.then(|| self.text(&status).ok()).flatten().map(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository whose configuration and hooks run a program wherever git lets them.
    fn hostile(folder: &Path) -> PathBuf {
        let ran = folder.join("ran");
        let plain = |args: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(folder).args(["-c", "user.name=x", "-c", "user.email=x@x"]).args(args);
            assert!(git.output().unwrap().status.success(), "{args:?}");
        };
        plain(&["init", "-q"]);
        std::fs::write(folder.join("a.txt"), "one\n").unwrap();
        std::fs::write(folder.join(".gitattributes"), "*.txt filter=evil diff=evil\n").unwrap();
        plain(&["add", "."]);
        plain(&["commit", "-qm", "x"]);
        let touch = format!("touch {}; cat", ran.display());
        for key in ["filter.evil.clean", "filter.evil.smudge", "core.fsmonitor", "diff.evil.textconv", "core.pager"] {
            plain(&["config", key, &touch]);
        }
        plain(&["config", "filter.evil.required", "true"]);
        let hook = folder.join(".git/hooks/post-index-change");
        std::fs::create_dir_all(folder.join(".git/hooks")).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\n{touch}\n")).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::remove_file(&ran).ok();
        ran
    }

    #[test]
    fn nothing_that_a_repository_names_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let ran = hostile(folder.path());
        // A changed file, so that git has to look at contents.
        std::fs::write(folder.path().join("a.txt"), "two\n").unwrap();
        let git = Git::at(folder.path());
        assert_eq!(git.is_dirty(&[]), Some(true));
        assert!(git.head().is_some_and(|commit| commit.len() >= 40));
        assert!(git.text(&["cat-file", "blob", "HEAD:a.txt"]).is_ok());
        assert!(!ran.exists());
        // The trap works: plain git falls into it.
        Command::new("git").arg("-C").arg(folder.path()).args(["status", "--porcelain"]).output().unwrap();
        assert!(ran.exists());
    }

    #[test]
    fn a_folder_outside_of_any_repository_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Git::at(folder.path()).is_dirty(&[]), None);
    }
}
