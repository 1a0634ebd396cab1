//! What a model's generation_config.json does to answers: applied, greedy too, or said; over it what suite, line and flag ask for.
//!
//! The ids are those of transformers 5.24 (`model.generate` in float32); scripts/check_generation.py holds many more against it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, repository};

fn question() -> Value {
    json!({"id": 1, "messages": [{"role": "user", "content": "How can I pay?"}]})
}

/// karat-mini@2 with more in its generation_config.json.
fn mini(project: &Project, name: &str, fields: &Value) -> PathBuf {
    let from = repository("models/karat-mini/2");
    for file in std::fs::read_dir(&from).expect("list the model") {
        let file = file.expect("a file").path();
        let contents = std::fs::read(&file).expect("read a file");
        project.write(&format!("{name}/{}", file.file_name().expect("a name").to_string_lossy()), contents);
    }
    let path = format!("{name}/generation_config.json");
    let mut value: Value = serde_json::from_str(&project.read(&path)).expect("JSON");
    for (key, field) in fields.as_object().expect("fields") {
        value[key] = field.clone();
    }
    project.write(&path, value.to_string());
    project.path(name)
}

#[track_caller]
fn ask(project: &Project, model: &Path, line: &Value, flags: &[&str]) -> (Value, Run) {
    project.write_lines("in.jsonl", std::slice::from_ref(line));
    let run = project.karat(engine_args("generate", model, flags)).code(0);
    (serde_json::from_str(&project.read("out.jsonl")).expect("an answer"), run)
}

fn ids(answer: &Value) -> Vec<u64> {
    answer["ids"].as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id")).collect()
}

/// Fields of the file, the limit, and what transformers answers (without the end token).
fn reference() -> Vec<(Value, usize, Vec<u64>)> {
    let plain = vec![279, 347, 660, 331, 419, 16, 454, 455, 437, 444, 18];
    let bergen = vec![1171, 412, 316, 357, 1511, 16, 1535, 225, 21, 22, 18];
    let mut long = plain.clone();
    long.extend([454, 455, 18, 342, 342, 45, 444, 437, 858, 382, 320, 35]);
    let penalized = vec![
        1171, 412, 316, 357, 1511, 16, 1535, 225, 21, 22, 18, 18, 822, 5, 18, 1494, 18, 287, 1126, 5, 841, 18, 680,
        462, 18, 18, 1494, 325, 475, 1644, 1264, 262, 613, 87, 619, 2004, 310, 852, 1934, 1587,
    ];
    vec![
        (json!({}), 24, plain),
        (json!({"repetition_penalty": 1.5, "suppress_tokens": [279], "min_new_tokens": 30}), 40, penalized),
        (json!({"suppress_tokens": [279, 331]}), 24, bergen.clone()),
        (json!({"begin_suppress_tokens": [279]}), 24, bergen),
        (json!({"bad_words_ids": [[279, 347], [419]]}), 24, vec![279, 412, 316, 331, 454, 455, 18]),
        (json!({"min_new_tokens": 20}), 24, long.clone()),
        (json!({"min_length": 40}), 24, [&long[..], &[680]].concat()),
        (json!({"forced_eos_token_id": 7}), 6, vec![279, 347, 660, 331, 419, 7]),
        (json!({"sequence_bias": [[[347], -50.0]]}), 24, vec![279, 412, 316, 331, 419, 16, 454, 455, 437, 444, 18]),
        (json!({"eos_token_id": [5, 16.0]}), 24, vec![279, 347, 660, 331, 419]),
    ]
}

#[test]
fn the_file_is_applied_to_greedy_answers() {
    let project = Project::new();
    for (fields, limit, right) in reference() {
        let model = mini(&project, "m", &fields);
        let (answer, run) = ask(&project, &model, &question(), &["--max-new-tokens", &limit.to_string()]);
        assert_eq!(ids(&answer), right, "{fields}");
        assert!(!run.stderr.contains("warning"), "{fields}{run}");
    }
}

#[test]
fn line_and_flag_go_before_the_file_or_instead_of_it() {
    let project = Project::new();
    let plain = mini(&project, "plain", &json!({}));
    let model = mini(&project, "m", &json!({"suppress_tokens": [279], "min_new_tokens": 3}));
    let tokens = |model: &Path, line: &Value, flags: &[&str]| ids(&ask(&project, model, line, flags).0);
    let (first, bergen) = (tokens(&plain, &question(), &[]), tokens(&model, &question(), &[]));
    assert_ne!(first, bergen);
    assert_eq!(tokens(&model, &question(), &["--suppress-tokens", ""]), first);
    assert_eq!(tokens(&model, &question(), &["--ignore-generation-config"]), first);
    let flags = ["--suppress-tokens", "279,331", "--min-new-tokens", "20", "--repetition-penalty", "1.5"];
    let mut line = question();
    line["suppress_tokens"] = json!([279, 331]);
    line["min_new_tokens"] = json!(20);
    line["repetition_penalty"] = json!(1.5);
    let both = tokens(&plain, &question(), &flags);
    assert!(both.len() >= 20 && !both.contains(&279), "{both:?}");
    assert_eq!(tokens(&plain, &line, &[]), both);
    assert_eq!(tokens(&model, &line, &["--repetition-penalty", "9", "--min-new-tokens", "1"]), both);
    for (key, value) in [("repetition_penalty", json!(0)), ("suppress_tokens", json!(5)), ("min_new_tokens", json!(-1))]
    {
        let mut wrong = question();
        wrong[key] = value;
        project.write_lines("in.jsonl", &[wrong]);
        project.karat(engine_args("generate", &plain, &[])).code(2).complains(&["in.jsonl:1", "in.jsonl` line 1"]);
    }
    project
        .karat(engine_args("generate", &plain, &["--repetition-penalty", "-1"]))
        .code(2)
        .complains(&["repetition_penalty"]);
}

/// Whatever batch, order and accelerations: a processed answer is that of its own tokens.
#[test]
fn processed_answers_depend_on_nothing_else() {
    let project = Project::new();
    let fields = json!({
        "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "suppress_tokens": [331], "begin_suppress_tokens": [279],
        "bad_words_ids": [[412, 316], [1511]], "min_new_tokens": 12, "sequence_bias": [[[16], -1.0]],
    });
    let model = mini(&project, "m", &fields);
    let asked = |n: usize, draft: &Value| {
        let text = ["How can I pay?", "Where is my order?", "Who are you?", "Can I send it back?"][n % 4];
        let mut line = json!({"id": n, "prompt": format!("{text} {}", "Please help me. ".repeat(n / 2)), "seed": n});
        if n.is_multiple_of(3) {
            line["repetition_penalty"] = json!(1.0 + n as f64 / 10.0);
        }
        if !draft.is_null() {
            line["draft_ids"] = draft.clone();
        }
        line
    };
    let lines: Vec<Value> = (0..8).map(|n| asked(n, &Value::Null)).collect();
    for sampled in [&[][..], &["--temperature", "0.9", "--top-p", "0.95"]] {
        let flags = |more: &[&'static str]| [&["--max-new-tokens", "24"][..], sampled, more].concat();
        let right = project.engine_raw("generate", &model, &lines, &flags(&[]));
        for more in [
            &["--batch-tokens", "2", "--no-drafts", "--no-prefix-sharing", "--max-seqs", "1"][..],
            &["--batch-tokens", "7", "--prefill-chunk", "3", "--threads", "1"],
            &["--no-drafts", "--max-seqs", "3"],
        ] {
            assert_eq!(project.engine_raw("generate", &model, &lines, &flags(more)), right, "{more:?}");
        }
        let answers: Vec<Value> = right.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let drafted = |wrong: bool| {
            let drafts = (0..8).map(|n| {
                let mut draft = answers[n]["ids"].clone();
                if wrong {
                    draft[n + 2] = json!(412);
                }
                asked(n, &draft)
            });
            drafts.collect::<Vec<_>>()
        };
        for wrong in [false, true] {
            assert_eq!(project.engine_raw("generate", &model, &drafted(wrong), &flags(&[])), right, "drafts, {wrong}");
        }
        let backwards: Vec<Value> = lines.iter().rev().cloned().collect();
        let mut turned = project.engine_raw("generate", &model, &backwards, &flags(&[]));
        turned.reverse();
        assert_eq!(turned, right);
    }
}

#[test]
fn processors_are_part_of_what_decides_a_kept_answer() {
    let project = Project::caching();
    let cached = |run: &Run| run.stderr.contains(" 1 answers from the cache");
    let model = mini(&project, "m", &json!({"repetition_penalty": 1.5}));
    let (first, run) = ask(&project, &model, &question(), &[]);
    assert!(!cached(&run));
    let calls: [(&[&str], bool); 8] = [
        (&[], true),
        (&["--repetition-penalty", "1.5"], true),
        (&["--repetition-penalty", "1.6"], false),
        (&["--ignore-generation-config"], false),
        (&["--repetition-penalty", "1"], true),
        (&["--min-new-tokens", "20"], false),
        (&["--suppress-tokens", "279"], false),
        (&["--no-repeat-ngram-size", "2"], false),
    ];
    for (flags, kept) in calls {
        let (answer, run) = ask(&project, &model, &question(), flags);
        assert_eq!(cached(&run), kept, "{flags:?}{run}");
        if flags.is_empty() {
            assert_eq!(answer, first);
        }
    }
}

/// A suite of one case on a model.
fn suite(project: &Project, generation: &str) {
    project.write("golden.jsonl", format!("{}\n", json!({"id": "pay", "input": "How can I pay?", "target": "card"})));
    let text = format!(
        "version: 1\nname: s\nmodels: {{generator: {{model: ./m}}}}\n\
         datasets: [{{name: golden, kind: golden, file: golden.jsonl, scorers: [contains]}}]\n\
         scorers: [contains]\ngeneration: {{max_new_tokens: 24{generation}}}\n"
    );
    project.write("suite.yaml", text);
}

fn last_run(project: &Project, before: usize) -> (Value, Value) {
    let runs = project.runs("s");
    assert_eq!(runs.len(), before + 1);
    let newest = runs
        .iter()
        .max_by_key(|run| std::fs::metadata(run.join("manifest.json")).and_then(|m| m.modified()).expect("a time"));
    let read = |file: &str| std::fs::read_to_string(newest.expect("a run").join(file)).expect("read");
    let line = read("results.jsonl").lines().next().map(|line| serde_json::from_str(line).expect("JSON"));
    (line.expect("a case"), serde_json::from_str(&read("manifest.json")).expect("JSON"))
}

#[test]
fn a_suite_asks_for_processors_and_a_comparison_names_them() {
    let project = Project::new();
    mini(&project, "m", &json!({"suppress_tokens": [279]}));
    suite(&project, "");
    project.karat(["run", "suite.yaml", "-q"]);
    let (applied, manifest) = last_run(&project, 0);
    assert!(!applied["output_ids"].as_array().expect("ids").contains(&json!(279)), "{applied}");
    let plan = manifest["plan"]["generation"].as_object().expect("a plan").clone();
    for key in ["suppress_tokens", "generation_config", "repetition_penalty", "min_new_tokens"] {
        assert!(!plan.contains_key(key), "{key} stands in a plan that does not use it");
    }
    suite(&project, ", generation_config: ignore, min_new_tokens: 15");
    project.karat(["run", "suite.yaml", "-q"]);
    let (ignored, manifest) = last_run(&project, 1);
    let answer = ignored["output_ids"].as_array().expect("ids");
    assert!(answer[0] == 279 && answer.len() >= 15, "{ignored}");
    let plan = &manifest["plan"]["generation"];
    assert_eq!((&plan["generation_config"], &plan["min_new_tokens"]), (&json!("ignore"), &json!(15)));
    let runs = project.runs("s");
    let named = |run: &PathBuf| run.to_string_lossy().into_owned();
    let compared = project.karat(["compare", &named(&runs[0]), &named(&runs[1])]);
    assert!(compared.stdout.contains("min_new_tokens") && compared.stdout.contains("generation_config"), "{compared}");
    suite(&project, ", repetition_penalty: 0");
    project.karat(["lint", "suite.yaml"]).code(2).complains(&["repetition_penalty"]);
    suite(&project, ", generation_config: skip");
    project.karat(["lint", "suite.yaml"]).code(2).complains(&["unknown name `skip`"]);
}

#[test]
fn what_is_not_applied_is_said_by_generate_run_and_lint() {
    let project = Project::new();
    let model = mini(&project, "m", &json!({"num_beams": 4, "do_sample": true, "temperature": 0.6, "min_p": 0.1}));
    let said = "warning: generation_config.json sets `num_beams: 4`, which karat does not apply";
    suite(&project, "");
    let (answer, run) = ask(&project, &model, &question(), &["-q"]);
    assert!(run.stderr.contains(said) && !run.stderr.contains("min_p"), "{run}");
    assert_eq!(ids(&answer), reference()[0].2, "greedy, whatever the file says");
    let run = project.karat(["run", "suite.yaml", "-q"]);
    assert!(run.stderr.contains(said), "{run}");
    project.karat(["lint", "suite.yaml"]).code(0).complains(&[said]);
    suite(&project, ", generation_config: ignore");
    let lint = project.karat(["lint", "suite.yaml"]);
    assert!(!lint.stderr.contains("num_beams"), "{lint}");
}

#[test]
fn tokens_beyond_the_vocabulary_are_errors_or_said() {
    let project = Project::new();
    suite(&project, "");
    project.write_lines("in.jsonl", &[question()]);
    for name in ["forced_bos_token_id", "forced_eos_token_id"] {
        let model = mini(&project, "m", &json!({ name: 99_999 }));
        for args in [engine_args("generate", &model, &[]), vec!["lint".into(), "suite.yaml".into()]] {
            project.karat(args).code(2).complains(&["generation_config.json"]).complains(&[name]).complains(&["99999"]);
        }
        project.karat(["run", "suite.yaml"]).code(2).complains(&[name]).complains(&["generation_config.json"]);
    }
    // transformers suppresses nothing there.
    let said = "warning: `suppress_tokens` 99999 of generation_config.json is not in the vocabulary of 2048";
    let model = mini(&project, "m", &json!({"suppress_tokens": [99_999]}));
    let (answer, run) = ask(&project, &model, &question(), &["-q"]);
    assert!(run.stderr.contains(said), "{run}");
    assert_eq!(ids(&answer), reference()[0].2);
    project.karat(["lint", "suite.yaml"]).code(0).complains(&[said]);
    // What suite, flag or line ask for is a mistake.
    let told = "token 99999 of `suppress_tokens` is outside the vocabulary of 2048";
    project.karat(engine_args("generate", &model, &["--suppress-tokens", "99999"])).code(2).complains(&[told]);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Why?", "suppress_tokens": [99_999]})]);
    project.karat(engine_args("generate", &model, &[])).code(3);
    assert!(project.read("out.jsonl").contains(told));
    suite(&project, ", suppress_tokens: [99999]");
    for command in [&["lint", "suite.yaml"][..], &["run", "suite.yaml", "--dry-run"], &["run", "suite.yaml"]] {
        project.karat(command).code(2).complains(&[told]);
    }
}

#[test]
fn end_tokens_that_name_none_are_errors_or_said() {
    let project = Project::new();
    suite(&project, "");
    project.write_lines("in.jsonl", &[question()]);
    for wrong in [json!("1"), json!("<|end|>"), json!([[1]]), json!([null]), json!(1.5), json!(true)] {
        let model = mini(&project, "m", &json!({ "eos_token_id": wrong }));
        project.karat(engine_args("generate", &model, &[])).code(2).complains(&["generation_config.json"]);
        project.karat(["lint", "suite.yaml"]).code(2).complains(&["eos_token_id"]);
    }
    let none = "warning: no end-of-sequence token is known";
    let model = mini(&project, "m", &json!({"eos_token_id": []}));
    let (answer, run) = ask(&project, &model, &question(), &["-q", "--max-new-tokens", "20"]);
    assert!(answer["finish"] == "length" && run.stderr.contains(none), "{answer}{run}");
    let (_, run) = ask(&project, &model, &question(), &["--ignore-eos", "--max-new-tokens", "5"]);
    assert!(!run.stderr.contains(none), "{run}");
    project.karat(["lint", "suite.yaml"]).code(0).complains(&[none]);
}

#[test]
fn a_choice_without_candidates_is_an_error_of_its_line() {
    let project = Project::new();
    let all: Vec<u32> = (0..2048).collect();
    let model = mini(&project, "m", &json!({}));
    let line = |id: u32, ids: &[u32]| json!({"id": id, "prompt": "Why?", "suppress_tokens": ids});
    project.write_lines("in.jsonl", &[line(1, &all), line(2, &[5])]);
    project.karat(engine_args("generate", &model, &["--max-new-tokens", "4"])).code(3);
    let lines: Vec<Value> =
        project.read("out.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines[0]["error"].as_str().is_some_and(|error| error.contains("logits processors")), "{}", lines[0]);
    assert!(lines[1].get("error").is_none(), "{}", lines[1]);
}
