//! Answers that were computed before: what finds them, what must not, and what a damaged store does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use karat::engine::chat::Clock;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::options::EngineOptions;
use karat::engine::render::Renderer;
use karat::engine::response_cache::ResponseCache;
use karat::engine::{CaseKey, GenerateOptions, Generator, Prompt, Request, Response};
use serde_json::{Value, json};

use crate::project::{Project, engine_args, random_tiny, repository};

const FLAGS: &[&str] = &["--max-new-tokens", "12"];
const SAMPLED: &[&str] = &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "3"];

fn lines(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"id": i, "prompt": format!("Question {i}: why?")})).collect()
}

/// Runs `generate`; the output and how many answers came from the cache.
#[track_caller]
fn ask(project: &Project, model: &Path, lines: &[Value], flags: &[&str]) -> (String, usize) {
    project.write_lines("in.jsonl", lines);
    let run = project.karat(engine_args("generate", model, flags)).code(0);
    let before = run.stderr.split(" answers from the cache").next().expect("a text");
    let number = before.rsplit(' ').next().and_then(|number| number.parse().ok());
    (project.read("out.jsonl"), number.unwrap_or_else(|| panic!("no number of answers from the cache{run}")))
}

/// The files of answers.
fn segments(project: &Project) -> Vec<PathBuf> {
    let mut files = project.files();
    files.retain(|path| path.extension() == Some("log".as_ref()));
    files
}

/// A copy of a model folder.
fn copy(project: &Project, from: &Path, name: &str) -> PathBuf {
    for file in std::fs::read_dir(from).expect("list a model") {
        let file = file.expect("a file").path();
        let contents = std::fs::read(&file).expect("read a file");
        project.write(&format!("{name}/{}", file.file_name().expect("a name").to_string_lossy()), contents);
    }
    project.path(name)
}

#[test]
fn an_unchanged_prompt_is_not_computed_again() {
    for flags in [FLAGS, SAMPLED] {
        let (project, model) = (Project::caching(), random_tiny());
        let (first, cached) = ask(&project, &model, &lines(20), flags);
        assert_eq!(cached, 0);
        assert_eq!(ask(&project, &model, &lines(20), flags), (first.clone(), 20));
        // One prompt is another one; its answer alone is computed.
        let mut changed = lines(20);
        changed[7]["prompt"] = json!("Something else?");
        let (second, cached) = ask(&project, &model, &changed, flags);
        assert_eq!(cached, 19);
        assert_eq!(ask(&Project::new(), &model, &changed, flags), (second, 0));
        // Not wanted: computed, with the same bytes.
        assert_eq!(ask(&project, &model, &lines(20), &[flags, &["--no-cache"]].concat()), (first, 0));
    }
}

#[test]
fn every_option_that_shapes_an_answer_is_in_the_key() {
    let (project, model) = (Project::caching(), random_tiny());
    ask(&project, &model, &lines(4), SAMPLED);
    let other: [&[&str]; 7] = [
        &["--max-new-tokens", "13", "--temperature", "0.8", "--seed", "3"],
        &["--max-new-tokens", "12", "--temperature", "0.7", "--seed", "3"],
        &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "4"],
        &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "3", "--top-p", "0.9"],
        &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "3", "--top-k", "9"],
        &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "3", "--stop", "e"],
        &["--max-new-tokens", "12", "--temperature", "0.8", "--seed", "3", "--ignore-eos"],
    ];
    for flags in other {
        let (answers, cached) = ask(&project, &model, &lines(4), flags);
        assert_eq!(cached, 0, "{flags:?}");
        assert_eq!(ask(&Project::new(), &model, &lines(4), flags).0, answers, "{flags:?}");
    }
    // Another case has other random numbers.
    let mut renamed = lines(4);
    renamed.iter_mut().for_each(|line| line["id"] = json!(format!("x{}", line["id"])));
    assert_eq!(ask(&project, &model, &renamed, SAMPLED).1, 0);
    // A greedy answer has none: neither seed nor name matter.
    ask(&project, &model, &lines(4), FLAGS);
    assert_eq!(ask(&project, &model, &renamed, &[FLAGS, &["--seed", "9"]].concat()).1, 4);
}

#[test]
fn another_model_under_the_same_name_gives_its_own_answers() {
    let project = Project::caching();
    let model = copy(&project, &random_tiny(), "model");
    let (first, _) = ask(&project, &model, &lines(6), FLAGS);
    let weights = model.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("read weights");
    // Signs: the upper byte of every f32, or of every second f16.
    let half = bytes.len() / 8 * 4;
    bytes[half..].iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 0x80);
    std::fs::write(&weights, bytes).expect("write weights");
    let (second, cached) = ask(&project, &model, &lines(6), FLAGS);
    assert_eq!(cached, 0);
    assert_ne!(first, second);
    // The template shows in the prompt's tokens, or does not matter; the first model is where it was.
    let moved = copy(&project, &random_tiny(), "elsewhere");
    project.write("elsewhere/chat_template.jinja", "{{ messages }}");
    assert_eq!(ask(&project, &moved, &lines(6), FLAGS), (first, 6));
}

#[test]
fn answers_that_are_not_to_be_recorded_are_not_kept() {
    let project = Project::caching();
    let suite = repository("datasets/support-desk").to_string_lossy().into_owned();
    let run = |flags: &[&str]| {
        let fixed = ["run", &suite, "--quiet", "--no-baseline", "--limit", "3"];
        project.karat(fixed.iter().chain(flags));
        segments(&project).len()
    };
    assert_eq!(run(&["--no-outputs"]), 0);
    assert_eq!(run(&[]), 1);
}

/// One answer of a generator whose answers are kept in `cache`.
fn answer(model: &ModelFolder, cache: &Path, prompt: &str) -> karat::error::Result<Response> {
    let options = EngineOptions::default();
    let known = ResponseCache::open(cache, model, &options)?;
    let renderer = Arc::new(Renderer::open(model, Clock::default())?);
    let mut generator = Generator::with_cache(model, renderer, &options, Some(known))?;
    let options = GenerateOptions { max_new_tokens: 9, ..GenerateOptions::default() };
    let prompt = Prompt::Text(prompt.into());
    let request = Request { prompt, options, key: CaseKey::default(), draft: Vec::new() };
    let mut answers = Vec::new();
    generator.generate(
        std::iter::once(Ok(request)),
        |_, response| {
            answers.push(response);
            Ok(())
        },
        |_| Ok(()),
    )?;
    generator.keep()?;
    Ok(answers.remove(0))
}

#[test]
fn weights_are_not_touched_for_an_answer_that_is_known() {
    let project = Project::new();
    let path = copy(&project, &random_tiny(), "model");
    let cache = project.path("answers");
    let first = answer(&ModelFolder::new(&path), &cache, "Once").expect("an answer");
    let model = ModelFolder::new(&path);
    model.hashes().expect("hash the model");
    // Cut in its place, after it was hashed.
    std::fs::File::create(path.join("model.safetensors")).expect("cut the weights");
    assert_eq!(answer(&model, &cache, "Once").expect("the answer again"), first);
    let error = answer(&model, &cache, "Twice").expect_err("an answer without weights");
    assert!(error.to_string().contains("was changed while it was read"), "{error}");
}

#[test]
fn processes_at_once_share_what_is_there_and_keep_what_they_compute() {
    let (project, model) = (Project::caching(), random_tiny());
    let all = lines(9);
    ask(&project, &model, &all[..3], FLAGS);
    let folder = ModelFolder::new(&model);
    let cache = project.path("cache/responses");
    let held = || ResponseCache::open(&cache, &folder, &EngineOptions::default()).expect("open the cache");
    // One process holds the first segment, another one the second.
    let first = held();
    assert_eq!(ask(&project, &model, &all[..6], FLAGS).1, 3);
    let second = held();
    assert_eq!(ask(&project, &model, &all, FLAGS).1, 6);
    assert_eq!(segments(&project).len(), 3);
    let text = project.karat(["cache", "stats"]).code(0).stdout;
    assert!(text.contains(" 9 answers"), "{text}");
    drop((first, second));
    let (answers, cached) = ask(&project, &model, &all, FLAGS);
    assert_eq!((answers, cached), (ask(&Project::new(), &model, &all, FLAGS).0, 9));
    assert_eq!(segments(&project).len(), 3);
}

#[test]
fn two_runs_at_the_same_time_both_keep_their_answers() {
    let (project, model) = (Project::caching(), random_tiny());
    let all = lines(40);
    let running: Vec<_> = [("a", &all[..25]), ("b", &all[15..])]
        .into_iter()
        .map(|(name, lines)| {
            project.write_lines(&format!("{name}.jsonl"), lines);
            let (input, output) = (format!("{name}.jsonl"), format!("{name}.out"));
            let model = model.to_string_lossy();
            let args = [&["generate", &model, "--in", &input, "--out", &output, "--quiet"], FLAGS].concat();
            project.command(args).spawn().expect("start karat")
        })
        .collect();
    for mut run in running {
        assert!(run.wait().expect("wait for karat").success());
    }
    let (answers, cached) = ask(&project, &model, &all, FLAGS);
    assert_eq!((answers, cached), (ask(&Project::new(), &model, &all, FLAGS).0, 40));
}

#[test]
fn what_is_kept_already_is_not_kept_twice() {
    let (project, model) = (Project::caching(), random_tiny());
    ask(&project, &model, &[lines(5), lines(5)].concat(), &["--max-new-tokens", "12", "--window", "2"]);
    let size = || std::fs::metadata(&segments(&project)[0]).expect("a segment").len();
    let first = size();
    let text = project.karat(["cache", "stats"]).code(0).stdout;
    assert!(text.contains(" 5 answers"), "{text}");
    ask(&project, &model, &lines(5), FLAGS);
    assert_eq!(size(), first);
}

#[test]
fn clear_leaves_what_another_process_uses() {
    let (project, model) = (Project::caching(), random_tiny());
    ask(&project, &model, &lines(3), FLAGS);
    let folder = ModelFolder::new(&model);
    let cache = project.path("cache/responses");
    let held = ResponseCache::open(&cache, &folder, &EngineOptions::default()).expect("open the cache");
    ask(&project, &model, &lines(5), FLAGS);
    let former = project.write("cache/responses/0123.redb", "of a former version");
    assert!(project.karat(["cache", "stats"]).code(0).stdout.contains("of another version"));
    let text = project.karat(["cache", "clear"]).code(0).stdout;
    assert_eq!((text.matches("in use by another karat; left").count(), former.exists()), (1, false), "{text}");
    assert_eq!(segments(&project).len(), 1);
    drop(held);
    assert_eq!(ask(&project, &model, &lines(5), FLAGS).1, 3);
    let text = project.karat(["cache", "clear"]).code(0).stdout;
    assert!(!text.contains("left") && segments(&project).is_empty(), "{text}");
}

#[test]
fn a_damaged_store_costs_time_and_no_answer() {
    let model = random_tiny();
    let project = Project::caching();
    let (right, _) = ask(&project, &model, &lines(30), FLAGS);
    let [path] = segments(&project).try_into().expect("one segment");
    let whole = std::fs::read(&path).expect("read the store");
    // Bits in every part of the file, and less and less of it.
    for part in 0..24 {
        let mut damaged = whole.clone();
        let (start, end) = (whole.len() * part / 24, whole.len() * (part + 1) / 24);
        damaged[start..end].iter_mut().step_by(97).for_each(|byte| *byte ^= 1 << (part % 8));
        std::fs::write(&path, damaged).expect("damage the store");
        assert_eq!(ask(&project, &model, &lines(30), FLAGS).0, right, "part {part}");
        assert_eq!(ask(&project, &model, &lines(30), FLAGS).0, right, "part {part}, mended or begun anew");
        assert_eq!(ask(&project, &model, &lines(30), FLAGS), (right.clone(), 30), "part {part}, at the third time");
    }
    for length in [0, 1, 20, 100, 1000, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("cut the store");
        assert_eq!(ask(&project, &model, &lines(30), FLAGS).0, right, "{length} bytes");
        assert_eq!(ask(&project, &model, &lines(30), FLAGS), (right.clone(), 30), "{length} bytes, begun anew");
    }
}

#[test]
fn stats_and_clear_tell_what_is_there() {
    let (project, model) = (Project::caching(), random_tiny());
    let stats = || project.karat(["cache", "stats"]).code(0).stdout;
    assert!(stats().contains("0 answers"), "{}", stats());
    ask(&project, &model, &lines(5), FLAGS);
    ask(&project, &model, &lines(5), SAMPLED);
    let text = stats();
    assert!(text.contains("10 answers") && text.contains("random-tiny"), "{text}");
    project.karat(["cache", "clear"]).code(0);
    assert!(stats().contains("0 answers"), "{}", stats());
    assert_eq!(ask(&project, &model, &lines(5), FLAGS).1, 0);
    // Turned off, there is nothing to tell of.
    Project::new().karat(["cache", "stats"]).code(2).complains(&["KARAT_CACHE"]);
}

#[test]
#[cfg(unix)]
fn answers_are_their_user_s_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (project, model) = (Project::caching(), random_tiny());
    ask(&project, &model, &lines(2), FLAGS);
    let segment = segments(&project).pop().expect("a segment");
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").mode() & 0o777;
    let folders = segment.ancestors().skip(1).take_while(|folder| folder.file_name() != Some("cache".as_ref()));
    let modes: Vec<u32> = folders.map(mode).collect();
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o700), "{modes:?}");
    assert_eq!(mode(&segment), 0o600);
    // What a former version left to everybody is taken back.
    std::fs::set_permissions(&segment, std::fs::Permissions::from_mode(0o644)).expect("set permissions");
    assert_eq!(ask(&project, &model, &lines(2), FLAGS).1, 2);
    assert_eq!(mode(&segment), 0o600);
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_and_no_answer() {
    let (project, model) = (Project::caching(), random_tiny());
    project.write("cache", "a file");
    project.write_lines("in.jsonl", &lines(3));
    let run = project.karat(engine_args("generate", &model, FLAGS)).code(0).complains(&["without the cache"]);
    drop(run);
    assert_eq!(project.read("out.jsonl"), ask(&Project::new(), &model, &lines(3), FLAGS).0);
}
