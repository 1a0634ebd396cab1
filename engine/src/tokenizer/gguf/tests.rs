//! Metadata made of a `tokenizer.json`, as ggml's converters make it, must give that file's ids; published vectors must agree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{build, key};
use crate::models::model_folder::ModelFolder;
use crate::tokenizer::Tokenizer;

/// What a converter writes for a `tokenizer.json`: texts by id, kinds, and merges or scores.
fn metadata(file: &Path, pre: &str) -> Map<String, Value> {
    let file: Value = serde_json::from_slice(&std::fs::read(file).expect("read")).expect("JSON");
    let model = &file["model"];
    let mut tokens: BTreeMap<u64, (String, u64)> = BTreeMap::new();
    for (token, id) in model["vocab"].as_object().expect("a vocabulary") {
        let kind = if token.len() == 6 && token.starts_with("<0x") { 6 } else { 1 };
        tokens.insert(id.as_u64().expect("an id"), (token.clone(), kind));
    }
    for token in file["added_tokens"].as_array().expect("a list") {
        let text = token["content"].as_str().expect("a text").to_owned();
        let kind = match token["special"] == true {
            true if model["unk_token"] == json!(text) => 2,
            true => 3,
            false => 4,
        };
        tokens.insert(token["id"].as_u64().expect("an id"), (text, kind));
    }
    let merges: Vec<(String, String)> =
        model["merges"].as_array().into_iter().flatten().map(|merge| pair(merge).expect("a merge")).collect();
    let kind = match model["type"].as_str() {
        Some("WordPiece") => "bert",
        _ if model["byte_fallback"] == true => "llama",
        _ => "gpt2",
    };
    let scored = |token: &str| merges.iter().position(|(left, right)| format!("{left}{right}") == token);
    let score = |token: &str| -scored(token).map_or(1e6, |at| at as f64);
    let phantom = |(token, kind): &(String, u64)| match token.strip_prefix("##") {
        _ if *kind != 1 || (token.starts_with('[') && token.ends_with(']')) => token.clone(),
        Some(rest) => rest.to_owned(),
        None => format!("▁{token}"),
    };
    let texts: Vec<String> =
        tokens.values().map(|token| if kind == "bert" { phantom(token) } else { token.0.clone() }).collect();
    let mut found = Map::new();
    let mut set = |name: &str, value: Value| found.insert(key(name), value);
    set("model", json!(kind));
    set("tokens", json!(texts));
    set("token_type", json!(tokens.values().map(|(_, kind)| *kind).collect::<Vec<_>>()));
    match kind {
        "gpt2" => {
            set("pre", json!(pre));
            set("merges", json!(merges.iter().map(|(left, right)| format!("{left} {right}")).collect::<Vec<_>>()));
        }
        "llama" => {
            set("scores", json!(tokens.values().map(|(token, _)| score(token)).collect::<Vec<_>>()));
        }
        _ => {}
    }
    let id = |token: &str| tokens.iter().find(|(_, (text, _))| text == token).map(|(id, _)| *id);
    let named: &[(&str, &str)] = match kind {
        "bert" => &[("bos", "[CLS]"), ("seperator", "[SEP]"), ("unknown", "[UNK]"), ("padding", "[PAD]")],
        _ => &[("bos", "<s>"), ("eos", "<|endoftext|>"), ("eos", "<|im_end|>"), ("eos", "</s>")],
    };
    for (name, token) in named {
        if let Some(id) = id(token) {
            set(&format!("{name}_token_id"), json!(id));
        }
    }
    found
}

/// A merge in either spelling.
fn pair(merge: &Value) -> Option<(String, String)> {
    match merge {
        Value::String(text) => text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
        pair => Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())),
    }
}

fn assembled(metadata: &Map<String, Value>) -> Tokenizer {
    let (inner, special_tokens) = build(metadata).expect("builds");
    Tokenizer::whole(inner, special_tokens).expect("a tokenizer")
}

const TEXTS: [&str; 24] = [
    "",
    " ",
    "   ",
    "the gold is in the old house",
    " leading",
    "   three spaces",
    "trailing  ",
    "a  b   c    d",
    "\ttab\n\nnew lines\r\n",
    "It's 12345.678% I'LL they're",
    "déjà-vu Ünïcödé e\u{301}tat",
    "日本語 ひらがな 한국어",
    "🙂 \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} 🦙.cpp",
    "ИЩО нещо на Български",
    "<s>hello</s> and <unk>",
    " <s> hello </s>  x",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "[CLS] words [SEP] and [MASK] [UNK] [x]",
    "<0x41> <0x0A>",
    "▁under▁score ▁",
    "\u{0}\u{7f}\u{fffd}",
    "snake_case camelCase $x_1+y$/z === ++ {}[]()",
    "!!!!!! ...... ------",
    "supercalifragilisticexpialidocious",
];

/// Ids of every text with and without special tokens, and what they decode to.
fn compare(name: &str, expected: &Tokenizer, metadata: &Map<String, Value>) -> usize {
    let tokenizer = assembled(metadata);
    assert_eq!(tokenizer.vocab_size(), expected.vocab_size(), "{name}");
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(TEXTS.iter().zip(TEXTS.iter().rev()).map(|(a, b)| format!("{a} {b}{a}")));
    for text in &texts {
        for around in [false, true] {
            let ids = expected.encode(text, around).expect("encodes");
            assert_eq!(tokenizer.encode(text, around).expect("encodes"), ids, "{name}: {text:?} {around}");
            for skip in [false, true] {
                let right = expected.decode(&ids, skip).expect("decodes");
                assert_eq!(tokenizer.decode(&ids, skip).expect("decodes"), right, "{name}: {text:?}");
            }
        }
        let pair = (Some("a second text"), "the first");
        let (ids, segments) = expected.encode_segments(pair.1, pair.0).expect("encodes");
        let got = tokenizer.encode_segments(pair.1, pair.0).expect("encodes");
        assert_eq!(got.0, ids, "{name}");
        // Segments are the encoders' matter; byte-level files number them by a post-processor that GGUF does not tell of.
        assert!(metadata[&key("model")] != "bert" || got.1 == segments, "{name}");
    }
    texts.len()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name)
}

#[test]
fn fixtures_give_the_ids_of_their_own_tokenizer() {
    for name in ["llama", "qwen2", "mistral-window", "bert", "random-tiny"] {
        let folder = fixture(name);
        let expected = Tokenizer::from_folder(&ModelFolder::new(&folder)).expect("loads");
        // The class of Qwen 2 cuts texts its own way, whatever the file says.
        let pre = if name == "qwen2" { "qwen2" } else { "gpt-2" };
        let mut metadata = metadata(&folder.join("tokenizer.json"), pre);
        if expected.encode("a", true).expect("encodes").len() == expected.encode("a", false).expect("encodes").len() {
            metadata.insert(key("add_bos_token"), json!(false));
        }
        compare(name, &expected, &metadata);
    }
}

/// The folder of shared reference data.
fn shared() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("KARAT_SHARED").map_or(root, PathBuf::from);
    assert!(shared.join("data/tokenizers").exists(), "{} has no data/tokenizers", shared.display());
    shared
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn published_tokenizers_give_the_same_ids_through_metadata() {
    let shared = shared();
    let folders = [
        ("data/tokenizers/gpt2", "gpt-2"),
        ("data/tokenizers/phi-2", "phi-2"),
        ("data/tokenizers/gpt-neox-20b", "gpt-neox"),
        ("data/tokenizers/roberta-base", "roberta-bpe"),
        ("data/tokenizers/all-MiniLM-L6-v2", ""),
        ("data/weights/stories260K", ""),
    ];
    for (folder, pre) in folders {
        let folder = shared.join(folder);
        let expected = Tokenizer::from_folder(&ModelFolder::new(&folder)).expect("loads");
        let mut metadata = metadata(&folder.join("tokenizer.json"), pre);
        if pre == "roberta-bpe" {
            metadata.insert(key("add_bos_token"), json!(true));
            metadata.insert(key("add_eos_token"), json!(true));
        }
        assert!(compare(pre, &expected, &metadata) > 0);
    }
}

/// `tests/test-tokenizer-0.cpp` of llama.cpp encodes without special tokens.
#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn published_vectors_agree() {
    let shared = shared();
    let data = shared.join("data/tokenizers");
    let mut tokenizers = vec![("gpt-2", Tokenizer::from_folder(&ModelFolder::new(&data)).expect("the one GGUF file"))];
    for (name, folder) in [("roberta-bpe", "roberta-base"), ("bert-bge", "all-MiniLM-L6-v2")] {
        tokenizers.push((name, assembled(&metadata(&data.join(folder).join("tokenizer.json"), name))));
    }
    for (name, tokenizer) in tokenizers {
        let read =
            |end: &str| std::fs::read_to_string(data.join(format!("ggml-vocab-{name}.gguf.{end}"))).expect("read");
        let (texts, expected) = (read("inp"), read("out"));
        let mut checked = 0;
        for (text, line) in texts.split("\n__ggml_vocab_test__\n").zip(expected.lines()) {
            let ids: Vec<u32> = line.split_whitespace().map(|id| id.parse().expect("an id")).collect();
            assert_eq!(tokenizer.encode(text, false).expect("encodes"), ids, "{name} {text:?}");
            checked += 1;
        }
        assert!(checked > 40, "{name}: {checked}");
    }
}

/// A small SentencePiece vocabulary.
fn pieces() -> Map<String, Value> {
    let tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "ab", "▁a", "<end>", "<|im_end|>", "  "];
    let types = [2, 3, 3, 6, 1, 1, 1, 1, 1, 4, 3, 4];
    let scores = [0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -1.0, -2.0, 0.0, 0.0, -1000.0];
    let value = json!({
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.eos_token_id": 2,
    });
    value.as_object().cloned().expect("an object")
}

fn ids(metadata: &Map<String, Value>, text: &str) -> Vec<u32> {
    assembled(metadata).encode(text, true).expect("encodes")
}

#[test]
fn flags_of_sentence_piece_are_read() {
    let mut found = pieces();
    // The best score first: "ab" before "▁a".
    assert_eq!(ids(&found, "ab"), [1, 4, 7]);
    assert_eq!(ids(&found, "a\nx"), [1, 8, 3, 0]);
    // User-defined tokens are found in the text as it is.
    assert_eq!(ids(&found, "a<end>a  b"), [1, 8, 9, 8, 11, 4, 6]);
    found.insert(key("add_space_prefix"), json!(false));
    assert_eq!(ids(&found, "ab"), [1, 7]);
    assert_eq!(assembled(&found).decode(&[4, 7], false).expect("decodes"), " ab");
    found.insert(key("add_bos_token"), json!(false));
    found.insert(key("add_eos_token"), json!(true));
    assert_eq!(ids(&found, "ab"), [7, 2]);
    found.insert(key("remove_extra_whitespaces"), json!(true));
    assert_eq!(ids(&found, " a "), [5, 2]);
    let tokenizer = assembled(&found);
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (Some(1), Some(2)));
    assert_eq!(tokenizer.special_tokens().get("unk_token"), Some("<unk>"));
    // Control tokens are left out of answers, user-defined ones are not.
    assert_eq!(tokenizer.decode(&[5, 10, 9], true).expect("decodes"), "a<end>");
}

#[test]
fn phi3_drops_spaces_behind_its_markers() {
    let mut found = pieces();
    found.insert("general.architecture".into(), json!("phi3"));
    assert_eq!(ids(&found, "<|im_end|>\n a"), [1, 10, 8]);
    assert_eq!(ids(&found, "<s>\na"), [1, 1, 4, 3, 5]);
}

#[test]
fn broken_metadata_is_refused_with_the_key() {
    let refused = |name: &str, value: Value| {
        let mut found = pieces();
        found.insert(key(name), value);
        let error = build(&found).err().unwrap_or_else(|| panic!("{name} is taken"));
        format!("{}; {}", error.chain(), error.hint().unwrap_or_default())
    };
    for (name, value) in [
        ("scores", json!([1.0])),
        ("scores", Value::Null),
        ("token_type", json!("x")),
        ("tokens", json!(["<unk>", 3])),
        ("add_bos_token", json!("yes")),
        ("add_space_prefix", json!(1)),
    ] {
        let told = refused(name, value);
        assert!(told.contains(&key(name)) || told.contains("token_type"), "{told}");
    }
    assert!(refused("model", json!("t5")).contains("t5"));
    assert!(refused("eos_token_id", json!(99)).contains("99"));
    let twice = ["<unk>", "a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    assert!(refused("tokens", json!(twice)).contains("`a` is token 1 and token 2"));
    assert!(refused("model", json!("gpt2")).contains("tokenizer.ggml.pre"));
    let mut found = pieces();
    found.remove(&key("tokens"));
    let error = build(&found).expect_err("refused");
    assert!(error.message().contains("tokenizer.ggml.tokens"));
    assert!(error.hint().is_some_and(|hint| hint.contains("tokenizer.json")));
    let mut bytes = pieces();
    bytes.insert(key("model"), json!("gpt2"));
    bytes.insert(key("pre"), json!("gpt-2"));
    assert!(build(&bytes).expect_err("refused").message().contains("tokenizer.ggml.merges"));
    for merge in ["a", "a x", "b a", " ", ""] {
        bytes.insert(key("merges"), json!([merge]));
        assert!(build(&bytes).expect_err("refused").message().contains("merge"), "{merge:?}");
    }
}
