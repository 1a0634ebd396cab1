//! Pre-tokenizers by their names in GGUF files (`tokenizer.ggml.pre`).
//!
//! A name stands for regular expressions that cut a text one after the other, each keeping its matches and what lies between
//! them. The expressions are those of the models' own `tokenizer.json`, as `src/llama-vocab.cpp` of llama.cpp documents them
//! beside its rewritten ones; where the model composes characters first (NFC), this does so too, which llama.cpp does not.

use crate::error::{Error, Result, nearest};

/// How a byte-level vocabulary cuts texts before it merges bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pre {
    /// Regular expressions, in the order in which they cut.
    pub splits: &'static [&'static str],
    /// Whether characters are composed first.
    pub nfc: bool,
    /// Whether a word that is a token stays one, whatever the merges would make of it.
    pub whole_words: bool,
    /// Whether a text starts with the bos token where the file does not say.
    pub begins: bool,
    /// Whether a second text is set apart by another eos token.
    pub separates: bool,
}

const PLAIN: Pre = Pre { splits: &[GPT2], nfc: false, whole_words: false, begins: false, separates: false };

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const DIGITS: &[&str] = &[r"\p{N}", GPT2];
const LLAMA3: &[&str] = &[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const QWEN2: &[&str] = &[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const QWEN35: &[&str] = &[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const SEED_CODER: &[&str] = &[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
];
const BAILING: &[&str] =
    &[r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"];
const TEKKEN: &[&str] = &[concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)];
const GPT4O: &[&str] = &[concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)];
const DEEPSEEK_LLM: &[&str] = &[
    r"[\r\n]",
    // Letters that have a case, as of the Unicode version of its time.
    concat!(
        r"\s?[",
        r"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}",
        r"\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}",
        r"\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}",
        r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}",
        r"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}",
        r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}",
        r"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}",
        r"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}",
        r"\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}",
        r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}",
        r"\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}",
        r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}",
        r"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}",
        r"]+",
    ),
    r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
    r"\s+$",
    r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+",
    r"\p{N}+",
];
const DEEPSEEK_CODER: &[&str] =
    &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+", r"\p{N}"];
const DEEPSEEK_V3: &[&str] = &[
    r"\p{N}{1,3}",
    r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+",
    concat!(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"##,
        r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
];
const FALCON: &[&str] = &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"];
const BLOOM: &[&str] = &[r" ?[^(\s|.,!?…。，、।۔،)]+"];
const VIKING: &[&str] = &[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"];
const DEFAULT: &[&str] = &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"];

/// Names and what they stand for.
const KNOWN: &[(&[&str], Pre)] = &[
    (&["default"], Pre { splits: DEFAULT, ..PLAIN }),
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "exaone4",
            "jais",
            "trillion",
            "granite-docling",
        ],
        PLAIN,
    ),
    (&["olmo", "mpt", "gpt-neox"], Pre { nfc: true, ..PLAIN }),
    (&["roberta-bpe", "jina-v1-en", "jina-v2-code"], Pre { separates: true, ..PLAIN }),
    (
        &["starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        Pre { splits: DIGITS, ..PLAIN },
    ),
    (&["command-r"], Pre { splits: DIGITS, nfc: true, ..PLAIN }),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
        Pre { splits: LLAMA3, whole_words: true, begins: true, ..PLAIN },
    ),
    (&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], Pre { splits: LLAMA3, ..PLAIN }),
    (&["qwen2"], Pre { splits: QWEN2, nfc: true, ..PLAIN }),
    (
        &["deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "kormo", "f2llmv2", "grok-2", "solar-open"],
        Pre { splits: QWEN2, ..PLAIN },
    ),
    (&["qwen35"], Pre { splits: QWEN35, nfc: true, ..PLAIN }),
    (&["seed-coder"], Pre { splits: SEED_CODER, ..PLAIN }),
    (&["bailingmoe", "bailingmoe2", "llada-moe"], Pre { splits: BAILING, ..PLAIN }),
    (&["tekken"], Pre { splits: TEKKEN, whole_words: true, begins: true, ..PLAIN }),
    (&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], Pre { splits: GPT4O, ..PLAIN }),
    (&["deepseek-llm"], Pre { splits: DEEPSEEK_LLM, ..PLAIN }),
    (&["deepseek-coder"], Pre { splits: DEEPSEEK_CODER, ..PLAIN }),
    (&["deepseek-v3", "hunyuan-dense", "joyai-llm"], Pre { splits: DEEPSEEK_V3, ..PLAIN }),
    (&["falcon"], Pre { splits: FALCON, ..PLAIN }),
    (&["bloom", "poro-chat", "gpt3-finnish"], Pre { splits: BLOOM, ..PLAIN }),
    (&["viking"], Pre { splits: VIKING, ..PLAIN }),
];

/// The pre-tokenizer of a name.
///
/// # Errors
/// The name is not known.
pub fn find(name: &str) -> Result<Pre> {
    let found = KNOWN.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, pre)| *pre).ok_or_else(|| {
        let names: Vec<&str> = KNOWN.iter().flat_map(|(names, _)| *names).copied().collect();
        Error::input(format!("the pre-tokenizer `{name}` (`tokenizer.ggml.pre`) is not supported")).with_hint(format!(
            "known are {}; {}; a tokenizer.json beside the file goes before what the file says",
            names.join(", "),
            nearest(name, names.iter().copied())
        ))
    })
}

#[cfg(test)]
mod tests {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior::Isolated,
    };

    use super::*;

    fn cut(name: &str, text: &str) -> Vec<String> {
        let mut pieces = PreTokenizedString::from(text);
        for pattern in find(name).expect("known").splits {
            let split = Split::new(SplitPattern::Regex((*pattern).into()), Isolated, false).expect("an expression");
            split.pre_tokenize(&mut pieces).expect("cut");
        }
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(piece, _, _)| piece.to_owned()).collect()
    }

    #[test]
    fn every_expression_compiles_and_loses_nothing() {
        let text =
            "It'S 12345 déjà-vu, e\u{301}tat 日本語ひらがな 🙂\r\n\n  <done> —\t\u{1f468}\u{200d}\u{1f469} $x_1+y$/z  ";
        for name in KNOWN.iter().flat_map(|(names, _)| *names) {
            assert_eq!(cut(name, text).concat(), text, "{name}");
        }
        let mut names: Vec<&str> = KNOWN.iter().flat_map(|(names, _)| *names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn families_cut_numbers_case_and_contractions_their_own_way() {
        let table = [
            ("gpt-2", "I'LL 12345", vec!["I", "'", "LL", " 12345"]),
            ("llama-bpe", "I'LL 12345", vec!["I", "'LL", " ", "123", "45"]),
            ("qwen2", "I'LL 123", vec!["I", "'LL", " ", "1", "2", "3"]),
            ("smollm", "I'll 123", vec!["I", "'ll", " ", "1", "2", "3"]),
            ("tekken", "camelCase 12", vec!["camel", "Case", " ", "1", "2"]),
            ("gpt-4o", "I'LL 1234", vec!["I'LL", " ", "123", "4"]),
            ("deepseek-llm", "a b\n日本", vec!["a", " b", "\n", "日本"]),
            ("deepseek-coder", "a, b", vec!["a", ",", " b"]),
            ("deepseek-v3", "1234日本!x", vec!["123", "4", "日本", "!x"]),
            ("default", "(a) 1234", vec!["(", "a", ")", " ", "123", "4"]),
        ];
        for (name, text, pieces) in table {
            assert_eq!(cut(name, text), pieces, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_known() {
        let error = find("qwen22").unwrap_err();
        assert!(error.message().contains("qwen22"));
        assert!(error.hint().is_some_and(|hint| hint.contains("llama-bpe") && hint.contains("qwen2")));
    }
}
