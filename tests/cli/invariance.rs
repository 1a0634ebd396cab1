//! The first promise: an answer's bytes depend on neither batching, chunking, slots, threads nor the order of the input.
//!
//! Settings are a pairwise-covering table, not the full product. The tiny checkpoints run all of it; the wide random
//! models, whose products split and thread (tiny ones hide that), run the rows that differ most. All of it computes on the
//! device that `KARAT_TEST_DEVICE` names, where it is set.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::project::{Project, fixture};
use crate::random_model::{Random, wide_decoder, wide_encoder};

const BATCH_TOKENS: [&str; 4] = ["16", "64", "1000", "8192"];
/// The last one is longer than any prompt: unlimited.
const PREFILL_CHUNK: [&str; 3] = ["8", "100", "1000000"];
const MAX_SEQS: [&str; 3] = ["1", "4", "64"];
const THREADS: [&str; 2] = ["1", "2"];

/// Indices into the four lists above, whether the input is shuffled, whether prefixes are shared, and whether every second
/// answer is known from a run before: every pair of choices stands in some row.
const SETTINGS: [[usize; 7]; 12] = [
    [0, 0, 0, 1, 1, 0, 0],
    [0, 1, 1, 0, 1, 1, 1],
    [0, 2, 2, 1, 0, 1, 1],
    [1, 0, 1, 0, 0, 1, 0],
    [1, 1, 2, 1, 1, 0, 1],
    [1, 2, 0, 0, 0, 0, 0],
    [2, 0, 2, 0, 0, 1, 1],
    [2, 1, 0, 1, 1, 0, 0],
    [2, 2, 1, 1, 0, 0, 0],
    [3, 0, 0, 0, 0, 1, 1],
    [3, 1, 1, 1, 0, 0, 0],
    [3, 2, 2, 1, 1, 0, 0],
];

#[test]
fn the_table_covers_every_pair_of_choices() {
    let choices = [BATCH_TOKENS.len(), PREFILL_CHUNK.len(), MAX_SEQS.len(), THREADS.len(), 2, 2, 2];
    for (a, b) in (0..7).flat_map(|a| (0..a).map(move |b| (a, b))) {
        for (x, y) in (0..choices[a]).flat_map(|x| (0..choices[b]).map(move |y| (x, y))) {
            assert!(
                SETTINGS.iter().any(|row| row[a] == x && row[b] == y),
                "column {a} = {x} never meets column {b} = {y}"
            );
        }
    }
}

/// Lines by id, as written.
fn by_id(lines: Vec<String>) -> BTreeMap<String, String> {
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("a JSON line")["id"].to_string();
    lines.into_iter().map(|line| (id(&line), line)).collect()
}

/// Adds the right answer as a draft, or one with a wrong token, or nothing.
fn guess(line: &mut Value, i: usize, plain: &BTreeMap<String, String>) {
    let answer: Value = serde_json::from_str(&plain[&line["id"].to_string()]).expect("a JSON line");
    let mut draft = answer["ids"].clone();
    if i % 3 == 1 && draft[1].is_number() {
        draft[1] = json!(7);
    }
    if i % 3 != 2 {
        line["draft_ids"] = draft;
    }
}

/// A command on a model over some lines.
pub struct Sweep<'a> {
    pub command: &'a str,
    pub model: &'a Path,
    pub lines: Vec<Value>,
    pub flags: &'a [&'a str],
}

impl Sweep<'_> {
    /// Runs it under each of the settings and compares with a run without any acceleration.
    pub fn run(&self, settings: &[[usize; 7]]) {
        let device = std::env::var("KARAT_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
        let usual = [self.flags, &["--device", &device]].concat();
        let alone = [&usual[..], &["--no-prefix-sharing", "--no-drafts"]].concat();
        let plain = by_id(Project::new().engine_raw(self.command, self.model, &self.lines, &alone));
        assert_eq!(plain.len(), self.lines.len());
        for &[batch, chunk, seqs, threads, shuffled, shared, cached] in settings {
            let mut flags = vec!["--batch-tokens", BATCH_TOKENS[batch], "--threads", THREADS[threads]];
            if self.command == "generate" {
                flags.extend(["--prefill-chunk", PREFILL_CHUNK[chunk], "--max-seqs", MAX_SEQS[seqs]]);
            }
            flags.extend((shared == 0).then_some("--no-prefix-sharing"));
            let mut lines = self.lines.clone();
            if self.command == "generate" {
                lines.iter_mut().enumerate().for_each(|(i, line)| guess(line, i, &plain));
            }
            let mut project = Project::new();
            if self.command == "generate" && cached == 1 {
                project = Project::caching();
                let half: Vec<Value> = self.lines.iter().step_by(2).cloned().collect();
                project.engine_raw(self.command, self.model, &half, &usual);
            }
            if shuffled == 1 {
                Random(5).shuffle(&mut lines);
            }
            let got = by_id(project.engine_raw(self.command, self.model, &lines, &[&usual[..], &flags].concat()));
            for (id, want) in &plain {
                assert_eq!(
                    &got[id],
                    want,
                    "{} {} {flags:?}, shuffled {shuffled}, cached {cached}",
                    self.command,
                    self.model.display()
                );
            }
        }
    }
}

const GREEDY: &[&str] = &["--max-new-tokens", "20"];
const SAMPLED: &[&str] =
    &["--max-new-tokens", "20", "--temperature", "0.9", "--top-p", "0.95", "--top-k", "50", "--seed", "11"];

/// Ragged prompts of random ids, some of them equal or beginning alike, some with options of their own.
pub fn prompts(count: usize, longest: usize, vocabulary: usize) -> Vec<Value> {
    let mut random = Random(3);
    let stem: Vec<usize> = (0..longest).map(|_| 3 + random.below(vocabulary - 3)).collect();
    let line = |i: usize| {
        let length = 1 + if i.is_multiple_of(3) { random.below(longest) } else { random.below(12) };
        let mut ids: Vec<usize> = (0..length).map(|_| 3 + random.below(vocabulary - 3)).collect();
        if i % 3 == 1 {
            ids.splice(..0, stem[..random.below(longest)].iter().copied());
        }
        if i % 5 == 4 {
            json!({"id": format!("p{i}"), "prompt_ids": ids, "max_new_tokens": 1 + i % 7, "seed": i})
        } else {
            json!({"id": format!("p{i}"), "prompt_ids": ids})
        }
    };
    let mut lines: Vec<Value> = (0..count).map(line).collect();
    let (twin, id) = (lines[3]["prompt_ids"].clone(), lines[count / 2]["id"].clone());
    lines[count / 2] = json!({"id": id, "prompt_ids": twin});
    lines
}

fn generate_everywhere(name: &str) {
    let model = fixture(name);
    for flags in [GREEDY, SAMPLED] {
        Sweep { command: "generate", model: &model, lines: prompts(40, 150, 320), flags }.run(&SETTINGS);
    }
}

#[test]
fn llama3_rope_generates_the_same_bytes() {
    generate_everywhere("llama3-rope");
}

#[test]
fn mistral_window_generates_the_same_bytes() {
    generate_everywhere("mistral-window");
}

#[test]
fn qwen2_generates_the_same_bytes() {
    generate_everywhere("qwen2");
}

#[test]
fn qwen3_generates_the_same_bytes() {
    generate_everywhere("qwen3");
}

/// The other families: windows shorter and longer than the chunk, experts with one token and with many, rotations that depend
/// on the length, blocks side by side.
#[test]
fn every_family_generates_the_same_bytes() {
    let families = [
        "gemma",
        "gemma2",
        "gemma3",
        "gpt-neox",
        "gpt2",
        "granite",
        "mixtral",
        "olmo",
        "olmo2",
        "phi",
        "phi3-longrope",
        "qwen2-moe",
        "qwen3-moe",
        "smollm3",
        "stablelm",
        "stablelm-parallel",
        "starcoder2",
    ];
    for name in families {
        let model = fixture(name);
        for (flags, settings) in [(GREEDY, &APART[..]), (SAMPLED, &SETTINGS[1..3])] {
            Sweep { command: "generate", model: &model, lines: prompts(40, 150, 320), flags }.run(settings);
        }
    }
}

/// Texts of 1 to `longest` words.
fn texts(count: usize, longest: usize) -> Vec<Value> {
    const WORDS: [&str; 8] = ["gold", "is", "heavier", "than", "lead", "and", "twelve", "karat"];
    let mut random = Random(4);
    let text = |random: &mut Random| {
        let words = 1 + random.below(longest);
        (0..words).map(|_| WORDS[random.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(|i| json!({"id": i, "text": text(&mut random)})).collect()
}

#[test]
fn embeddings_and_labels_are_the_same_bytes() {
    for name in ["bert-mean", "bert-cls", "xlm-roberta", "mpnet-dense", "modernbert", "deberta-v2-conv"] {
        Sweep { command: "embed", model: &fixture(name), lines: texts(60, 30), flags: &[] }.run(&SETTINGS);
    }
    for name in
        ["bert-multilabel", "bert-2class", "distilbert-3class", "roberta-reranker", "modernbert-2class", "deberta-v3"]
    {
        Sweep { command: "classify", model: &fixture(name), lines: texts(60, 30), flags: &[] }.run(&SETTINGS);
    }
}

#[test]
fn log_probabilities_are_the_same_bytes() {
    let ids = |line: &Value| json!({"id": line["id"], "ids": line["prompt_ids"]});
    let lines = prompts(40, 150, 320).iter().map(ids).collect();
    Sweep { command: "logprob", model: &fixture("mistral-window"), lines, flags: &[] }.run(&SETTINGS);
    let mut random = Random(17);
    let mut lines: Vec<Value> = texts(24, 30);
    for line in &mut lines {
        let context = line["text"].take();
        *line = match random.below(3) {
            0 => json!({"id": line["id"], "document": context}),
            1 => json!({"id": line["id"], "context": context, "continuations": [" a", " b", " c", " a"]}),
            _ => {
                json!({"id": line["id"], "context": context, "continuations": [" the one", " the other", " none of them"]})
            }
        };
    }
    Sweep { command: "logprob", model: &crate::project::repository("models/karat-mini/2"), lines, flags: &[] }
        .run(&SETTINGS);
}

/// Small steps against large ones, one thread against two, one sequence against many.
pub const APART: [[usize; 7]; 4] = [SETTINGS[0], SETTINGS[4], SETTINGS[8], SETTINGS[9]];

#[test]
fn a_wide_decoder_generates_the_same_bytes() {
    let project = Project::new();
    let model = wide_decoder(&project);
    let mut lines = prompts(10, 60, 259);
    let ids: Vec<usize> = (0..450).map(|i| 3 + i * i % 256).collect();
    lines.push(json!({"id": "beyond the window", "prompt_ids": ids}));
    let flags = &["--max-new-tokens", "6", "--temperature", "0.7", "--seed", "2", "--ignore-eos"];
    Sweep { command: "generate", model: &model, lines, flags }.run(&APART);
}

#[test]
fn a_wide_encoder_embeds_the_same_bytes() {
    let project = Project::new();
    let model = wide_encoder(&project);
    Sweep { command: "embed", model: &model, lines: texts(16, 60), flags: &[] }.run(&APART);
}
