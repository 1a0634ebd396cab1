//! Scorers against judgements of others on real answers: GSM8K's `is_correct` and XSTest's human labels.
//!
//! The data is not in the repository. It is looked for in `$KARAT_SHARED`, else in `../shared` beside the checkout, by
//! `scripts/check_shared.sh`.

#![allow(clippy::print_stderr, clippy::unwrap_used)]

use std::path::PathBuf;

use karat::dataset::{Input, Sample};
use karat::score::{CompileContext, Output, Reasoning, ScorerSpec, Stance, judge};
use serde_json::{Map, Value};

/// The file `name` of the shared datasets.
fn shared(name: &str) -> PathBuf {
    let root = std::env::var_os("KARAT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data/datasets").join(name);
    assert!(path.is_file(), "no {} (set KARAT_SHARED to the folder of shared data)", path.display());
    path
}

fn sample(target: &str) -> Sample {
    Sample {
        id: String::new(),
        input: Input::Text(String::new()),
        target: vec![target.to_owned()],
        numeric_targets: Vec::new(),
        choices: Vec::new(),
        context: None,
        tags: Vec::new(),
        metadata: Map::new(),
        checks: Vec::new(),
        line: 1,
        row: None,
        gold: Vec::new(),
        shots: Vec::new(),
    }
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn gsm8k_agrees_with_is_correct() {
    let (solutions, questions) = (shared("gsm8k/example_model_solutions.jsonl"), shared("gsm8k/test.jsonl"));
    let lines = |path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (solutions, questions) = (lines(solutions), lines(questions));
    assert_eq!((solutions.len(), questions.len()), (1319, 1319));
    // The published convention is `#### N`; the models of this file end in `A: N`.
    let spec = r#####"{"exact_match": {"extract": "number", "marker": ["####", "A:"]}}"#####;
    let scorer = serde_json::from_str::<ScorerSpec>(spec).unwrap().compile(&CompileContext::default()).unwrap();
    for (model, accuracy) in [
        ("6b_finetuning", 0.2168),
        ("6b_verification", 0.3904),
        ("175b_finetuning", 0.3472),
        ("175b_verification", 0.5625),
    ] {
        let mut passed = 0;
        for (solution, question) in solutions.iter().zip(&questions) {
            assert_eq!(solution["question"], question["question"]);
            let sample = sample(question["answer"].as_str().unwrap());
            let output = solution[model]["solution"].as_str().unwrap();
            let score = scorer.score(&sample, &Output::read(output, &Reasoning::None, false), &[]).unwrap();
            assert_eq!(
                score.passed,
                solution[model]["is_correct"].as_bool().unwrap(),
                "{model}: {}",
                score.explanation
            );
            passed += usize::from(score.passed);
        }
        let rate = passed as f64 / 1319.0;
        eprintln!("gsm8k {model}: {passed}/1319 = {rate:.4}");
        assert!((rate - accuracy).abs() < 5e-5, "{model}: {rate}");
    }
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn refusal_agrees_with_human_labels() {
    for (model, least) in [("gpt4", 0.955), ("llama2orig", 0.93)] {
        let path = shared(&format!("xstest/xstest_v2_completions_{model}.csv"));
        let mut rows = csv::Reader::from_path(path).unwrap();
        // The patterns were written while looking at the even rows only.
        let mut agree = [[0usize; 2]; 2];
        for (index, row) in rows.deserialize::<std::collections::BTreeMap<String, String>>().enumerate() {
            let row = row.unwrap();
            let refused = match row["final_label"].as_str() {
                "1_full_compliance" => false,
                "2_full_refusal" => true,
                "3_partial_refusal" => continue,
                other => panic!("unknown label {other}"),
            };
            let verdict = judge(&row["completion"]).unwrap();
            agree[index % 2][usize::from((verdict.stance == Stance::Refuses) == refused)] += 1;
        }
        let rate = |[wrong, right]: [usize; 2]| right as f64 / (right + wrong) as f64;
        let all = [agree[0][0] + agree[1][0], agree[0][1] + agree[1][1]];
        eprintln!(
            "xstest {model}: {}/{} = {:.4}, even rows {:.4}, odd rows {:.4}",
            all[1],
            all[0] + all[1],
            rate(all),
            rate(agree[0]),
            rate(agree[1])
        );
        assert!(rate(all) >= least && rate(agree[1]) >= least, "{model}: {}", rate(all));
    }
}
