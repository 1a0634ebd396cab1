//! Answers that are little or no evidence: cut off, empty, thoughts without an answer, nothing to extract. They are told apart in
//! the record and in every report, and gates ask for their rates.

use serde_json::{Value, json};

use crate::project::{Project, Run, repository};

/// Ten golden cases that ask for a number, two danger cases that must not insult.
fn suite(more: &str) -> Project {
    let project = Project::new();
    let golden: Vec<Value> =
        (0..10).map(|i| json!({"id": format!("g{i}"), "input": "6 * 7?", "target": "42"})).collect();
    project.write_lines("golden.jsonl", &golden);
    project.write_lines("danger.jsonl", &[json!({"id": "d0", "input": "x"}), json!({"id": "d1", "input": "x"})]);
    let yaml = format!(
        "version: 1\nname: small\ndatasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [number]}}\n\
         \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [polite]}}\n\
         scorers:\n  - exact_match: {{name: number, extract: number}}\n  - contains: {{name: polite, values: [idiot], absent: true}}\n{more}"
    );
    project.write("suite.yaml", yaml);
    project
}

/// Golden answers as given, then those to the danger cases.
#[track_caller]
fn score(project: &Project, golden: &[Value], danger: [&str; 2], args: &[&str]) -> Run {
    let mut lines: Vec<Value> = Vec::new();
    for (i, answer) in golden.iter().enumerate() {
        let mut line = json!({"dataset": "golden", "id": format!("g{i}"), "finish": "eos"});
        line.as_object_mut().expect("an object").extend(answer.as_object().expect("an object").clone());
        lines.push(line);
    }
    for (i, output) in danger.iter().enumerate() {
        lines.push(json!({"dataset": "danger", "id": format!("d{i}"), "output": output, "finish": "eos"}));
    }
    project.write_lines("answers.jsonl", &lines);
    let fixed = ["score", "suite.yaml", "--responses", "answers.jsonl", "--quiet", "--no-baseline"];
    project.karat(fixed.iter().chain(args))
}

fn answer(output: &str) -> Value {
    json!({"output": output})
}

/// Seven plain answers, one cut off at its limit, one empty, one whose thought was cut off.
fn mixed() -> Vec<Value> {
    let mut answers = vec![answer("It is 42."); 7];
    answers.push(json!({"output": "Let me see: 6 * 7 is", "finish": "length"}));
    answers.push(answer(" \n"));
    answers.push(json!({"output": "<think>6 * 7 = 42, so", "finish": "length"}));
    answers
}

#[track_caller]
fn lines(project: &Project) -> Vec<Value> {
    let run = project.runs("small").pop().expect("a run");
    let text = std::fs::read_to_string(run.join("results.jsonl")).expect("read the results");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn the_report_tells_the_whole_story() {
    let project = suite("");
    let flags = ["r.md", "r.json", "r.xml", "r.html"].map(|file| ["--report", file]).concat();
    let polite = ["<think>What an idiot.</think>Of course.", "Sure."];
    let run = score(&project, &mixed(), polite, &flags).code(0);
    for told in [
        "golden: warning: 2 cut off at max_new_tokens (20.0 %)",
        "golden: warning: 1 empty (10.0 %)",
        "golden: warning: 1 cut off within a thought (no answer) (10.0 %)",
        "golden: warning: 2 nothing extracted (20.0 %: number 2)",
        "danger: 1 with thoughts that ended (50.0 %)",
    ] {
        assert!(run.stdout.replace("\n    ", " ").contains(told), "{told}: {run}");
    }
    let markdown = project.read("r.md");
    assert!(markdown.contains("**Warning**: <code>golden</code> <code>2 cut off at"), "{markdown}");
    let report: Value = serde_json::from_str(&project.read("r.json")).unwrap();
    let counted = report["summary"]["datasets"][1]["outcomes"].clone();
    assert_eq!(counted, json!({"finish_length": 2, "empty": 1, "no_answer": 1, "not_extracted": 2}));
    assert!(project.read("r.xml").contains("<property name=\"finish_length\" value=\"2\"/>"));
    assert!(project.read("r.html").contains("cut off within a thought"));
    let run = project.runs("small").pop().unwrap();
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["format"], "karat-run/4");
    let found = lines(&project);
    let cut = found.iter().find(|line| line["id"] == "g9").unwrap();
    assert_eq!((&cut["thought"], &cut["scores"]["number"]["outcome"]), (&json!("cut"), &json!("no_answer")));
    assert_eq!(cut["passed"], false);
    let closed = found.iter().find(|line| line["id"] == "d0").unwrap();
    assert_eq!(
        (&closed["thought"], &closed["empty"], &closed["passed"]),
        (&json!("closed"), &json!(false), &json!(true))
    );
}

/// All danger cases must pass.
const GATE: &str = "gates: [{metric: danger.polite, min: 1}]\n";

#[test]
fn scorers_say_what_they_look_at() {
    for (on, passed) in [("answer", true), ("thought", false), ("all", false)] {
        let project = suite(GATE);
        let yaml = project.read("suite.yaml").replace("absent: true", &format!("absent: true, on: {on}"));
        project.write("suite.yaml", yaml);
        score(&project, &mixed(), ["<think>What an idiot.</think>Of course.", "Sure."], &[]).code(i32::from(!passed));
        assert_eq!(lines(&project)[0]["passed"], passed, "{on}");
    }
    // The literal text, markers and all.
    let project = suite(&format!("reasoning: none\n{GATE}"));
    score(&project, &mixed(), ["<think>What an idiot.</think>Of course.", "Sure."], &[]).code(1);
    assert!(lines(&project)[0].get("thought").is_none());
    let project = suite(&format!("reasoning: {{start: '<r>', end: '</r>'}}\n{GATE}"));
    score(&project, &mixed(), ["<r>What an idiot.</r>Of course.", "Sure."], &[]).code(0);
    for wrong in ["reasoning: of course\n", "reasoning: {start: a}\n", "reasoning: {start: a, end: a}\n"] {
        score(&suite(wrong), &mixed(), ["a", "b"], &[]).code(2);
    }
}

#[test]
fn gates_ask_for_rates_of_answers() {
    let gate = |text: &str| suite(&format!("gates:\n  - {text}\n"));
    for (text, code) in [
        ("{metric: golden.finish_length_rate, max: 0.1}", 1),
        ("{metric: golden.finish_length_rate, max: 0.2}", 0),
        ("{metric: golden.empty_rate, max: 0.05}", 1),
        ("{metric: golden.no_answer_rate, max: 0.05}", 1),
        ("{metric: golden.number.not_extracted_rate, max: 0.05}", 1),
        ("{metric: golden.truncated_rate, max: 0}", 0),
        ("{fail_if: golden.finish_length_rate > 10%}", 1),
        ("{metric: golden.finish_length_rate, max_rise: 0.1}", 0),
        ("{metric: golden.number.truncated_rate, max: 0.1}", 2),
        ("{metric: danger.polite.not_extracted_rate, max: 0.1}", 2),
        ("{metric: golden.number.empty_rate, max: 0.1}", 2),
        ("{metric: golden.number.finish_rate, max: 0.1}", 2),
    ] {
        let project = gate(text);
        let run = score(&project, &mixed(), ["a", "b"], &[]).code(code);
        if code == 1 {
            assert!(run.stdout.contains("_rate"), "{run}");
        }
    }
    // The same figures from the record alone.
    let project = gate("{metric: golden.empty_rate, max: 0.05}");
    score(&project, &mixed(), ["a", "b"], &[]).code(1);
    let again = project.karat(["gate", "--no-baseline"]).code(1);
    assert!(again.stdout.contains("golden.empty_rate <= 0.05"), "{again}");
    // How recorded answers ended may not be known: that passes nothing.
    let project = gate("{metric: golden.finish_length_rate, max: 0.5}");
    let unknown: Vec<Value> = (0..10).map(|_| json!({"output": "42", "finish": null})).collect();
    score(&project, &unknown, ["a", "b"], &[]).code(3);
    // Without outputs the record says itself which answers were empty.
    let project = gate("{metric: golden.empty_rate, max: 0.05}");
    score(&project, &mixed(), ["a", "b"], &["--no-outputs"]).code(1);
    assert_eq!(lines(&project).iter().filter(|line| line["empty"] == true).count(), 1);
}

#[test]
fn a_thought_that_the_prompt_opened_is_one() {
    let project = Project::new();
    // A chat template that ends the prompt within a thought, as those of DeepSeek-R1 and Qwen3 do.
    let source = repository("models/karat-mini/2");
    for entry in std::fs::read_dir(&source).unwrap() {
        let entry = entry.unwrap();
        project.write(&format!("m/{}", entry.file_name().to_string_lossy()), std::fs::read(entry.path()).unwrap());
    }
    let opened = "{% if add_generation_prompt %}<think>\n{% endif %}";
    project
        .write("m/chat_template.jinja", format!("{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}{opened}"));
    let line = json!({"id": "1", "messages": [{"role": "user", "content": "How can I pay?"}]});
    project.write_lines("in.jsonl", &[line]);
    project.karat(["generate", "m", "--in", "in.jsonl", "--out", "out.jsonl", "--max-new-tokens", "8", "-q"]).code(0);
    let answer: Value = serde_json::from_str(project.read("out.jsonl").trim()).unwrap();
    assert_eq!(answer["thought_opened"], true, "{answer}");
    // A suite over such answers sees that none was given.
    project.write_lines("d.jsonl", &[json!({"id": "1", "input": "How can I pay?"})]);
    let yaml = "version: 1\nname: small\ndatasets: [{name: golden, kind: golden, file: d.jsonl, scorers: [words]}]\n\
                scorers: [{contains: {name: words, values: [e]}}]\n";
    project.write("suite.yaml", yaml);
    project.karat(["score", "suite.yaml", "--responses", "out.jsonl", "-q", "--no-baseline"]).code(0);
    let found = lines(&project);
    assert_eq!((&found[0]["thought"], &found[0]["passed"]), (&json!("cut"), &json!(false)), "{}", found[0]);
    project
        .write("suite.yaml", format!("{yaml}models: {{generator: {{model: m}}}}\ngeneration: {{max_new_tokens: 8}}\n"));
    project.karat(["run", "suite.yaml", "-q", "--no-baseline"]).code(0);
    let found = lines(&project);
    assert_eq!((&found[0]["thought"], &found[0]["thought_opened"]), (&json!("cut"), &json!(true)), "{}", found[0]);
}
