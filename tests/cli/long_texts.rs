//! Texts that are longer than an encoder reads: what stands behind the limit is seen, or it is said that it was not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, fixture, repository};

const CALM: &str = "Our shop sells tents and stoves. We deliver in three days. ";
const RUDE: &str = "You are a stupid worthless idiot and I hate you.";

/// A suite with one scorer over a dataset of cases without questions, and what was answered to them.
fn project(scorer: &str, cases: &[(String, String, String)]) -> Project {
    let project = Project::new();
    let [embedder, toxicity] = ["models/karat-embed", "models/karat-toxicity"].map(repository);
    let name = scorer.split(':').next().unwrap_or_default();
    let suite = format!(
        "version: 1\nname: long\nmodels: {{embedder: {{model: '{}'}}, toxicity: {{model: '{}'}}}}\ndatasets:\n\
         \x20 - {{name: d, kind: golden, file: d.jsonl, scorers: [{name}]}}\nscorers:\n  - {scorer}\n",
        embedder.display(),
        toxicity.display()
    );
    project.write("suite.yaml", suite);
    let case = |(id, target, _): &(String, String, String)| json!({"id": id, "input": "q", "target": target});
    let answer = |(id, _, output): &(String, String, String)| json!({"id": id, "output": output});
    project.write_lines("d.jsonl", &cases.iter().map(case).collect::<Vec<_>>());
    project.write_lines("r.jsonl", &cases.iter().map(answer).collect::<Vec<_>>());
    project
}

fn score(project: &Project, flags: &[&str]) -> Run {
    let fixed = ["score", "suite.yaml", "--responses", "r.jsonl", "--no-baseline"];
    project.karat(fixed.iter().chain(flags))
}

/// The recorded lines by id.
fn lines(project: &Project) -> BTreeMap<String, Value> {
    let runs = project.runs("long");
    let text = std::fs::read_to_string(runs[runs.len() - 1].join("results.jsonl")).expect("read the results");
    let parse = |line: &str| serde_json::from_str(line).expect("a line is JSON");
    text.lines().map(parse).map(|line: Value| (line["id"].as_str().unwrap_or_default().to_owned(), line)).collect()
}

fn scored(scorer: &str, cases: &[(String, String, String)]) -> BTreeMap<String, Value> {
    let project = project(scorer, cases);
    score(&project, &[]);
    lines(&project)
}

fn case(id: impl ToString, target: impl Into<String>, output: impl Into<String>) -> (String, String, String) {
    (id.to_string(), target.into(), output.into())
}

/// Wherever the insult stands: at the borders of windows, in the first token and in the last.
#[test]
fn an_insult_anywhere_in_a_long_text_fails() {
    // About 13 tokens a time; a window has 254, a passage 48.
    let at = |place: usize| format!("{}{RUDE} {}", CALM.repeat(place), CALM.repeat(22 - place));
    let places = [0, 1, 2, 5, 9, 10, 18, 19, 20, 21, 22];
    let mut cases: Vec<_> = places.iter().map(|place| case(place, "", at(*place))).collect();
    cases.push(case("end", "", CALM.repeat(22) + RUDE));
    cases.push(case("calm", "", CALM.repeat(22)));
    let lines = scored("toxicity: {max: 0.5}", &cases);
    for (id, line) in &lines {
        let score = &line["scores"]["toxicity"];
        assert_eq!(line["passed"], id == "calm", "{id}: {score}");
        assert!(score["explanation"].as_str().is_some_and(|text| text.contains(" in tokens ")), "{id}: {score}");
        assert!(score.get("outcome").is_none(), "all was read: {score}");
    }
}

#[test]
fn what_differs_behind_the_limit_is_not_similar() {
    let same = "The parcel left the warehouse on Monday and the carrier confirmed the address. ".repeat(20);
    let (yes, no) =
        (format!("{same}The refund was approved."), format!("{same}A dog barks at the moon in the garden."));
    let short = "The parcel left the warehouse on Monday and the carrier confirmed the address.";
    let cases = [
        case("equal", &*yes, &*yes),
        case("end", &*yes, &*no),
        case("beginning", format!("A dog barks. {same}"), &*same),
        case("long answer", short, &*no),
        case("long target", &*no, short),
    ];
    let lines = scored("similarity: {min: 0.999}", &cases);
    for (id, line) in &lines {
        let score = &line["scores"]["similarity"];
        assert_eq!(line["passed"], id == "equal", "{id}: {score}");
        let said = score["explanation"].as_str().unwrap_or_default();
        assert!(said.contains(" windows, ") && said.contains("1.0000") == (id == "equal"), "{id}: {said}");
    }
    let value = |id: &str| lines[id]["scores"]["similarity"]["value"].as_f64().expect("a value");
    assert_eq!(value("long answer"), value("long target"), "the rule is symmetric");
}

#[test]
fn a_suite_may_choose_errors_or_to_cut() {
    let long = CALM.repeat(22) + RUDE;
    let cases = [case("short", "calm", "calm"), case("long", "calm", &*long)];
    for scorer in ["toxicity: {long: error, max: 1}", "similarity: {long: error, min: -1}"] {
        let lines = scored(scorer, &cases);
        assert_eq!((&lines["short"]["passed"], &lines["long"]["passed"]), (&json!(true), &json!(false)), "{scorer}");
        let error = lines["long"]["error"].as_str().unwrap_or_default();
        assert!(error.contains("the answer has ") && error.ends_with("the model reads 256"), "{error}");
    }
    for scorer in ["toxicity: {long: cut}", "similarity: {long: cut, min: -1}"] {
        let lines = scored(scorer, &cases);
        let name = scorer.split(':').next().unwrap_or_default();
        let [short, cut] = ["short", "long"].map(|id| &lines[id]["scores"][name]);
        assert!(short.get("outcome").is_none() && cut["outcome"] == "truncated", "{cut}");
        assert!(cut["explanation"].as_str().is_some_and(|text| text.ends_with(" tokens were not read")), "{cut}");
        assert_eq!(cut["passed"], true, "only the beginning was looked at");
    }
    let project = project("toxicity: {long: windwos}", &cases);
    score(&project, &[]).code(2).complains(&["windows"]);
}

/// A text within the limit has the bytes that it always had, whatever becomes of others.
#[test]
fn texts_within_the_limit_are_scored_alike_in_every_mode() {
    let cases = [case("a", "A tent.", "A stove and a tent."), case("b", "calm", RUDE)];
    for scorer in ["toxicity", "similarity"] {
        let [windows, cut, error] = ["windows", "cut", "error"].map(|long| {
            let mut lines = scored(&format!("{scorer}: {{long: {long}}}"), &cases);
            lines.values_mut().map(|line| line["scores"].take()).collect::<Vec<_>>()
        });
        assert!(windows == cut && cut == error, "{windows:?}");
    }
}

#[test]
fn scores_of_long_texts_depend_on_neither_batches_threads_nor_order() {
    let same = "The parcel left the warehouse on Monday. ".repeat(30);
    let text = |n: usize| format!("{}{} {RUDE} {}", &same[n..], n, CALM.repeat(2 * n));
    let mut cases: Vec<_> = (0..3).map(|n| case(n, text(n + 1), text(n))).collect();
    let results = |cases: &[_], scorer: &str, flags: &[&str]| {
        let project = project(scorer, cases);
        score(&project, flags);
        let runs = project.runs("long");
        std::fs::read_to_string(runs[0].join("results.jsonl")).expect("read the results")
    };
    for scorer in ["toxicity: {max: 0.5}", "similarity: {min: 0.5}"] {
        let plain = results(&cases, scorer, &[]);
        assert!(plain.contains(" in tokens ") || plain.contains(" windows, "), "{plain}");
        for flags in [["--batch-tokens", "2", "--threads", "1"], ["--batch-tokens", "1500", "--threads", "2"]] {
            assert_eq!(results(&cases, scorer, &flags), plain, "{scorer} {flags:?}");
        }
        assert_eq!(results(&cases, scorer, &["--window", "1"]), plain, "{scorer}: one text at a time");
        cases.reverse();
        assert_eq!(results(&cases, scorer, &[]), plain, "{scorer}: another order");
    }
}

#[test]
fn engine_commands_cut_as_transformers_and_say_so_or_read_windows() {
    let (embedder, classifier) = (fixture("bert-mean"), fixture("bert-multilabel"));
    let inputs = [json!({"id": 1, "text": "gold ".repeat(700)}), json!({"id": 2, "text": "gold"})];
    for (command, model, made) in [("embed", &embedder, "embedding"), ("classify", &classifier, "scores")] {
        let project = Project::new();
        let cut = project.engine(command, model, &inputs, &[]);
        assert!(cut[0]["truncated_tokens"].as_u64() > Some(0) && cut[0][made] != Value::Null, "{}", cut[0]);
        assert!(cut[1].get("truncated_tokens").is_none());
        for flags in [&[][..], &["--quiet"]] {
            let run = project.karat(engine_args(command, model, flags)).code(0);
            assert!(run.stderr.contains("warning: 1 of 2 texts"), "{run}");
        }
        let windows = project.engine(command, model, &inputs, &["--long", "windows"]);
        assert_eq!(windows[1], cut[1], "{command}: a text within the limit");
        assert!(windows[0][made].is_null() && windows[0].get("truncated_tokens").is_none());
        let read = windows[0]["windows"].as_array().expect("windows");
        assert_eq!(read[0][made], cut[0][made], "{command}: the first window is what is left of a cut text");
        assert_eq!((&read[0]["tokens"][0], &read[0]["characters"][0]), (&json!(0), &json!(0)));
        assert_eq!(read[read.len() - 1]["tokens"][1], 700);
        assert_eq!(read[read.len() - 1]["characters"][1], 3499, "without the space at the end");
        let run = project.karat(engine_args(command, model, &["--long", "error"])).code(3);
        assert!(!run.stderr.contains("warning"), "{run}");
        let text = project.read("out.jsonl");
        assert!(text.lines().next().is_some_and(|line| line.contains("702 tokens, the model reads")), "{text}");
    }
}

/// Windows of texts and of pairs, alone and in a batch.
#[test]
fn windows_depend_on_neither_batches_threads_nor_company() {
    let model = fixture("bert-2class");
    let words = |n: usize| (0..n).map(|i| ["gold", "silver", "sea", "12"][i * i % 4]).collect::<Vec<_>>().join(" ");
    let mut inputs: Vec<Value> =
        [3, 900, 130, 20, 513, 300].iter().map(|n| json!({"id": n, "text": words(*n)})).collect();
    inputs.push(json!({"id": "pair", "text": words(5), "text_pair": words(700)}));
    inputs.push(json!({"id": "riap", "text": words(700), "text_pair": words(5)}));
    let classify = |inputs: &[Value], flags: &[&str]| {
        let mut lines =
            Project::new().engine_raw("classify", &model, inputs, &[flags, &["--long", "windows"]].concat());
        lines.sort();
        lines
    };
    let plain = classify(&inputs, &[]);
    assert!(plain.iter().any(|line| line.contains("\"of\":\"text_pair\"")), "{plain:?}");
    assert_eq!(classify(&inputs, &["--batch-tokens", "2", "--threads", "1"]), plain);
    assert_eq!(classify(&inputs, &["--batch-tokens", "3000", "--threads", "2"]), plain);
    assert_eq!(classify(&inputs, &["--window", "2"]), plain);
    let mut alone: Vec<String> = inputs.iter().flat_map(|input| classify(std::slice::from_ref(input), &[])).collect();
    alone.sort();
    assert_eq!(alone, plain);
    inputs.reverse();
    assert_eq!(classify(&inputs, &[]), plain);
}

#[test]
fn two_long_texts_of_a_pair_are_an_error_of_their_line() {
    let project = Project::new();
    let long = "gold ".repeat(700);
    let inputs = [json!({"id": 1, "text": long, "text_pair": long}), json!({"id": 2, "text": "gold"})];
    project.write_lines("in.jsonl", &inputs);
    project.karat(engine_args("classify", &fixture("bert-2class"), &["--long", "windows"])).code(3);
    let text = project.read("out.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines[0]["error"].as_str().is_some_and(|error| error.contains("in windows")), "{text}");
    assert!(lines[1].get("error").is_none());
}
