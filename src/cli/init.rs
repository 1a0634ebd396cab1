//! `karat init`: a small suite to begin with.

use std::path::{Component, Path, PathBuf};

use super::{Exit, terminal};
use crate::engine::ModelRef;
use crate::engine::hub::registry;
use crate::engine::models::kind::{self, Role};
use crate::engine::options::BackendChoice;
use crate::error::{Error, Result};
use crate::record::write_atomically;
use crate::report::visible;

/// Arguments of `karat init`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat init my-suite --model ./my-model\n  karat init . --model Qwen/Qwen2.5-0.5B-Instruct\n  \
                        karat init my-suite --model models/qwen2.5-0.5b-q8_0.gguf"
)]
pub struct Args {
    /// The folder of the suite; made if it is not there.
    #[arg(default_value = "my-suite")]
    folder: PathBuf,
    /// The generator: a model folder, a GGUF file, name@version of a registry, or org/name[@revision] on the hub (default:
    /// karat-mini@2 of the registry above the folder, else above the karat program).
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

/// The generator where none is named.
const DEFAULT: (&str, &str) = ("karat-mini", "2");

/// Small chat models of the hub that answer a suite on a CPU, with the size of their download.
const HUB: &str =
    "HuggingFaceTB/SmolLM2-135M-Instruct (0.3 GB), Qwen/Qwen2.5-0.5B-Instruct (1.0 GB), Qwen/Qwen3-0.6B (1.5 GB)";

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
        let error = Error::input("the suite exists already").at(there);
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
    let step = |call: String, what: &str| format!("  {call:<48} {what}\n");
    terminal::page(&format!(
        "wrote {shown}: a suite, {} golden and {} danger cases, a prompt\n\nnext:\n{}{}{}{}{}",
        cases(FILES[1].1),
        cases(FILES[2].1),
        step(format!("karat lint {shown}"), "look for mistakes; no model is loaded"),
        step(format!("karat run {shown}"), "answer, score, judge"),
        step("karat baseline accept latest -m \"first run\"".into(), "what later runs are compared with"),
        step(format!("$EDITOR {shown}/prompts/answer.md"), "change the prompt, and run again"),
        step("karat view latest".into(), "what changed, case by case, in a browser"),
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
        Err(Error::input(format!("`{}` is no name for a suite", folder.display()))
            .with_hint("name a folder, as in `karat init my-suite`"))
    } else {
        Ok(name.trim_matches('-').to_owned())
    }
}

/// The generator as the suite spells it, once it is known to be one.
fn model(args: &Args, folder: &Path) -> Result<String> {
    let Some(named) = &args.model else { return default_model(folder) };
    let mut reference = ModelRef::parse(named, Path::new("."))?;
    if let ModelRef::Registry { base, .. } = &mut reference {
        // Where the suite will look for it.
        *base = folder.into();
    }
    kind::check_reference(&reference, Role::Generator, BackendChoice::Fast)?;
    let text = match &reference {
        ModelRef::Folder(path) | ModelRef::Gguf(path) => from_suite(path, folder)?,
        ModelRef::Registry { .. } | ModelRef::Hub { .. } => named.clone(),
    };
    quoted(&text)
}

/// The path of a model as a suite in `folder` names it: relative where both lie below the current folder, so that they can move
/// together; else absolute.
fn from_suite(model: &Path, folder: &Path) -> Result<String> {
    let whole = |path: &Path| std::fs::canonicalize(path).map_err(|e| Error::io("find", path, e));
    let (model, suite, here) = (whole(model)?, whole(folder)?, whole(Path::new("."))?);
    let path = match (model.strip_prefix(&here), suite.strip_prefix(&here)) {
        (Ok(model), Ok(suite)) => {
            let up: PathBuf = suite.components().map(|_| Component::ParentDir).collect();
            let start = if up.as_os_str().is_empty() { Path::new(".") } else { &up };
            start.join(model)
        }
        _ => model,
    };
    Ok(path.to_string_lossy().into_owned())
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
            let text = format!("no registry above `{}` has {name}@{version}", folder.display());
            Err(Error::input(text).with_hint(choices(folder)))
        }
    }
}

/// Which models can be had, and how they are named.
fn choices(folder: &Path) -> String {
    let entries = registry::visible(folder).unwrap_or_default();
    let generators = entries.into_iter().filter(|(_, path)| {
        registry::Found::read(path).is_ok_and(|found| found.entry.kind == registry::ModelKind::Generator)
    });
    let generators: Vec<String> = generators.map(|(name, _)| name).collect();
    let registry = match generators.as_slice() {
        [] => "models/NAME@VERSION.yaml in that folder or one above it; there is none now".to_owned(),
        some => format!("of the registry here: {}", some.join(", ")),
    };
    let mut lines = vec![
        "name one with --model:".to_owned(),
        "--model FOLDER        on this machine, in the Hugging Face layout (config.json, tokenizer.json, *.safetensors)".into(),
        "--model FILE.gguf     on this machine, one GGUF file".into(),
        format!("--model NAME@VERSION  {registry}"),
    ];
    if cfg!(feature = "hub") {
        lines.push(format!(
            "--model ORG/NAME      on the Hugging Face hub, fetched at the first run; small ones: {HUB}"
        ));
    }
    lines.join("\n")
}

/// The text as YAML takes it.
fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text).map_err(|e| Error::internal("failed to write the model's name").caused_by(e))
}
