//! `karat init`: a small suite to begin with.

use std::path::{Path, PathBuf};

use super::{Exit, terminal};
use crate::engine::ModelRef;
use crate::engine::hub::registry;
use crate::error::{Error, Result};
use crate::record::write_atomically;
use crate::report::visible;

/// Arguments of `karat init`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat init my-suite\n  karat init my-suite --model ./my-model")]
pub struct Args {
    /// The folder of the suite; made if it is not there.
    #[arg(default_value = "my-suite")]
    folder: PathBuf,
    /// The generator: a model folder, name@version of the registry, or org/name[@revision] on the hub (default:
    /// karat-mini@2 of the registry above the folder, else above the karat program).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

/// The generator where none is named.
const DEFAULT: (&str, &str) = ("karat-mini", "2");

/// The files of a suite; the generator and the name stand for `{{model}}` and `{{name}}`.
const FILES: [(&str, &str); 5] = [
    ("suite.yaml", include_str!("init/suite.yaml")),
    ("golden.jsonl", include_str!("init/golden.jsonl")),
    ("danger.jsonl", include_str!("init/danger.jsonl")),
    ("prompts/answer.md", include_str!("init/answer.md")),
    ("prompts/system.md", include_str!("init/system.md")),
];

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let folder = &args.folder;
    let name = name(folder)?;
    if let Some(there) = FILES.iter().map(|(file, _)| folder.join(file)).find(|path| path.exists()) {
        let error = Error::input("write the suite: there is such a file already").at(there);
        return Err(error.with_hint("name another folder; nothing is ever overwritten"));
    }
    let made = !folder.is_dir();
    if let Err(error) = write(&args, folder, &name) {
        // Nothing is left of a suite that was not made.
        for (file, _) in FILES {
            let _ = std::fs::remove_file(folder.join(file));
        }
        let _ = std::fs::remove_dir(folder.join("prompts"));
        if made {
            let _ = std::fs::remove_dir(folder);
        }
        return Err(error);
    }
    let shown = visible(&terminal::argument(folder));
    terminal::page(&format!(
        "wrote {shown}: a suite, {} golden and {} danger cases, a prompt\n\nnext:\n\
         \x20 karat lint {shown}                 look for mistakes; no model is loaded\n\
         \x20 karat run {shown}                  answer, score, judge\n\
         \x20 karat baseline accept latest -m \"first run\"\n\
         then change {shown}/prompts/answer.md, run again, and look:\n\
         \x20 karat view latest                  what changed, case by case, in a browser\n",
        cases(FILES[1].1),
        cases(FILES[2].1),
    ))?;
    Ok(Exit::Passed)
}

fn write(args: &Args, folder: &Path, name: &str) -> Result<()> {
    std::fs::create_dir_all(folder.join("prompts")).map_err(|e| Error::io("write", folder, e))?;
    let model = model(args, folder)?;
    for (file, text) in FILES {
        write_atomically(&folder.join(file), text.replace("{{model}}", &model).replace("{{name}}", name).as_bytes())?;
    }
    Ok(())
}

fn cases(text: &str) -> usize {
    text.lines().count()
}

/// The suite's name: that of its folder, as far as names of suites allow.
fn name(folder: &Path) -> Result<String> {
    let whole = std::path::absolute(folder).map_err(|e| Error::io("find", folder, e))?;
    let text = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let letter = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let name: String = text.chars().map(letter).collect();
    if name.trim_matches('-').is_empty() {
        Err(Error::input(format!("name the suite after the folder `{}`", folder.display()))
            .with_hint("name a folder, as in `karat init my-suite`"))
    } else {
        Ok(name.trim_matches('-').to_owned())
    }
}

/// The generator as the suite spells it: paths from the working folder become whole ones.
fn model(args: &Args, folder: &Path) -> Result<String> {
    let Some(named) = &args.model else { return default_model(folder) };
    let text = match ModelRef::parse(named, Path::new("."))? {
        ModelRef::Folder(path) | ModelRef::Gguf(path) => {
            let whole = std::fs::canonicalize(&path).map_err(|e| Error::io("find the model", &path, e))?;
            whole.to_string_lossy().into_owned()
        }
        ModelRef::Registry { .. } | ModelRef::Hub { .. } => named.clone(),
    };
    quoted(&text)
}

/// [`DEFAULT`] by name where a registry above the folder has it, else the folder of its weights in the repository that
/// karat was built in.
fn default_model(folder: &Path) -> Result<String> {
    let (name, version) = DEFAULT;
    if registry::find(folder, name, version).is_ok() {
        return Ok(format!("{name}@{version}"));
    }
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent);
    let found = beside.and_then(|beside| registry::find(beside, name, version).ok()).and_then(|found| found.local());
    match found {
        Some(weights) => {
            let whole = std::fs::canonicalize(&weights).map_err(|e| Error::io("find the model", &weights, e))?;
            quoted(&whole.to_string_lossy())
        }
        None => {
            let error = Error::input(format!(
                "choose a generator: no registry above `{}` has {name}@{version}",
                folder.display()
            ));
            Err(error.with_hint("name one: --model ./my-model, --model name@version or --model org/name@revision"))
        }
    }
}

/// The text as YAML takes it.
fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text).map_err(|e| Error::internal("write the model's name").caused_by(e))
}
