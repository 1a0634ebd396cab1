//! Whatever is given as a model: `lint`, `run` and the engine's commands say the same one thing about it, before anything loads.
//!
//! The table of docs/models.md, each kind made of a real model; and the files that stand in the place of data.

mod contents;
mod places;
mod taken;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Field;
use karat::engine::models::model_folder::ModelFolder;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, Tensor, save};
use crate::gguf_alone::vocabulary;
use crate::project::{Project, Run, fixture, repository};
use crate::to_gguf::convert_alone;

use self::contents::{ADAPTERS, FORMATS, GGUF, QUANTISED, ROLES, TEMPLATES};
use self::places::{PLACES, STAND_INS};

/// A kind of thing: its name, how it is made from a copy of a model in `model`, giving what is named as the model, and words
/// that its one error must hold.
type Row = (&'static str, fn(&Thing) -> String, &'static [&'static str]);

/// A project with a copy of a model, to be made into something else.
struct Thing {
    project: Project,
    model: Checkpoint,
}

impl Thing {
    fn new() -> Self {
        let project = Project::new();
        let model = Checkpoint::copy(&project, &repository("models/karat-mini/2"));
        Self { project, model }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        self.project.write(&format!("model/{name}"), bytes);
        "./model".into()
    }

    fn rename(&self, from: &str, to: &str) -> String {
        std::fs::rename(self.model.file(from), self.model.file(to)).expect("rename a file");
        "./model".into()
    }

    fn remove(&self, name: &str) -> String {
        self.model.remove(name);
        "./model".into()
    }

    /// Removes all but some files.
    fn only(&self, names: &[&str]) -> String {
        for entry in std::fs::read_dir(&self.model.folder).expect("list a folder") {
            let path = entry.expect("an entry").path();
            if !names.iter().any(|name| path.ends_with(name)) {
                std::fs::remove_file(path).expect("remove a file");
            }
        }
        "./model".into()
    }

    fn config(&self, key: &str, value: Value) -> String {
        self.model.set(key, value);
        "./model".into()
    }

    /// Puts a tensor of a type in the place of the first up-projection.
    fn typed(&self, dtype: Dtype, bytes: usize) -> String {
        let tensor = Tensor { dtype, shape: vec![704, 256], data: vec![0; 704 * 256 * bytes] };
        self.model.replace("model.layers.0.mlp.up_proj.weight", tensor);
        "./model".into()
    }

    /// Cuts the weights after so many bytes.
    fn cut(&self, len: usize) -> String {
        self.model.edit_file("model.safetensors", |bytes| bytes.truncate(len));
        "./model".into()
    }

    /// Changes the header of the weights, and nothing behind it.
    fn header(&self, edit: impl FnOnce(&mut Value)) -> String {
        self.model.edit_file("model.safetensors", |bytes| {
            let size = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
            let mut header = serde_json::from_slice(&bytes[8..8 + size]).expect("parse JSON");
            edit(&mut header);
            let header = header.to_string();
            let len = (header.len() as u64).to_le_bytes();
            *bytes = [&len[..], header.as_bytes(), &bytes[8 + size..]].concat();
        });
        "./model".into()
    }

    /// Puts something else in the place of a file.
    fn instead(&self, name: &str, make: impl FnOnce(&Path)) -> String {
        if self.model.file(name).exists() {
            self.model.remove(name);
        }
        make(&self.model.file(name));
        "./model".into()
    }

    /// Two shards with their index, in the place of the weights; `edit` changes their tensors.
    fn shards(&self, edit: impl FnOnce(&mut [BTreeMap<String, Tensor>; 2])) -> String {
        let mut tensors = BTreeMap::new();
        self.model.edit_tensors(|all| tensors = all.clone());
        let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
        for (at, (name, tensor)) in tensors.into_iter().enumerate() {
            (if at % 2 == 0 { &mut first } else { &mut second }).insert(name, tensor);
        }
        let mut shards = [first, second];
        let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let named =
            shards.iter().zip(names).flat_map(|(shard, file)| shard.keys().map(move |name| (name.clone(), file)));
        let map: BTreeMap<String, &str> = named.collect();
        edit(&mut shards);
        self.write("model.safetensors.index.json", json!({ "weight_map": map }).to_string());
        for (shard, name) in shards.iter().zip(names) {
            save(&self.model.file(name), shard);
        }
        self.remove("model.safetensors")
    }

    /// A template in the tokenizer's settings, in the place of the file's.
    fn template(&self, value: Value) -> String {
        self.model.edit_json("tokenizer_config.json", |config| config["chat_template"] = value);
        self.remove("chat_template.jinja")
    }

    /// A whole GGUF file under a name, with more metadata, changed afterwards.
    fn gguf(&self, name: &str, further: &[(&str, Field)], edit: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut fields = vocabulary(&fixture("qwen2"));
        fields.extend(further.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let folder = convert_alone(&self.project, &fixture("qwen2"), |_| GgmlDType::F16, fields);
        let mut bytes = std::fs::read(folder.join("model.gguf")).expect("read a file");
        edit(&mut bytes);
        self.project.write(&format!("files/{name}"), bytes);
        format!("files/{name}")
    }

    /// A hub cache of this model, in `hub`.
    fn hub(&self) -> PathBuf {
        let root = self.project.path("hub/models--org--name");
        let (snapshot, blobs) = (root.join("snapshots").join("a".repeat(40)), root.join("blobs"));
        std::fs::create_dir_all(&snapshot).expect("make a folder");
        std::fs::create_dir_all(&blobs).expect("make a folder");
        std::fs::create_dir_all(root.join("refs")).expect("make a folder");
        std::fs::write(root.join("refs/main"), "a".repeat(40)).expect("write a file");
        for entry in std::fs::read_dir(&self.model.folder).expect("list a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            std::fs::rename(&path, blobs.join(name)).expect("move a file");
            symlink(PathBuf::from("../../blobs").join(name), snapshot.join(name)).expect("make a link");
        }
        root
    }
}

/// Makes a named pipe, to which nobody writes.
fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("start mkfifo");
    assert!(made.success(), "mkfifo");
}

fn folder(path: &Path) {
    std::fs::create_dir(path).expect("make a folder");
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6957328\n";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n";

fn text(value: &str) -> Field {
    Field::String(value.into())
}

/// Gives the tensor of the first query projection another type.
fn retype(kind: u32) -> impl Fn(&mut Vec<u8>) {
    move |bytes| {
        let name = b"blk.0.attn_q.weight";
        let at = bytes.windows(name.len()).position(|window| window == name).expect("the tensor") + name.len();
        // Behind the name: the number of dimensions, two of eight bytes, the type.
        bytes[at + 4 + 16..][..4].copy_from_slice(&kind.to_le_bytes());
    }
}

/// The one error of a command: exit code 2, a single line that tells it, a hint.
#[track_caller]
fn error(kind: &str, run: Run, words: &[&str]) -> String {
    let run = run.code(2);
    let errors: Vec<&str> = run.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(errors.len(), 1, "{kind}: not one error{run}");
    let hints = run.stderr.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!(hints, 1, "{kind}: not one hint{run}");
    for word in words {
        assert!(run.stderr.contains(word), "{kind}: no `{word}`{run}");
    }
    assert!(run.stdout.is_empty() && !run.stderr.contains("RUST_BACKTRACE"), "{kind}{run}");
    assert!(!run.stderr.contains("   0: "), "{kind}: a backtrace{run}");
    errors[0].strip_prefix("failed to ").unwrap_or(errors[0]).to_owned()
}

/// A suite with one case for a model.
fn suite(project: &Project, model: &str) {
    project.write_lines("golden.jsonl", &[json!({"id": "g1", "input": "Is it gold?", "target": "yes"})]);
    let yaml = format!(
        "version: 1\nname: desk\nmodels:\n  generator: {{model: \"{model}\"}}\n\
         datasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
         generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n"
    );
    project.write("suite.yaml", yaml);
}

/// Every cell of a row: `lint`, `run`, `generate` and its siblings.
#[track_caller]
fn refused((kind, make, words): &Row) {
    let thing = Thing::new();
    let (model, project) = (make(&thing), &thing.project);
    suite(project, &model);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    let karat = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("RUST_BACKTRACE", "1").output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    };
    let generate = error(kind, karat(&["generate", &model, "--in", "in.jsonl", "--out", "out.jsonl"]), words);
    let lint = error(kind, karat(&["lint", "suite.yaml"]), words);
    let dry = error(kind, karat(&["run", "suite.yaml", "--dry-run"]), words);
    assert_eq!(dry, generate, "{kind}: run --dry-run and generate");
    let run = error(kind, karat(&["run", "suite.yaml"]), words);
    assert_eq!(lint, generate, "{kind}: lint and generate");
    assert_eq!(run, generate, "{kind}: run and generate");
    assert!(project.runs("desk").is_empty(), "{kind}: a run was begun");
    assert!(!project.path("out.jsonl").exists(), "{kind}: an output was begun");
    project.write_lines("ids.jsonl", &[json!({"id": 1, "ids": [5, 6]})]);
    let sibling = karat(&["logprob", &model, "--in", "ids.jsonl", "--out", "out.jsonl"]);
    assert_eq!(error(kind, sibling, words), generate, "{kind}: logprob");
    project.write_lines("texts.jsonl", &[json!({"id": 1, "text": "Hi"})]);
    if !ROLES.iter().any(|(name, ..)| name == kind) && !words.iter().any(|word| word.contains("architecture")) {
        let renders = TEMPLATES.iter().any(|(name, ..)| name == kind);
        for command in if renders { &["render"][..] } else { &["render", "embed", "classify"] } {
            let command = *command;
            // A tokenizer is enough to render.
            if command == "render" && *kind == "configuration alone" {
                continue;
            }
            let input = if command == "render" { "in.jsonl" } else { "texts.jsonl" };
            let sibling = karat(&[command, &model, "--in", input, "--out", "out.jsonl"]);
            assert_eq!(error(kind, sibling, words), generate, "{kind}: {command}");
        }
    }
}

/// Every row of a table, so that all that fail are shown.
fn all(rows: &[Row]) {
    let failed = rows.iter().filter(|row| std::panic::catch_unwind(|| refused(row)).is_err());
    let failed: Vec<&str> = failed.map(|(kind, ..)| *kind).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn adapters_are_refused_in_every_command() {
    all(ADAPTERS);
}

#[test]
fn quantised_weights_are_refused_in_every_command() {
    all(QUANTISED);
}

#[test]
fn other_formats_are_refused_in_every_command() {
    all(FORMATS);
}

#[test]
fn what_lies_in_the_place_of_a_file_is_named_in_every_command() {
    all(STAND_INS);
}

#[test]
fn places_that_are_no_model_are_refused_in_every_command() {
    all(PLACES);
}

#[test]
fn gguf_files_that_are_not_read_are_refused_in_every_command() {
    all(GGUF);
}

#[test]
fn templates_that_are_none_are_refused_where_conversations_are_rendered() {
    all(TEMPLATES);
}

#[test]
fn models_of_another_purpose_are_refused_by_name() {
    all(ROLES);
}

/// Every row stands in the documentation's table, and no kind twice.
#[test]
fn the_table_of_the_documentation_is_this_one() {
    let docs = std::fs::read_to_string(repository("docs/models.md")).expect("read the documentation");
    let rows: Vec<&Row> =
        [ADAPTERS, QUANTISED, FORMATS, STAND_INS, PLACES, GGUF, TEMPLATES, ROLES].into_iter().flatten().collect();
    let listed: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for (kind, ..) in &rows {
        assert_eq!(listed.iter().filter(|name| *name == kind).count(), 1, "{kind} in docs/models.md");
    }
}
