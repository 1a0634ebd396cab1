//! Model files that are replaced while karat works with them: an answer is the one of the model that was hashed, or there is none.
//!
//! With a warm cache the weights load at the first answer that it does not hold, long after they were hashed: no race is needed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use candle_core::quantized::GgmlDType;
use karat::engine::models::count_weights;
use karat::engine::models::model_folder::ModelFolder;
use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, fixture, random_tiny};
use crate::to_gguf::convert;

const FLAGS: &[&str] = &["--max-new-tokens", "12", "--quiet"];

/// Lines whose answers the cache holds: more than a buffer of standard output takes.
const KNOWN: usize = 400;

/// A copy of a model folder.
fn copy(project: &Project, from: &Path) -> PathBuf {
    for file in std::fs::read_dir(from).expect("list a model") {
        let file = file.expect("a file").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        project.write(&format!("model/{name}"), std::fs::read(&file).expect("read a file"));
    }
    project.path("model")
}

/// The weights of another model of the same shape: the signs of half of all values are turned.
fn other(weights: &[u8]) -> Vec<u8> {
    let mut bytes = weights.to_vec();
    let half = bytes.len() / 8 * 4;
    bytes[half..].iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 0x80);
    bytes
}

/// Writes into the file that is there, as a training job would that keeps it open.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().write(true).open(path).expect("open a file");
    file.write_all(bytes).expect("write into a file");
}

fn rename_over(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).expect("write a file");
    std::fs::rename(new, path).expect("rename a file");
}

/// The answer to a question alone, with the cache of a project.
#[track_caller]
fn asked(project: &Project, model: &Path, prompt: &str) -> Value {
    let line = json!({"id": "x", "prompt": prompt});
    project.engine("generate", model, &[line], FLAGS)[0]["text"].clone()
}

/// One process that answers what the cache holds, sees `swap`, and is asked what the cache does not hold.
#[track_caller]
fn asked_over_a_swap(project: &Project, model: &Path, swap: impl FnOnce()) -> (Run, Vec<Value>) {
    let mut args = engine_args("generate", model, FLAGS);
    args.iter_mut().filter(|arg| arg.ends_with(".jsonl")).for_each(|arg| "-".clone_into(arg));
    let mut command = project.command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start karat");
    let mut input = child.stdin.take().expect("standard input");
    (0..KNOWN).for_each(|id| writeln!(input, "{}", json!({"id": id, "prompt": "known"})).expect("write a line"));
    input.flush().expect("write the lines");
    // An answer has come: everything is hashed.
    let mut first = [0];
    child.stdout.as_mut().expect("standard output").read_exact(&mut first).expect("an answer");
    swap();
    writeln!(input, "{}", json!({"id": "new", "prompt": "new"})).expect("write a line");
    drop(input);
    let mut output = child.wait_with_output().expect("wait for karat");
    output.stdout.insert(0, first[0]);
    let run = Run::new(format!("{command:?}"), output);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let answers = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (run, answers)
}

#[test]
fn weights_replaced_after_they_were_hashed_give_no_answer_under_the_old_hash() {
    let prepared = Project::new();
    let model = copy(&prepared, &random_tiny());
    let old = std::fs::read(model.join("model.safetensors")).expect("read the weights");
    let new = other(&old);
    let right = asked(&prepared, &model, "new");
    std::fs::write(model.join("model.safetensors"), &new).expect("write the weights");
    let wrong = asked(&prepared, &model, "new");
    assert_ne!(right, wrong, "two models that can be told apart");

    type Swap<'a> = &'a dyn Fn(&Path);
    let swaps: [(&str, i32, Swap<'_>); 6] = [
        ("renamed over", 0, &|path| rename_over(path, &new)),
        ("renamed over, and back", 0, &|path| {
            rename_over(path, &new);
            rename_over(path, &old);
        }),
        ("removed", 0, &|path| std::fs::remove_file(path).expect("remove the weights")),
        ("written into", 2, &|path| overwrite(path, &new)),
        ("written into, and back", 0, &|path| {
            overwrite(path, &new);
            overwrite(path, &old);
        }),
        ("cut", 2, &|path| overwrite_and_cut(path)),
    ];
    for (how, code, swap) in swaps {
        let project = Project::caching();
        let model = copy(&project, &random_tiny());
        let weights = model.join("model.safetensors");
        asked(&project, &model, "known");
        let (run, answers) = asked_over_a_swap(&project, &model, || swap(&weights));
        let run = run.code(code);
        match code {
            0 => assert_eq!((answers.len(), &answers[KNOWN]["text"]), (KNOWN + 1, &right), "{how}"),
            _ => {
                assert!(answers.iter().all(|answer| answer["id"] != "new"), "{how}");
                drop(run.complains(&["`model.safetensors` was changed while it was read"]));
            }
        }
        // Whatever was kept is kept by what it was computed with.
        rename_over(&weights, &new);
        assert_eq!(asked(&project, &model, "new"), wrong, "{how}: the other model, the same cache");
        rename_over(&weights, &old);
        assert_eq!(asked(&project, &model, "new"), right, "{how}: the model again, the same cache");
    }
}

fn overwrite_and_cut(path: &Path) {
    std::fs::File::options().write(true).open(path).and_then(|file| file.set_len(1000)).expect("cut the weights");
}

#[test]
fn texts_of_a_model_are_read_once() {
    let project = Project::caching();
    let model = copy(&project, &random_tiny());
    let right = asked(&Project::new(), &model, "new");
    asked(&project, &model, "known");
    let texts = ["config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"];
    let there: Vec<PathBuf> = texts.iter().map(|name| model.join(name)).filter(|path| path.is_file()).collect();
    assert!(there.len() > 1, "{there:?}");
    let before: Vec<Vec<u8>> = there.iter().map(|path| std::fs::read(path).expect("read a file")).collect();
    let (run, answers) = asked_over_a_swap(&project, &model, || {
        there.iter().for_each(|path| std::fs::write(path, "{}").expect("write a file"));
    });
    drop(run.code(0));
    assert_eq!(answers[KNOWN]["text"], right);
    there.iter().zip(before).for_each(|(path, bytes)| std::fs::write(path, bytes).expect("write a file"));
    assert_eq!(asked(&project, &model, "new"), right);
}

/// A GGUF file that is named by its path, and the tokenizer beside it that it lacks.
#[test]
fn a_named_gguf_file_is_opened_once() {
    let make = |project: &Project| convert(project, &random_tiny(), |_| GgmlDType::F32);
    let prepared = Project::new();
    let folder = make(&prepared);
    let file = folder.join("model.gguf");
    let new = other(&std::fs::read(&file).expect("read a file"));
    let right = asked(&prepared, &file, "new");
    rename_over(&file, &new);
    let wrong = asked(&prepared, &file, "new");
    assert_ne!(right, wrong, "two models that can be told apart");

    type Swap<'a> = &'a dyn Fn(&Path);
    let swaps: [(&str, i32, Swap<'_>); 4] = [
        ("renamed over", 0, &|folder| rename_over(&folder.join("model.gguf"), &new)),
        ("removed", 0, &|folder| std::fs::remove_file(folder.join("model.gguf")).expect("remove a file")),
        ("written into", 2, &|folder| overwrite(&folder.join("model.gguf"), &new)),
        ("its tokenizer written into", 0, &|folder| overwrite(&folder.join("tokenizer.json"), b"[]")),
    ];
    for (how, code, swap) in swaps {
        let project = Project::caching();
        let folder = make(&project);
        let file = folder.join("model.gguf");
        asked(&project, &file, "known");
        let (run, answers) = asked_over_a_swap(&project, &file, || swap(&folder));
        let run = run.code(code);
        match code {
            0 => assert_eq!((answers.len(), &answers[KNOWN]["text"]), (KNOWN + 1, &right), "{how}"),
            _ => {
                assert!(answers.iter().all(|answer| answer["id"] != "new"), "{how}");
                drop(run.complains(&["`model.gguf` was changed while it was read"]));
            }
        }
        if code == 2 {
            assert_eq!(asked(&project, &file, "new"), wrong, "{how}: the other model, the same cache");
        }
    }
}

#[test]
fn what_is_hashed_last_is_what_was_read_first() {
    for name in ["llama", "bert-mean", "mpnet-dense"] {
        let project = Project::new();
        for file in ModelFolder::new(fixture(name)).hashes().expect("hash a model").keys() {
            project.write(&format!("model/{file}"), std::fs::read(fixture(name).join(file)).expect("read a file"));
        }
        let path = project.path("model");
        let expected = ModelFolder::new(fixture(name)).hashes().expect("hash a model");
        assert_eq!(ModelFolder::new(&path).hashes().expect("hash the copy"), expected, "{name}");
        for file in expected.keys() {
            let (model, changed) = (ModelFolder::new(&path), path.join(file));
            let old = std::fs::read(&changed).expect("read a file");
            // Its header is read, or all of it where it is a text.
            if file.ends_with(".safetensors") {
                drop(count_weights(&model).expect("count weights"))
            } else {
                drop(model.read(file).expect("read a file"))
            }
            let mut new = old.clone();
            *new.last_mut().expect("a byte") ^= 1;
            overwrite(&changed, &new);
            match (file.as_str(), model.hashes()) {
                ("model.safetensors", hashes) => {
                    let error = hashes.expect_err("weights that changed");
                    assert!(error.message().contains("changed while it was read"), "{name}: {error}");
                }
                // Of a module's file nothing was read before.
                (_, Ok(hashes)) if file.ends_with(".safetensors") => assert_ne!(hashes, expected, "{name}: {file}"),
                (_, hashes) => assert_eq!(hashes.expect("what was read"), expected, "{name}: {file}"),
            }
            overwrite(&changed, &old);
        }
    }
}

#[test]
fn a_hash_that_was_remembered_belongs_to_contents_and_to_no_file() {
    let project = Project::caching();
    let model = copy(&project, &random_tiny());
    let weights = model.join("model.safetensors");
    let old = std::fs::read(&weights).expect("read the weights");
    asked(&project, &model, "new");
    assert!(project.path("cache/hashes.json").is_file());
    // The same inode, size and time of change, as far as a file system lets anyone set it.
    let time = std::fs::metadata(&weights).and_then(|data| data.modified()).expect("a time");
    overwrite(&weights, &other(&old));
    std::fs::File::options().write(true).open(&weights).and_then(|file| file.set_modified(time)).expect("set the time");
    assert_eq!(asked(&project, &model, "new"), asked(&Project::new(), &model, "new"));
}

#[test]
fn a_record_names_what_answered_and_says_what_hashing_cost() {
    let project = Project::caching();
    let model = copy(&project, &random_tiny());
    let case = json!({"id": "g1", "input": "Is it gold?", "target": "yes"});
    project.write_lines("golden.jsonl", &[case]);
    let yaml = "version: 1\nname: desk\nmodels:\n  generator: {model: ./model}\n\
                datasets:\n  - {name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}\n\
                generation: {max_new_tokens: 4}\nscorers: [exact_match]\n";
    project.write("suite.yaml", yaml);
    let expected = serde_json::to_value(ModelFolder::new(&model).hashes().expect("hash a model")).expect("JSON");
    let length = std::fs::metadata(model.join("model.safetensors")).expect("a file").len();
    // Without a cache weights load first and are hashed as they are read; with one they are hashed first.
    for flags in [&["--no-cache"][..], &[], &[]] {
        project.karat(["run", "--quiet", "--no-baseline", "suite.yaml"].iter().chain(flags)).code(0);
        let run = project.runs("desk").pop().expect("a run");
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(run.join(name)).expect("read a record")).expect("JSON")
        };
        assert_eq!(read("manifest.json")["hashes"]["models"]["generator"], expected);
        let cost = &read("performance.json")["hashing"]["generator"];
        let bytes = cost["bytes"].as_u64().expect("bytes");
        assert!((length..6 * length).contains(&bytes) && cost["seconds"].as_f64().expect("seconds") > 0.0, "{cost}");
    }
}
