//! Files that make a run: the bytes that are hashed are those that are used, and every way to write the same cases and prompts
//! gives the same prompts, or is named.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::project::{Project, Run, random_tiny};

/// A suite of two datasets over the random generator; `more` are further lines of its file.
fn suite(more: &str) -> Project {
    let project = Project::new();
    let case = |id: String| json!({"id": id, "input": format!("Is {id} gold?"), "target": "yes"});
    project.write_lines("golden.jsonl", &(0..6).map(|n| case(format!("g{n}"))).collect::<Vec<_>>());
    project.write_lines("danger.jsonl", &(0..6).map(|n| case(format!("d{n}"))).collect::<Vec<_>>());
    project.write("suite.yaml", yaml("golden.jsonl", more));
    project
}

fn yaml(golden: &str, more: &str) -> String {
    let model = Value::from(random_tiny().to_string_lossy());
    format!(
        "version: 1\nname: inputs\nmodels:\n  generator: {{model: {model}}}\ndatasets:\n\
         \x20 - {{name: golden, kind: golden, file: {golden}, scorers: [exact_match]}}\n\
         \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\n\
         generation: {{max_new_tokens: 4, temperature: 0}}\nscorers: [exact_match]\n{more}"
    )
}

/// The one file of this name in the only run.
#[track_caller]
fn file(project: &Project, name: &str) -> String {
    let runs = project.runs("inputs");
    assert_eq!(runs.len(), 1, "{runs:?}");
    std::fs::read_to_string(runs[0].join(name)).expect("read a file of the run")
}

/// `prompts.jsonl` of a run of the suite as it is now.
#[track_caller]
fn prompts(project: &Project) -> String {
    let _ = std::fs::remove_dir_all(project.path("runs"));
    let run = project.karat(["run", "suite.yaml", "--no-baseline", "-q", "--threads", "1"]);
    assert!(matches!(run.code, Some(0 | 1)), "{run}");
    file(project, "prompts.jsonl")
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).expect("pack");
    packer.finish().expect("pack")
}

// ---- what is hashed is what is used ---------------------------------------------------------------------------------

/// Starts a run whose golden cases take long, and waits until all data have been read once.
fn started(project: &Project, flags: &[&str]) -> Child {
    let slow = ["run", "suite.yaml", "--window", "1", "--threads", "1", "--set", "generation.max_new_tokens=200"];
    let mut command = project.command(slow.iter().chain(flags));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start karat");
    let began = Instant::now();
    let journal = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|end| end == "journal")
            && std::fs::metadata(path).is_ok_and(|data| data.len() > 2000)
    };
    while !project.files().iter().any(journal) {
        assert!(child.try_wait().expect("look at karat").is_none(), "it ended before it began");
        assert!(began.elapsed() < Duration::from_secs(60), "no journal grows");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn ended(child: Child) -> Run {
    Run::new("karat run".into(), child.wait_with_output().expect("wait for karat"))
}

#[test]
fn a_dataset_that_is_replaced_during_the_run_ends_it_without_a_record() {
    for in_place in [false, true] {
        let project = suite("");
        let old = project.read("danger.jsonl");
        let child = started(&project, &[]);
        let new = project.write("new.jsonl", old.replace("gold?", "lead?"));
        if in_place {
            drop(project.write("danger.jsonl", old.replace("gold?", "lead?")))
        } else {
            std::fs::rename(new, project.path("danger.jsonl")).expect("replace the dataset")
        }
        let run = ended(child).code(2).complains(&["was changed during the run"]);
        run.complains(&["--> danger.jsonl"]);
        assert!(project.runs("inputs").is_empty(), "nothing is recorded");
        // What was answered is of the old bytes: it goes on with those, and with no others.
        let resume = |project: &Project| {
            let set = ["--set", "generation.max_new_tokens=200", "--resume", "--threads", "1", "--window", "1"];
            project.karat(["run", "suite.yaml"].iter().chain(&set))
        };
        resume(&project).code(2).complains(&["the dataset `danger` changed"]);
        project.write("danger.jsonl", &old);
        resume(&project);
        let resumed = file(&project, "results.jsonl");
        let fresh = suite("");
        fresh.karat(["run", "suite.yaml", "--set", "generation.max_new_tokens=200"]);
        assert_eq!(resumed, file(&fresh, "results.jsonl"));
    }
}

#[test]
fn a_dataset_that_is_replaced_and_put_back_changes_nothing() {
    let project = suite("");
    let old = project.read("danger.jsonl");
    let child = started(&project, &[]);
    project.write("danger.jsonl", "{}");
    std::thread::sleep(Duration::from_millis(20));
    project.write("danger.jsonl", &old);
    let run = ended(child);
    match run.code {
        // It was looked at in between.
        Some(2) => assert!(project.runs("inputs").is_empty(), "{run}"),
        _ => {
            let fresh = suite("");
            fresh.karat(["run", "suite.yaml", "--set", "generation.max_new_tokens=200"]);
            assert_eq!(file(&project, "results.jsonl"), file(&fresh, "results.jsonl"));
        }
    }
}

#[test]
fn prompts_are_those_of_the_bytes_whose_hashes_are_recorded() {
    let project = suite("prompt: {file: p.md, system: s.md, few_shot: {file: shots.jsonl}}\n");
    project.write("p.md", "Q: {{ input }}\nA:");
    project.write("s.md", "Be brief.");
    project.write("shots.jsonl", "{\"input\":\"1+1\",\"target\":\"2\"}\n");
    let child = started(&project, &[]);
    for name in ["p.md", "s.md", "shots.jsonl"] {
        project.write(name, "other");
    }
    let run = ended(child);
    assert!(matches!(run.code, Some(0 | 1)), "{run}");
    let manifest: Value = serde_json::from_str(&file(&project, "manifest.json")).expect("JSON");
    let recorded = manifest["hashes"]["prompts"].clone();
    // A line holds what differs from the one before.
    let prompts = file(&project, "prompts.jsonl");
    assert!(prompts.contains("Be brief") && !prompts.contains("other"), "{prompts}");
    project.write("p.md", "Q: {{ input }}\nA:");
    project.write("s.md", "Be brief.");
    project.write("shots.jsonl", "{\"input\":\"1+1\",\"target\":\"2\"}\n");
    let fresh = project.karat(["run", "suite.yaml", "--runs-dir", "again", "-q"]);
    drop(fresh);
    let again = std::fs::read_dir(project.path("again/inputs")).expect("runs").flatten();
    let again = again.map(|entry| entry.path().join("manifest.json")).find(|path| path.is_file()).expect("a manifest");
    let again: Value = serde_json::from_slice(&std::fs::read(again).expect("read")).expect("JSON");
    assert_eq!(again["hashes"]["prompts"], recorded);
}

// ---- the same cases, written otherwise ------------------------------------------------------------------------------

#[test]
fn examples_may_stand_in_any_kind_of_file() {
    let project = suite("prompt: {few_shot: {file: shots.json}}\n");
    project.write("shots.json", "[{\"input\":\"1+1\",\"target\":\"2\"},{\"input\":\"2+2\",\"target\":\"4\"}]");
    let expected = prompts(&project);
    assert!(expected.contains("1+1"), "{expected}");
    let lines = "{\"input\":\"1+1\",\"target\":\"2\"}\n{\"input\":\"2+2\",\"target\":\"4\"}\n";
    for (name, text) in [
        ("shots.jsonl", lines.to_owned()),
        ("mac.jsonl", lines.replace('\n', "\r")),
        ("shots.csv", "input,target\r\n1+1,2\r\n2+2,4\r\n".to_owned()),
        ("shots.tsv", "input\ttarget\n1+1\t2\n2+2\t4\n".to_owned()),
    ] {
        project.write(name, text);
        project.write("suite.yaml", yaml("golden.jsonl", &format!("prompt: {{few_shot: {{file: {name}}}}}\n")));
        assert_eq!(prompts(&project), expected, "{name}");
        project.karat(["lint", "suite.yaml"]).code(0);
    }
}

#[test]
fn line_ends_of_prompt_files_are_no_part_of_the_prompt() {
    let project = suite("prompt: {file: p.md, system: s.md}\n");
    let write = |ends: &str| {
        let template = "---\nversion: \"1\"\ndescription: asks\n---\nAnswer:\n{% if context %}\n{{ context }}\n{% endif %}\n{{ input }}\nEnd\n";
        project.write("p.md", template.replace('\n', ends));
        project.write("s.md", "Be brief.\nAlways.\n".replace('\n', ends));
        prompts(&project)
    };
    let expected = write("\n");
    assert!(expected.contains("Be brief.\\nAlways."), "{expected}");
    for ends in ["\r\n", "\r"] {
        assert_eq!(write(ends), expected, "{ends:?}");
    }
}

#[test]
fn cases_may_stand_in_any_kind_of_file() {
    let project = suite("");
    let expected = prompts(&project);
    let lines = project.read("golden.jsonl");
    let table: String = (0..6).map(|n| format!("g{n},Is g{n} gold?,yes\n")).collect();
    let table = format!("id,input,target\n{table}");
    let files: [(&str, Vec<u8>); 9] = [
        ("mac.jsonl", lines.replace('\n', "\r").into_bytes()),
        ("windows.jsonl", format!("\u{feff}{}", lines.replace('\n', "\r\n")).into_bytes()),
        ("mac.csv", table.replace('\n', "\r").into_bytes()),
        ("windows.csv", format!("\u{feff}{}", table.replace('\n', "\r\n")).into_bytes()),
        ("g.tsv", table.replace(',', "\t").into_bytes()),
        ("g.jsonl.gz", packed(&lines)),
        ("g.csv.gz", packed(&table)),
        ("parts.csv.gz", [packed(&table[..40]), packed(&table[40..])].concat()),
        ("packed.csv", packed(&table)),
    ];
    for (name, bytes) in files {
        project.write(name, bytes);
        project.write("suite.yaml", yaml(name, ""));
        assert_eq!(prompts(&project), expected, "{name}");
    }
    project.write("semicolons.csv", table.replace(',', ";"));
    project
        .write("suite.yaml", yaml("semicolons.csv", "").replace("semicolons.csv,", "semicolons.csv, separator: ';',"));
    assert_eq!(prompts(&project), expected);
}

#[test]
fn files_that_are_not_what_they_are_called_are_named_by_lint_and_run_alike() {
    let table = "id,input,target\ng1,Is it?,yes\n";
    let utf16: Vec<u8> = "\u{feff}id,input\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&str, Vec<u8>, &str); 10] = [
        ("g.csv", table.replace(',', ";").into_bytes(), "separator: \";\""),
        ("g.csv", table.replace(',', "\t").into_bytes(), "separator: \"\\t\""),
        ("g.tsv", table.into(), "separated by commas"),
        ("g.csv", utf16.clone(), "UTF-16"),
        ("g.jsonl", utf16, "UTF-16"),
        ("g.csv", b"PK\x03\x04\x14\0".to_vec(), "spreadsheet"),
        ("g.jsonl", b"\x28\xb5\x2f\xfd\x04\0".to_vec(), "zstd"),
        ("g.jsonl", packed(table)[..20].to_vec(), "the gzip file cannot be unpacked: it is cut off"),
        ("g.csv.gz", [packed(table), b"g2,Was it?,no\n".to_vec()].concat(), "behind the end of what is packed"),
        ("g.csv.gz", packed(table)[..20].to_vec(), "hint: the download or copy was not finished"),
    ];
    for (name, bytes, told) in files {
        let project = suite("");
        project.write(name, bytes);
        project.write("suite.yaml", yaml(name, ""));
        for command in [&["lint", "suite.yaml"][..], &["run", "suite.yaml"], &["run", "suite.yaml", "--dry-run"]] {
            project.karat(command).code(2).complains(&[told]).complains(&[name]);
        }
        assert!(project.runs("inputs").is_empty());
    }
}

#[test]
fn a_cell_that_reads_like_a_list_asks_what_it_is() {
    let project = suite("");
    let with = |cells: &str, table: &str| {
        project.write("g.csv", table);
        project.write("suite.yaml", yaml("g.csv", "").replace("g.csv,", &format!("g.csv,{cells}")));
    };
    let lists = "id,input,target\ng1,2+2?,\"[\"\"4\"\", \"\"four\"\"]\"\n";
    with("", lists);
    for command in ["lint", "run"] {
        project.karat([command, "suite.yaml"]).code(2).complains(&["g.csv:2"]).complains(&["cells: {target: json}"]);
    }
    let targets = |answer: &str| {
        project.write("answers.jsonl", format!("{{\"dataset\":\"golden\",\"id\":\"g1\",\"output\":{answer}}}\n"));
        let _ = std::fs::remove_dir_all(project.path("runs"));
        let run = project.karat(["score", "suite.yaml", "--responses", "answers.jsonl", "-q", "--no-baseline"]);
        assert!(matches!(run.code, Some(1 | 3)), "the danger cases have no answers{run}");
        let results = file(&project, "results.jsonl");
        let golden = results.lines().find(|line| line.contains("\"g1\"")).expect("a golden case");
        serde_json::from_str::<Value>(golden).expect("JSON")["passed"] == true
    };
    with(" cells: {target: json},", lists);
    project.karat(["lint", "suite.yaml"]).code(0);
    assert!(targets("\"four\"") && !targets("\"[\\\"4\\\", \\\"four\\\"]\""));
    with(" cells: {target: text},", lists);
    assert!(!targets("\"four\"") && targets("\"[\\\"4\\\", \\\"four\\\"]\""));
    with("", "id,input,target\ng1,\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"hi\"\"}]\",x\n");
    project.karat(["lint", "suite.yaml"]).code(2).complains(&["cells: {input: json}"]);
    with("", "id,input,choices\ng1,a,\"['x', 'y']\"\n");
    project.karat(["lint", "suite.yaml"]).code(2).complains(&["json.dumps"]);
    with(" cells: {context: json},", "id,input\ng1,a\n");
    project.karat(["lint", "suite.yaml"]).code(2).complains(&["suite.yaml:6"]);
}

#[test]
fn carriage_returns_within_cases_are_kept_and_said() {
    let project = suite("");
    project.write("g.csv", "id,input,target\ng1,\"a\r\nb\",x\n");
    project.write("suite.yaml", yaml("g.csv", ""));
    project.karat(["lint", "suite.yaml"]).code(0).complains(&["holds carriage returns"]);
    assert!(prompts(&project).contains("a\\r\\nb"));
}

#[test]
fn recorded_answers_of_other_kinds_are_named() {
    let project = suite("");
    let answers = "{\"id\":\"g1\",\"output\":\"x\"}\n{\"id\":\"g2\",\"output\":\"x\"}\n";
    for (bytes, told) in [
        (answers.replace('\n', "\r").into_bytes(), "carriage return"),
        (packed(answers), "gunzip"),
        (answers.encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-16"),
    ] {
        project.write("answers.jsonl", bytes);
        let run = project.karat(["score", "suite.yaml", "--responses", "answers.jsonl"]).code(2);
        run.complains(&[told]).complains(&["answers.jsonl"]);
    }
}
