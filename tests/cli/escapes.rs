//! Names, ids and messages that a terminal would obey: no command shows them as they are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use karat::score::seen;
use serde_json::{Value, json};

use crate::project::{Project, Run, fixture, random_tiny, repository};

/// A title for the window, a cleared screen, colours by two roads, a line that is none of karat's, a turned direction, nothing,
/// and a letter of a tag.
const HOSTILE: &str = "x\u{1b}]0;pwn\u{7}\u{1b}[2J\u{9b}31m\u{1b}[31m\nerror: y\u{202e}\u{200b}\u{e0041}z";

/// A word without line breaks: what can name a folder or stand in an argument.
fn word() -> String {
    HOSTILE.replace('\n', "")
}

/// What a run shows is visible in every line, holds no line that only a name could have brought there, and shows the name.
#[track_caller]
fn clean(run: Run, shown: bool) -> Run {
    for stream in [&run.stdout, &run.stderr] {
        for line in stream.lines() {
            assert!(seen(line).all(|(_, seen)| seen), "{:?} in{run}", line);
            // Blocks of text in Markdown have the lines of the text.
            assert!(stream.contains("<pre>") || !line.starts_with("error: y"), "a line of its own{run}");
        }
        assert!(!stream.contains('\r'), "{run}");
    }
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(!shown || told.contains("]0;pwn") || told.contains("&#93;0;pwn"), "the name is not shown{run}");
    run
}

/// A text as YAML spells it in quotes, in ASCII.
fn yaml(text: &str) -> String {
    let escaped = |c: char| match c {
        ' '..='~' if c != '"' && c != '\\' => c.to_string(),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// The line of a command, with a hostile id and text.
fn lines(project: &Project, command: &str) {
    let line = match command {
        "embed" | "classify" => json!({"id": HOSTILE, "text": HOSTILE}),
        "logprob" => json!({"id": HOSTILE, "context": HOSTILE, "continuation": HOSTILE}),
        _ => json!({"id": HOSTILE, "prompt": HOSTILE}),
    };
    project.write_lines("in.jsonl", &[line]);
}

fn copy(project: &Project, from: &PathBuf, to: &str) {
    for entry in std::fs::read_dir(from).expect("list a model") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            project.write(&format!("{to}/{name}"), std::fs::read(&path).expect("read a file"));
        }
    }
}

/// A suite whose ids, tags, inputs and model are hostile, in a folder that is, too, and a registry entry.
fn project() -> Project {
    let project = Project::caching();
    let model = format!("models/{}", word());
    copy(&project, &random_tiny(), &model);
    let case =
        |id: &str| json!({"id": format!("{HOSTILE}{id}"), "input": HOSTILE, "target": HOSTILE, "tags": [HOSTILE]});
    project.write_lines("golden.jsonl", &[case("1"), case("2")]);
    project.write_lines("danger.jsonl", &[case("1")]);
    let generator = yaml(&model);
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: s\nmodels: {{generator: {{model: {generator}}}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\n\
             scorers: [exact_match]\ngeneration: {{max_new_tokens: 2}}\n\
             gates: [{{metric: golden.exact_match, min: 0.0, where: {{tag: {}}}}}]\n",
            yaml(HOSTILE)
        ),
    );
    let answers = |outputs: [&str; 2]| {
        let line = |dataset: &str, id: &str, output: &str| json!({"dataset": dataset, "id": format!("{HOSTILE}{id}"), "output": output});
        [line("golden", "1", outputs[0]), line("golden", "2", outputs[1]), line("danger", "1", outputs[0])]
    };
    project.write_lines("right.jsonl", &answers([HOSTILE, HOSTILE]));
    project.write_lines("wrong.jsonl", &answers(["", HOSTILE]));
    let entry = std::fs::read_to_string(repository("tests/fixtures/models/random-tiny@1.yaml")).expect("an entry");
    let entry: String = entry
        .lines()
        .filter(|line| !line.starts_with("description:") && !line.starts_with("licence:"))
        .map(|line| format!("{line}\n"))
        .collect();
    // Entries with control characters are refused.
    let entry = format!("{entry}description: {0}\nlicence: {0}\n", yaml("]0;pwn\u{202e}\u{200b}\u{e0041}z"));
    project.write("models/random-tiny@1.yaml", entry);
    project
}

/// Every command of karat, by its first word, with a hostile name in what it shows.
#[test]
fn no_command_shows_what_a_terminal_obeys() {
    let project = project();
    let word = word();
    let model = format!("models/{word}");
    let mut driven: BTreeSet<String> = BTreeSet::new();
    let mut drive = |args: &[&str], shown: bool| {
        driven.insert(args[0].to_owned());
        clean(project.karat(args), shown)
    };
    drive(&["score", "suite.yaml", "--responses", "right.jsonl", "--label", &word], false);
    for responses in ["right.jsonl", "wrong.jsonl"] {
        drive(&["score", "suite.yaml", "--responses", responses], true);
    }
    drive(&["run", "suite.yaml"], true);
    drive(&["run", "suite.yaml", "--dry-run", "--model", &word], true);
    drive(&["lint", "suite.yaml", "--model", &word], true);
    let runs = project.runs("s");
    assert!(runs.len() >= 2, "{runs:?}");
    let [one, two] = [&runs[0], &runs[1]].map(|run| run.to_string_lossy().into_owned());
    drive(&["baseline", "accept", &one, "-m", HOSTILE], false).code(0);
    drive(&["baseline", "list"], true).code(0);
    drive(&["baseline", "show"], true).code(0);
    drive(&["baseline", "show", &word], true).code(2);
    drive(&["baseline", "regenerate", "suite.yaml", "--name", &word], true).code(2);
    for format in ["terminal", "markdown"] {
        drive(&["compare", &one, &two, "--format", format], true).code(1);
        drive(&["gate", &two, "--format", format], true).code(1);
    }
    drive(&["compare", &one, &word], true).code(2);
    drive(&["gate", &word], true).code(2);
    drive(&["view", &word], true).code(2);
    drive(&["runs"], true).code(0);
    drive(&["runs", "--suite", &word], false);
    drive(&["runs", "prune", &word], true).code(2);
    drive(&["models", "list"], true).code(0);
    drive(&["models", "show", "random-tiny@1"], true).code(0);
    drive(&["models", "show", &word], true).code(2);
    drive(&["models", "verify", "random-tiny@1"], false);
    drive(&["cache", "stats"], true).code(0);
    drive(&["cache", "clear"], false).code(0);
    for command in ["generate", "embed", "classify", "logprob", "render"] {
        lines(&project, command);
        drive(&[command, &word, "--in", "in.jsonl", "--out", "out.jsonl"], true).code(2);
        drive(&[command, &model, "--in", "in.jsonl", "--out", "out.jsonl"], false);
        drive(&[command, &model, "--in", &word, "--out", "out.jsonl"], true);
    }
    drive(&["man", &word], true).code(0);
    std::fs::remove_dir_all(project.path(&word)).expect("remove the pages");
    drive(&["init", &word], true).code(0);
    drive(&["init", &word], true).code(2);
    // clap takes sequences away itself.
    drive(&["completions", &word], false).code(2);
    drive(&["schema", &word], false).code(2);

    let help = project.karat(["--help"]).code(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: BTreeSet<String> =
        commands.filter_map(|line| Some(line.strip_prefix("  ")?.split(' ').next()?.to_owned())).collect();
    let left: Vec<&String> = commands.iter().filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(left.len() > 15, "{help}");
    assert_eq!(left.into_iter().filter(|name| !driven.contains(*name)).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Reasons come by git from others; duplicate ids stand in errors; objects for programs hold no raw character either.
#[test]
fn what_others_wrote_is_shown_and_not_obeyed() {
    let project = project();
    clean(project.karat(["score", "suite.yaml", "--responses", "right.jsonl"]), false);
    clean(project.karat(["baseline", "accept", "latest", "-m", "why"]), false).code(0);
    let log = project.read("baselines/s/main/accepted.jsonl");
    let mut line: Value = serde_json::from_str(log.trim()).expect("a line");
    (line["why"], line["by"], line["worse"]) = (HOSTILE.into(), HOSTILE.into(), json!([HOSTILE]));
    line["seal"] = "".into();
    // As whoever commits such a log would.
    line["seal"] = karat::engine::hash::sha256(line.to_string().as_bytes()).into();
    project.write_lines("baselines/s/main/accepted.jsonl", &[line]);
    let listed = clean(project.karat(["baseline", "list"]), true).code(0);
    assert_eq!(listed.stdout.lines().count(), 1, "a name makes no line of its own{listed}");
    let shown = clean(project.karat(["baseline", "show"]), true).code(0);
    assert!(shown.stderr.contains("  worse: x"), "{shown}");

    let twice = project.read("golden.jsonl").lines().next().expect("a line").to_owned();
    project.write("golden.jsonl", format!("{twice}\n{twice}\n"));
    clean(project.karat(["lint", "suite.yaml"]), true).code(2);
    let told = project.karat(["score", "suite.yaml", "--responses", "right.jsonl", "--progress", "json"]);
    let told = clean(told, false).code(2);
    for line in told.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}{told}"));
    }
}

/// The page and the XML are for people, too.
#[test]
fn pages_hold_nothing_that_nobody_sees() {
    let project = project();
    let reports = ["--report", "r.html", "--report", "r.xml", "--report", "r.md", "--report", "r.txt"];
    let fixed = ["score", "suite.yaml", "--responses", "wrong.jsonl"];
    clean(project.karat(fixed.iter().chain(&reports)), true);
    for report in ["r.html", "r.xml", "r.md", "r.txt"] {
        let text = project.read(report);
        assert!(text.contains("pwn"), "{report}");
        for line in text.lines() {
            assert!(seen(line).all(|(c, seen)| seen || c == '\t'), "{report}: {line:?}");
        }
    }
    assert!(!project.read("r.html").contains("\\u001b") && project.read("r.html").contains("\\\\u{1b}"));
}

/// What goes to a terminal goes through `cli/terminal.rs`.
#[test]
fn nothing_else_writes_to_a_terminal() {
    let mut folders = vec![repository("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("list the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if path.extension() == Some("rs".as_ref()) && !path.ends_with("cli/terminal.rs") {
                let lines = text.lines().enumerate().filter(|(_, line)| writes(line));
                found.extend(lines.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.trim())));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    for line in ["std::io::stdout().lock()", "Box::new(io::stderr())", "bar.set_message(text)", "error.print()"] {
        assert!(writes(line), "{line}");
    }
}

/// Whether a line of the sources may write to a terminal; tests print with macros.
fn writes(line: &str) -> bool {
    let asks = line.contains("is_terminal()") || line.contains("terminal_size_of(");
    let streams = (line.contains("stdout()") || line.contains("stderr()"))
        && !asks
        && !line.contains("use_stderr()")
        && !line.contains("terminal::stdout()");
    let bar = line.contains("set_message(") && !line.contains("set_message(visible(");
    streams || bar || line.contains("error.print()")
}

/// Models and the tokenizer of another fixture say what is wrong in words of their files.
#[test]
fn errors_about_model_files_are_shown_and_not_obeyed() {
    let project = project();
    let model = format!("broken {}", word());
    copy(&project, &fixture("bert"), &model);
    for (file, contents) in [
        ("config.json", json!({"model_type": HOSTILE, "architectures": [HOSTILE]}).to_string()),
        ("tokenizer.json", json!({"version": HOSTILE, "model": {"type": HOSTILE}}).to_string()),
    ] {
        let before = project.read(&format!("{model}/{file}"));
        project.write(&format!("{model}/{file}"), contents);
        for command in ["generate", "embed", "classify", "logprob"] {
            lines(&project, command);
            let args: Vec<OsString> =
                [command, &model, "--in", "in.jsonl", "--out", "out.jsonl"].iter().map(OsString::from).collect();
            clean(project.karat(args), true).code(2);
        }
        project.write(&format!("{model}/{file}"), before);
    }
}
