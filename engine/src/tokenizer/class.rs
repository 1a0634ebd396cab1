//! Which of transformers' tokenizer classes `AutoTokenizer` (5.24) takes for a folder, and the tokens that it names unasked.
//!
//! The generic class uses `tokenizer.json` as it is. The others keep vocabulary, merges and post-processor of the file and
//! set up all else themselves from flags of `tokenizer_config.json` (see [`crate::tokenizer::rebuild`]). Classes of families that this
//! engine does not compute, and those that exist in Python alone, are left out: their `tokenizer.json` is used as it is.

use serde_json::{Map, Value};
use tokenizers::ModelWrapper;

/// A class of transformers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Class {
    /// `TokenizersBackend`, which was `PreTrainedTokenizerFast`.
    #[default]
    Generic,
    Bert,
    CodeGen,
    CodeLlama,
    DebertaV2,
    Gemma,
    Gpt2,
    GptNeoX,
    Llama,
    MpNet,
    Qwen2,
    Qwen35,
    Roberta,
    XlmRoberta,
}

/// Names of the classes, without `Fast` at their end. Others are generic.
const NAMES: [(&str, Class); 21] = [
    ("BartTokenizer", Class::Roberta),
    ("BertTokenizer", Class::Bert),
    ("CodeGenTokenizer", Class::CodeGen),
    ("CodeLlamaTokenizer", Class::CodeLlama),
    ("DebertaV2Tokenizer", Class::DebertaV2),
    ("DistilBertTokenizer", Class::Bert),
    ("GPT2Tokenizer", Class::Gpt2),
    ("GPTNeoXTokenizer", Class::GptNeoX),
    ("GemmaTokenizer", Class::Gemma),
    ("LEDTokenizer", Class::Roberta),
    ("LlamaTokenizer", Class::Llama),
    ("LxmertTokenizer", Class::Bert),
    ("MPNetTokenizer", Class::MpNet),
    ("MobileBertTokenizer", Class::Bert),
    ("MvpTokenizer", Class::Roberta),
    ("PreTrainedTokenizer", Class::Generic),
    ("Qwen2Tokenizer", Class::Qwen2),
    ("Qwen3_5Tokenizer", Class::Qwen35),
    ("RobertaTokenizer", Class::Roberta),
    ("SqueezeBertTokenizer", Class::Bert),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
];

/// `TOKENIZER_MAPPING_NAMES`: the name of a class and the `model_type`s that it is registered for, with blanks between them. A model type of a class
/// that is left out is left out as well.
const REGISTERED: [(&str, &str); 11] = [
    (
        "BertTokenizer",
        "align bark bert blip bros chinese_clip convbert distilbert electra ernie flava git grounding-dino \
         layoutlm megatron-bert mm-grounding-dino nezha nomic_bert qdqbert realm retribert squeezebert tvp \
         vilt visual_bert",
    ),
    (
        "GPT2Tokenizer",
        "blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj hyperclovax_vision_v2 instructblip instructblipvideo \
         jais2 opt phi starcoder2",
    ),
    (
        "RobertaTokenizer",
        "bart bridgetower clap data2vec-text ibert lilt longformer mega mra roberta roberta-prelayernorm",
    ),
    ("GPTNeoXTokenizer", "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm"),
    (
        "GemmaTokenizer",
        "diffusion_gemma gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 \
         t5gemma zaya",
    ),
    (
        "Qwen2Tokenizer",
        "audioflamingo3 colqwen2 cosmos3_omni dots3_note fun_asr_nano hunyuan_vl internvl \
         moss_transcribe_diarize ovis2 qianfan_ocr qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe \
         qwen2_vl qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe",
    ),
    ("Qwen3_5Tokenizer", "qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen4_exp"),
    ("XLMRobertaTokenizer", "gte jina_embeddings_v3 metaclip_2 trocr xlm-roberta xmod"),
    ("LlamaTokenizer", "idefics idefics2"),
    ("MPNetTokenizer", "mpnet"),
    ("DebertaV2Tokenizer", "deberta-v2"),
];

/// Model types for which the generic class is registered, whatever class a folder of them names.
const GENERIC: &str = "EvollaModel arctic aria beam bigbird_pegasus camembertv2-base canary chatlm cohere_asr ernie4_5 ernie4_5_moe \
    flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm_image glmasr got_ocr2 gpt_bigcode \
    gradium_phonon_tts granite granitemoe granitemoehybrid granitemoeshared h2ovl_chat hyperclovax hyperclovax_vlm \
    internlm2 internlm3 iquestcoder jamba kimi_k25 kimi_linear kosmos-2 llava llava_next mimo_v2_flash minicpm3 \
    minicpm_ocr minicpmv minicpmv4_6 minicpmv4_7 minimax_m2 ministral ministral3 mistral mistral3 mistral_large4 \
    mixtral modernbert modernbert-decoder molmo molmo2 nemo_speechlm nemotron nvfp4 nystromformer olmo2 olmo3 \
    olmo_hybrid omniasr opencua openvla paddleocr_vl pegasus_x persimmon phi3 phi3_v phimoe pix2struct pixtral \
    pocket_tts smolvlm stablelm step3_vl umt5 vipllava voxtral voxtral_realtime xlm-roberta-xl";

/// Model types whose folders are known to name a wrong class: the registered one is taken.
const OVERRULED: &str = "hyperclovax_vision_v2 qwen2 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen4_exp";

/// Whether a name is among names with blanks between them.
fn listed(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|listed| listed == name)
}

fn named(name: &str) -> Class {
    NAMES.iter().find(|(known, _)| *known == name).map_or(Class::Generic, |(_, class)| *class)
}

fn registered(model_type: &str) -> Option<&'static str> {
    REGISTERED.iter().find(|(_, types)| listed(types, model_type)).map(|(name, _)| *name)
}

impl Class {
    /// The class of a folder by its `tokenizer_config.json` and `config.json`; `byte_level` says whether `tokenizer.json` has
    /// the word `"ByteLevel"`.
    pub(super) fn of(config: &Map<String, Value>, model: &Value, byte_level: impl Fn() -> bool) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let told = text(config.get("tokenizer_class")).or_else(|| text(model.get("tokenizer_class")));
        let told = told.map(|name| name.strip_suffix("Fast").map_or(name.clone(), str::to_owned));
        let model_type = model.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let (generic, own) = (listed(GENERIC, model_type), registered(model_type));
        let overruled = listed(OVERRULED, model_type);
        let Some(told) = told else { return own.map_or(Self::Generic, named) };
        // Llama 3 and its kin name the class of Llama 2.
        if told == "LlamaTokenizer" && !overruled && byte_level() {
            return Self::Generic;
        }
        match own {
            _ if generic => Self::Generic,
            Some(own) if overruled => named(own),
            _ => named(&told),
        }
    }

    /// The class itself where the file's vocabulary is of the kind that the class builds upon; else a Python program fails or
    /// reads nonsense, and the file alone is used.
    pub(super) fn fitting(self, model: &ModelWrapper) -> Self {
        use Class::{
            Bert, CodeGen, CodeLlama, DebertaV2, Gemma, Generic, Gpt2, GptNeoX, Llama, MpNet, Qwen2, Qwen35, Roberta,
            XlmRoberta,
        };
        let fits = match self {
            Generic => true,
            Bert | MpNet => matches!(model, ModelWrapper::WordPiece(_)),
            DebertaV2 | XlmRoberta => matches!(model, ModelWrapper::Unigram(_)),
            CodeGen | CodeLlama | Gemma | Gpt2 | GptNeoX | Llama | Qwen2 | Qwen35 | Roberta => {
                matches!(model, ModelWrapper::BPE(_))
            }
        };
        if fits { self } else { Generic }
    }

    /// Special tokens without an attribute that the class has in any folder.
    pub(super) fn extra_tokens(self) -> &'static [&'static str] {
        match self {
            Self::CodeLlama => &["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>", "<FILL_ME>"],
            _ => &[],
        }
    }

    /// Named tokens that the class has where no file says otherwise.
    pub(super) fn tokens(self) -> &'static [(&'static str, &'static str)] {
        const SEQUENCE: [(&str, &str); 7] = [
            ("bos_token", "<s>"),
            ("eos_token", "</s>"),
            ("sep_token", "</s>"),
            ("cls_token", "<s>"),
            ("unk_token", "<unk>"),
            ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ];
        const SEQUENCE_UNK: [(&str, &str); 7] = [
            ("bos_token", "<s>"),
            ("eos_token", "</s>"),
            ("sep_token", "</s>"),
            ("cls_token", "<s>"),
            ("unk_token", "[UNK]"),
            ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ];
        match self {
            Self::Generic => &[],
            Self::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::DebertaV2 => &[
                ("bos_token", "[CLS]"),
                ("eos_token", "[SEP]"),
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::Gemma => &[
                ("bos_token", "<bos>"),
                ("eos_token", "<eos>"),
                ("unk_token", "<unk>"),
                ("pad_token", "<pad>"),
                ("mask_token", "<mask>"),
            ],
            Self::CodeGen | Self::Gpt2 => {
                &[("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>")]
            }
            Self::GptNeoX => &[
                ("bos_token", "<|endoftext|>"),
                ("eos_token", "<|endoftext|>"),
                ("unk_token", "<|endoftext|>"),
                ("pad_token", "<|padding|>"),
            ],
            Self::Llama => &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")],
            Self::CodeLlama => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("prefix_token", "▁<PRE>"),
                ("middle_token", "▁<MID>"),
                ("suffix_token", "▁<SUF>"),
                ("eot_token", "▁<EOT>"),
                ("fill_token", "<FILL_ME>"),
            ],
            Self::Qwen2 | Self::Qwen35 => {
                &[("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")]
            }
            Self::Roberta | Self::XlmRoberta => &SEQUENCE,
            Self::MpNet => &SEQUENCE_UNK,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(config: Value, model: Value, byte_level: bool) -> Class {
        Class::of(config.as_object().expect("an object"), &model, || byte_level)
    }

    #[test]
    fn the_class_is_the_one_that_auto_tokenizer_takes() {
        let told = |name: &str| json!({"tokenizer_class": name});
        let of = |model: &str| json!({"model_type": model});
        assert_eq!(class(json!({}), json!({}), false), Class::Generic);
        assert_eq!(class(json!({}), of("bert"), false), Class::Bert, "by the model alone");
        assert_eq!(
            class(json!({}), json!({"model_type": "x", "tokenizer_class": "BertTokenizer"}), false),
            Class::Bert
        );
        assert_eq!(class(told("GPT2TokenizerFast"), json!({}), true), Class::Gpt2);
        assert_eq!(class(told("NobodysTokenizer"), of("gpt2"), true), Class::Generic);
        assert_eq!(class(told("PreTrainedTokenizerFast"), of("gpt2"), true), Class::Generic, "the folder is believed");
        assert_eq!(class(told("PreTrainedTokenizerFast"), of("qwen2"), true), Class::Qwen2, "but not one of Qwen 2");
        assert_eq!(class(told("LlamaTokenizerFast"), of("qwen2"), true), Class::Qwen2);
        assert_eq!(class(told("LlamaTokenizer"), of("llama"), false), Class::Llama);
        assert_eq!(class(told("LlamaTokenizer"), of("llama"), true), Class::Generic, "Llama 3");
        assert_eq!(class(told("LlamaTokenizer"), of("mistral"), false), Class::Generic, "registered as generic");
        assert_eq!(class(told("GPT2Tokenizer"), of("olmo2"), true), Class::Generic);
        assert_eq!(class(told("CodeGenTokenizer"), of("phi"), true), Class::CodeGen);
    }

    #[test]
    fn no_model_type_is_registered_twice() {
        let all = REGISTERED.iter().map(|(_, types)| *types).chain([GENERIC]);
        let mut types: Vec<&str> = all.flat_map(str::split_whitespace).collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count);
    }
}
