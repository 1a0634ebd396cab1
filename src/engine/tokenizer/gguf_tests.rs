//! Tokenizers from GGUF metadata give the ids of the `tokenizer.json` that the metadata was made from.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Tokenizer, gguf};
use crate::engine::candle::Vocabulary;

/// Where the shared folder of the workplace lies, if it is there.
fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("KARAT_SHARED").map(PathBuf::from);
    let path = path.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    path.join("data/tokenizers").is_dir().then_some(path)
}

/// What ggml's converter writes for a `tokenizer.json`.
fn metadata(path: &Path, model: &str, pre: Option<&str>) -> Vocabulary {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut tokens: Vec<(u64, String, i64)> = Vec::new();
    for (token, id) in file["model"]["vocab"].as_object().unwrap() {
        let kind = if token.starts_with("<0x") && model == "llama" { 6 } else { 1 };
        tokens.push((id.as_u64().unwrap(), token.clone(), kind));
    }
    for added in file["added_tokens"].as_array().unwrap() {
        let (id, text) = (added["id"].as_u64().unwrap(), added["content"].as_str().unwrap().to_owned());
        let kind = match (text.as_str(), added["special"].as_bool()) {
            ("<unk>", _) => 2,
            (_, Some(true)) => 3,
            _ => 4,
        };
        tokens.retain(|(known, _, _)| *known != id);
        tokens.push((id, text, kind));
    }
    tokens.sort();
    let merges: Vec<String> = file["model"]["merges"].as_array().into_iter().flatten().map(spelled).collect();
    let rank = |token: &str| merges.iter().position(|merge| merge.replace(' ', "") == token);
    let scores = match model {
        "llama" => tokens.iter().map(|(_, token, _)| rank(token).map_or(-1e6, |rank| -(rank as f32))).collect(),
        _ => Vec::new(),
    };
    let named = [
        ("unknown", "<unk>"),
        ("unknown", "[UNK]"),
        ("bos", "<s>"),
        ("cls", "[CLS]"),
        ("seperator", "[SEP]"),
        ("eos", "</s>"),
    ];
    let id = |wanted: &str| tokens.iter().find(|(_, token, _)| token == wanted).map(|(id, _, _)| *id as u32);
    Vocabulary {
        model: model.into(),
        pre: pre.map(str::to_owned),
        scores,
        kinds: tokens.iter().map(|(_, _, kind)| *kind).collect(),
        named: named.iter().filter_map(|(name, token)| Some((*name, id(token)?))).collect(),
        add_space_prefix: true,
        merges: if model == "gpt2" { merges.clone() } else { Vec::new() },
        tokens: tokens.iter().map(|(_, token, kind)| word_piece(model, token, *kind)).collect(),
        ..Vocabulary::default()
    }
}

fn spelled(merge: &Value) -> String {
    match merge {
        Value::String(text) => text.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    }
}

/// How ggml spells a token of WordPiece: a mark before words instead of one before their rests.
fn word_piece(model: &str, token: &str, kind: i64) -> String {
    match (model, token.strip_prefix("##")) {
        ("bert", Some(rest)) => rest.into(),
        ("bert", None) if kind == 1 => format!("▁{token}"),
        _ => token.into(),
    }
}

const TEXTS: [&str; 12] = [
    "Gold is heavier than lead.",
    "  two spaces,   three   and a trailing one ",
    "naïve façade Ångström Привет 世界 \u{1f947} 👩‍🔬",
    "fn weigh(grams: f64) -> f64 {\n    grams * 0.999\n}\n\n\n",
    "it's I'LL we've 1234567 3.14 x²",
    "<s>not a begin</s> <|im_start|>user\nhi<|im_end|>",
    "\t\ttabs\r\nand returns\n \n",
    "",
    " ",
    "a",
    "ſ ﬁ \u{301}",
    "ALL CAPS and CamelCase42",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

#[test]
fn sentence_piece_and_byte_level_give_the_ids_of_the_file_they_come_from() {
    for (name, model, pre) in [("llama", "llama", None), ("qwen2", "gpt2", Some("gpt-2"))] {
        let folder = fixture(name);
        let plain = Tokenizer::from_folder(&folder).unwrap();
        let built = gguf::build(&metadata(&folder.join("tokenizer.json"), model, pre)).unwrap();
        for text in TEXTS {
            let got = built.tokenizer.encode_fast(text, false).unwrap();
            assert_eq!(got.get_ids(), plain.encode(text, false).unwrap(), "{name}: {text:?}");
            assert_eq!(
                built.tokenizer.decode(got.get_ids(), true).unwrap(),
                plain.decode(got.get_ids(), true).unwrap(),
                "{name}: {text:?}"
            );
        }
        assert_eq!(built.add_bos, model == "llama");
    }
}

#[test]
fn word_piece_gives_the_ids_of_the_file_it_comes_from() {
    let folder = fixture("bert");
    let plain = Tokenizer::from_folder(&folder).unwrap();
    let built = gguf::build(&metadata(&folder.join("tokenizer.json"), "bert", None)).unwrap();
    for text in TEXTS {
        let got = built.tokenizer.encode_fast(text, true).unwrap();
        assert_eq!(got.get_ids(), plain.encode(text, true).unwrap(), "{text:?}");
    }
}

#[test]
fn every_way_of_cutting_compiles_and_an_unknown_one_is_named() {
    let mut vocabulary = metadata(&fixture("qwen2").join("tokenizer.json"), "gpt2", None);
    for (pre, _, _) in gguf::CUTS {
        vocabulary.pre = Some(pre.into());
        let built = gguf::build(&vocabulary).unwrap();
        for text in TEXTS {
            let got = built.tokenizer.encode_fast(text, false).unwrap();
            let decoded = built.tokenizer.decode(got.get_ids(), false).unwrap();
            // qwen2 composes letters first, which these texts are but for one.
            assert!(decoded == text || pre == "qwen2", "{pre}: {text:?} became {decoded:?}");
        }
    }
    vocabulary.pre = Some("lama-bpe".into());
    let told = gguf::build(&vocabulary).err().unwrap();
    assert!(told.hint().is_some_and(|hint| hint.contains("llama-bpe")), "{told:?}");
    vocabulary.model = "rwkv".into();
    assert!(gguf::build(&vocabulary).is_err());
}

/// ggml's own test vectors, through its file and through metadata made from other tokenizers.
#[test]
fn ggml_test_vectors() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/tokenizers");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(data.join("ggml-vocab-gpt-2.gguf"), folder.path().join("vocab.gguf")).unwrap();
    let (_, from_file) = crate::engine::candle::gguf_vocabulary(folder.path()).unwrap().unwrap();
    let made = [
        ("gpt-2", from_file),
        ("roberta-bpe", metadata(&data.join("roberta-base/tokenizer.json"), "gpt2", Some("roberta-bpe"))),
        ("bert-bge", metadata(&data.join("all-MiniLM-L6-v2/tokenizer.json"), "bert", None)),
    ];
    for (name, vocabulary) in made {
        let built = gguf::build(&vocabulary).unwrap();
        let read = |end: &str| std::fs::read_to_string(data.join(format!("ggml-vocab-{name}.gguf.{end}"))).unwrap();
        let (texts, ids) = (read("inp"), read("out"));
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let expected: Vec<Vec<u32>> =
            ids.lines().map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect()).collect();
        let mut compared = 0;
        for (text, ids) in texts.iter().zip(&expected) {
            let got = built.tokenizer.encode_fast(*text, false).unwrap();
            assert_eq!(got.get_ids(), ids, "{name}: {text:?}");
            compared += 1;
        }
        assert!(compared > 30, "{name}: {compared} texts");
    }
}
