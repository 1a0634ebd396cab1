//! Names the commit for `karat --version`: `KARAT_COMMIT`, where karat is built in its own checkout. A package has no commit.

use std::path::Path;
use std::process::Command;

/// What the program is made of. A change of these compiles it again anyway, and may make the commit `-dirty`.
const SOURCES: [&str; 5] = ["src", "engine", "Cargo.toml", "Cargo.lock", "build.rs"];

fn main() {
    // Not `git rev-parse` alone: a package that is unpacked below somebody's repository would get that one's commit.
    if !Path::new(".git").exists() {
        println!("cargo::rerun-if-changed=build.rs");
        return;
    }
    SOURCES.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // The log grows with every commit and checkout, also where the branch is packed. A file that is not there would run this always.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) {
        let changed =
            git(&[&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"], &SOURCES[..]]
                .concat());
        let dirty = if changed.is_none_or(|changed| changed.is_empty()) { "" } else { "-dirty" };
        println!("cargo::rustc-env=KARAT_COMMIT={commit}{dirty}");
    }
}

/// What git says, if there is a git and it says anything.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
