//! Headers beside datasets: `lint` holds rows against the schema, runs hold hash and number of cases, records keep hash and version.

use serde_json::{Value, json};

use crate::project::Project;

/// A suite for recorded answers, and the answers to its three cases.
fn suite() -> Project {
    let project = Project::new();
    project.write(
        "suite.yaml",
        "version: 1\nname: headed\ndatasets:\n  - {name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}\n\
         scorers: [exact_match]\ngates:\n  - {metric: golden.exact_match, min: 0.5}\n",
    );
    let cases = (0..3).map(|id| json!({"id": format!("g{id}"), "input": format!("Is {id} it?"), "target": "yes"}));
    project.write_lines("golden.jsonl", &cases.collect::<Vec<_>>());
    let answers = (0..3).map(|id| json!({"id": format!("g{id}"), "output": "yes"}));
    project.write_lines("answers.jsonl", &answers.collect::<Vec<_>>());
    project
}

const SCORE: [&str; 4] = ["score", "suite.yaml", "--responses", "answers.jsonl"];

fn hash(project: &Project, name: &str) -> String {
    karat::engine::hash::sha256(project.read(name).as_bytes())
}

fn manifest(project: &Project, run: usize) -> Value {
    let path = project.runs("headed")[run].join("manifest.json");
    serde_json::from_slice(&std::fs::read(path).expect("read the manifest")).expect("JSON")
}

#[test]
fn a_record_keeps_the_hash_and_version_of_a_header_and_compare_names_the_versions() {
    let project = suite();
    project.karat(SCORE).code(0);
    let plain = manifest(&project, 0);
    assert!(plain["hashes"].get("headers").is_none() && plain.get("dataset_versions").is_none(), "{plain}");
    assert_eq!(plain["format"], "karat-run/1");
    let header = format!("version: 1.10\ncases: 3\nsha256: {}\n", hash(&project, "golden.jsonl"));
    project.write("golden.jsonl.yaml", &header);
    project.karat(["lint", "suite.yaml"]).code(0);
    project.karat(SCORE).code(0);
    let headed = manifest(&project, 1);
    let expected = json!({"golden": hash(&project, "golden.jsonl.yaml")});
    assert_eq!((&headed["hashes"]["headers"], &headed["format"]), (&expected, &json!("karat-run/5")));
    assert_eq!(headed["dataset_versions"], json!({"golden": "1.10"}));
    let ids: Vec<String> =
        project.runs("headed").iter().map(|run| run.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let compared = project.karat(["compare", &ids[0], &ids[1], "--suite", "headed"]).code(0);
    assert!(compared.stdout.contains("version of golden") && compared.stdout.contains("1.10"), "{compared}");
    // The records of karats before this one are read as they are.
    project.karat(["gate", &ids[0], "--suite", "headed"]).code(0);
}

#[test]
fn a_header_that_is_wrong_or_not_the_files_stops_lint_and_runs_alike() {
    let project = suite();
    let found = hash(&project, "golden.jsonl");
    let other = "ab".repeat(32);
    let headers = [
        ("", "the key `version` is missing", "golden.jsonl.yaml:1"),
        ("version: 1\norigins: here\n", "did you mean `origin`?", "golden.jsonl.yaml:2:1"),
        ("version: 2\nchangelog:\n  - {version: 1, changes: first}\n", "begins with version 1, not with 2", ".yaml:3:"),
        ("version: 1\ncases: 4\n", "cases is 3, its header says 4", "golden.jsonl.yaml:2:8"),
        (&format!("version: 1\nsha256: {other}\n"), &format!("is {found}, its header says {other}"), ".yaml:2:9"),
        ("version: 1\nschema: {id: texts}\n", "did you mean `text`?", ".yaml:2:"),
        (&"#".repeat(2 << 20), "more than 1048576 bytes", "golden.jsonl.yaml"),
    ];
    for (header, told, place) in headers {
        project.write("golden.jsonl.yaml", header);
        project.karat(["lint", "suite.yaml"]).code(2).complains(&[told]).complains(&[place]);
        project.karat(SCORE).code(2).complains(&[told]).complains(&[place]);
        project.karat(SCORE.iter().chain(&["--dry-run"])).code(2).complains(&[told]);
    }
    assert!(project.runs("headed").is_empty());
    // A limit cuts the file: how many cases it has is not known.
    project.write("golden.jsonl.yaml", "version: 1\ncases: 4\n");
    project.karat(SCORE.iter().chain(&["--limit", "2"])).code(0);
}

#[test]
fn lint_holds_every_row_against_the_schema() {
    let project = suite();
    let rows: Vec<Value> = (0..9)
        .map(|id| match id {
            1 => json!({"id": 1, "input": "a 1", "target": "yes", "level": "easy"}),
            id if id > 1 => {
                json!({"id": format!("g{id}"), "input": format!("a {id}"), "target": "yes", "lvl": "easy"})
            }
            _ => json!({"id": "g0", "input": "a 0", "target": "yes", "level": "medium"}),
        })
        .collect();
    project.write_lines("golden.jsonl", &rows);
    let schema = "version: 1\nschema:\n  id: text\n  input: text\n  target: any\n  level: {values: [easy, hard]}\n";
    project.write("golden.jsonl.yaml", schema);
    let lint = project.karat(["lint", "suite.yaml"]).code(2);
    for told in [
        "the row does not fit the schema: `level` is \"medium\", which is none of its `values`: \"easy\", \"hard\"\n  --> golden.jsonl:1\n",
        "the row does not fit the schema: `id` must be text; it is a number\n  --> golden.jsonl:2\n",
        "the row does not fit the schema: `level` is missing\n  --> golden.jsonl:3\n",
        "there are 4 more rows that do not fit the schema",
        "the row has keys that the schema does not know: `lvl`\n  --> golden.jsonl:3\n",
        "did you mean `level`?",
        "there are 2 more rows with keys that the schema does not know",
    ] {
        assert!(lint.stderr.contains(told), "{told}{lint}");
    }
    // The schema is the linter's business.
    project.write("golden.jsonl.yaml", schema.replace("any", "{type: list}"));
    let answers: Vec<Value> =
        rows.iter().map(|row| json!({"id": row["id"].to_string().replace('"', ""), "output": "yes"})).collect();
    project.write_lines("answers.jsonl", &answers);
    project.karat(SCORE).code(0);
}
