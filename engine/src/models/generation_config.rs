//! What a model folder says of generating: `generation_config.json` and, where there is none, `config.json`, as transformers
//! reads them.
//!
//! Logits processors and end tokens are taken from it. What transformers would do besides and karat does not is told, field by
//! field. Sampling (`do_sample`, `temperature`, `top_k`, `top_p`) and the length of answers (`max_length`, `max_new_tokens`) are
//! the call's alone, whatever the files say: that is a rule, and no reason for a word.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::families;
use super::identity::ModelFolder;
use super::model_json::read_json;
use crate::error::{Error, Result};
use crate::generator::check_vocabulary;
use crate::request::GenerateOptions;
use crate::sampling::processors::{ProcessorOptions, Processors};
use crate::tokenizer::Tokenizer;

/// The name of the file.
const FILE: &str = "generation_config.json";

/// What transformers applies to every answer and karat does not, with the value that changes nothing; `null` never does.
const NOT_APPLIED: [(&str, f64); 17] = [
    ("constraints", f64::NAN),
    ("diversity_penalty", 0.0),
    ("dola_layers", f64::NAN),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("exponential_decay_length_penalty", f64::NAN),
    ("force_words_ids", f64::NAN),
    ("guidance_scale", 1.0),
    ("max_time", f64::NAN),
    ("num_beam_groups", 1.0),
    ("num_beams", 1.0),
    ("num_return_sequences", 1.0),
    ("penalty_alpha", 0.0),
    ("remove_invalid_values", 0.0),
    ("stop_strings", f64::NAN),
    ("token_healing", 0.0),
    ("watermarking_config", f64::NAN),
];

/// The same of sampled answers: what comes after temperature, top-k and top-p.
const NOT_SAMPLED: [(&str, f64); 5] =
    [("epsilon_cutoff", 0.0), ("eta_cutoff", 0.0), ("min_p", 0.0), ("top_h", f64::NAN), ("typical_p", 1.0)];

/// Whether the logits processors of a model folder are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileUse {
    /// They are, where nothing else is asked.
    #[default]
    Apply,
    /// They are not. End tokens are taken from it all the same.
    Ignore,
}

impl FileUse {
    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a folder says of generating.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Logits processors.
    pub processors: ProcessorOptions,
    /// The file that says it.
    source: PathBuf,
    /// What the file says in fields that are not applied.
    greedy: Vec<(&'static str, Value)>,
    sampled: Vec<(&'static str, Value)>,
    /// The end tokens that it names: an empty list names none, and says so.
    eos: Option<Eos>,
}

/// End tokens as a file names them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Eos {
    ids: Vec<u32>,
    /// Numbers below 0, which are no tokens.
    negative: Vec<i64>,
}

/// The tokens that end an answer, and what there is to say of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndTokens {
    /// Their ids, in the order of the file.
    pub ids: Vec<u32>,
    /// What a user should know.
    pub notes: Vec<String>,
}

impl GenerationConfig {
    /// Reads the file of a model folder; where there is none, what `config.json` says of the same, as transformers does.
    ///
    /// # Errors
    /// A file that cannot be read or is no JSON object; a value that cannot be what it should.
    pub fn read(folder: &ModelFolder) -> Result<Self> {
        let own = folder.path().join(FILE);
        let (source, value) = match read_json(folder, FILE)? {
            Some(value) => (own, value),
            None => {
                let config = folder.path().join("config.json");
                match read_json(folder, "config.json")? {
                    // End tokens of this file are read as its own.
                    Some(Value::Object(mut map)) => {
                        map.remove("eos_token_id");
                        (config, Value::Object(map))
                    }
                    _ => return Ok(Self::default()),
                }
            }
        };
        let Value::Object(map) = value else {
            return Err(
                Error::input("read a generation configuration: the file is not a JSON object").at_line(source, 1)
            );
        };
        Self::of(&map, &source).map_err(|error| error.at(&source))
    }

    fn of(map: &Map<String, Value>, source: &Path) -> Result<Self> {
        let fields = Fields(map);
        let processors = ProcessorOptions {
            repetition_penalty: fields.read("repetition_penalty", "a number", Value::as_f64)?,
            no_repeat_ngram_size: fields.count("no_repeat_ngram_size")?,
            bad_words_ids: fields.read("bad_words_ids", "a list of lists of token ids", |value| list(value, run))?,
            min_length: fields.count("min_length")?,
            min_new_tokens: fields.count("min_new_tokens")?,
            suppress_tokens: fields.read("suppress_tokens", "a list of token ids", ids)?,
            begin_suppress_tokens: fields.read("begin_suppress_tokens", "a list of token ids", ids)?,
            sequence_bias: fields.read("sequence_bias", "a list of pairs, token ids and a number", biases)?,
            forced_bos_token_id: fields
                .read("forced_bos_token_id", "a token id", |value| id(value)?.try_into().ok())?,
            forced_eos_token_id: fields.read("forced_eos_token_id", "a token id or a list of them", one_or_more)?,
        };
        processors.check()?;
        let eos = fields.get("eos_token_id").map(Eos::read).transpose()?;
        let set = |table: &[(&'static str, f64)]| {
            let told = |(name, neutral): &(&'static str, f64)| {
                let value = fields.get(name)?;
                (number(value) != Some(*neutral)).then(|| (*name, value.clone()))
            };
            table.iter().filter_map(told).collect()
        };
        let mut greedy: Vec<(&'static str, Value)> = set(&NOT_APPLIED);
        // Quantised keys and values are other numbers; where they lie is not.
        greedy.extend(
            fields
                .get("cache_implementation")
                .filter(|v| *v == "quantized")
                .map(|v| ("cache_implementation", v.clone())),
        );
        Ok(Self { processors, source: source.into(), greedy, sampled: set(&NOT_SAMPLED), eos })
    }

    /// The logits processors of an answer: what is asked, and below it what the file says.
    ///
    /// # Errors
    /// As [`Processors::new`].
    pub fn processors(&self, options: &GenerateOptions, eos: &[u32], vocab: usize) -> Result<Option<Processors>> {
        let asked = match options.generation_config {
            FileUse::Apply => options.processors.over(&self.processors.without_suppressed_beyond(vocab)),
            FileUse::Ignore => options.processors.clone(),
        };
        Processors::new(asked, eos, options.ignore_eos, vocab)
    }

    /// Holds what the file says against a vocabulary.
    ///
    /// # Errors
    /// As [`Processors::new`].
    pub fn check(&self, eos: &[u32], vocab: usize) -> Result<()> {
        let processors = Processors::new(self.processors.without_suppressed_beyond(vocab), eos, false, vocab);
        processors.map(drop).map_err(|error| error.at(&self.source))
    }

    /// What the file asks for and answers with these options do not get, a sentence for each field and for each token that a
    /// vocabulary of `vocab` does not have.
    pub fn notes(&self, options: &GenerateOptions, vocab: usize) -> Vec<String> {
        if options.generation_config == FileUse::Ignore {
            return Vec::new();
        }
        let file = self.source.file_name().unwrap_or_default().to_string_lossy();
        let sampled = self.sampled.iter().filter(|_| options.sampling.temperature > 0.0);
        let note = |(name, value): &(&str, Value)| format!("{file} sets `{name}: {value}`, which karat does not apply");
        let beyond = self.processors.suppressed_beyond(vocab).map(|(name, id)| {
            format!("`{name}` {id} of {file} is not in the vocabulary of {vocab}: nothing is suppressed by it")
        });
        self.greedy.iter().chain(sampled).map(note).chain(beyond).collect()
    }

    /// The tokens that end a turn: those of `generation_config.json`, else those of `config.json` or of the language model in it,
    /// else the tokenizer's end token.
    ///
    /// # Errors
    /// A value that names no tokens.
    pub fn end_tokens(&self, config: &families::Config, tokenizer: &Tokenizer, vocab: usize) -> Result<EndTokens> {
        let place = |config: &families::Config| {
            let named = config.get("eos_token_id").map(Eos::read).transpose();
            named.map_err(|error| error.at(config.path()))
        };
        // Whatever it says is looked at, as in transformers: a wrong value is a wrong file.
        let own = match place(config)? {
            Some(eos) => Some(eos),
            None => place(&config.language_model())?,
        };
        let spelled = tokenizer.eos_id().map(|id| Eos { ids: vec![id], negative: Vec::new() });
        let mut end = EndTokens::default();
        let found = match (&self.eos, own.or(spelled)) {
            (Some(eos), _) => Some(eos.clone()),
            (None, Some(eos)) if self.source.ends_with(FILE) => {
                end.notes.push(format!(
                    "{FILE} names no end-of-sequence token: answers end at {:?}, as config.json or the tokenizer has it; \
                     transformers would not end them",
                    eos.ids
                ));
                Some(eos)
            }
            (None, eos) => eos,
        };
        if let Some(eos) = found {
            let wrong = eos.negative.iter().copied();
            let beyond = eos.ids.iter().copied().filter(|id| *id as usize >= vocab).map(i64::from);
            for id in wrong.chain(beyond) {
                end.notes
                    .push(format!("`eos_token_id` {id} is not in the vocabulary of {vocab}: no answer ends with it"));
            }
            end.ids.extend(eos.ids.iter().filter(|id| (**id as usize) < vocab));
        }
        if end.ids.is_empty() {
            end.notes.push("no end-of-sequence token is known: answers end at max_new_tokens or a stop string".into());
        }
        Ok(end)
    }
}

/// What a run with the model of a folder would warn of.
///
/// # Errors
/// What the folder says of generating that cannot be; a tokenizer of another model. What else is wrong with it is found when it loads.
pub fn survey(folder: &ModelFolder, tokenizer: Option<&Tokenizer>, options: &GenerateOptions) -> Result<Vec<String>> {
    let file = GenerationConfig::read(folder)?;
    let mut notes = file.notes(options, usize::MAX);
    if let (Ok(config), Some(tokenizer)) = (families::Config::read(folder), tokenizer)
        && let Some((vocab, _)) = families::decoder_sizes(&config)
    {
        check_vocabulary(folder, tokenizer, vocab)?;
        let end = file.end_tokens(&config, tokenizer, vocab)?;
        file.check(&end.ids, vocab)?;
        file.processors(options, &end.ids, vocab)?;
        notes = file.notes(options, vocab);
        notes.extend(end.notes.into_iter().filter(|_| !options.ignore_eos));
    }
    Ok(notes)
}

impl Eos {
    /// A token id or a list of them, in JSON. A float that is whole is one, as for transformers.
    fn read(value: &Value) -> Result<Self> {
        let wrong = || {
            let error = Error::input(format!("read `eos_token_id: {value}` as a token id or a list of them"));
            if value.is_string() { error.with_hint("it is the number of the token, not its text") } else { error }
        };
        let all = match value {
            Value::Array(all) => all.iter().map(id).collect::<Option<Vec<i64>>>(),
            one => id(one).map(|id| vec![id]),
        };
        let mut eos = Self::default();
        for id in all.ok_or_else(wrong)? {
            match u32::try_from(id) {
                Ok(id) => eos.ids.push(id),
                Err(_) => eos.negative.push(id),
            }
        }
        Ok(eos)
    }
}

/// Fields of a file, of which `null` is none.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn read<T>(&self, name: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Error::input(format!("read `{name}: {value}` as {kind}")))
    }

    /// A count; below 0 it asks for nothing, as in transformers.
    fn count(&self, name: &str) -> Result<Option<usize>> {
        self.read(name, "a whole number", |value| id(value).map(|count| usize::try_from(count).unwrap_or(0)))
    }
}

/// A number, or what `true` and `false` stand for.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_bool().map(|yes| f64::from(u8::from(yes))))
}

/// A whole number, also where it is written as a float.
fn id(value: &Value) -> Option<i64> {
    let whole = |x: f64| (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

fn list<'a, T>(value: &'a Value, read: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(read).collect()
}

/// Token ids; those below 0 and beyond 32 bits are no tokens, and left out.
fn ids(value: &Value) -> Option<Vec<u32>> {
    Some(list(value, id)?.into_iter().filter_map(|id| id.try_into().ok()).collect())
}

/// Token ids, every one of which counts.
fn run(value: &Value) -> Option<Vec<u32>> {
    list(value, |value| id(value)?.try_into().ok())
}

fn one_or_more(value: &Value) -> Option<Vec<u32>> {
    match value {
        Value::Array(_) => run(value),
        one => Some(vec![id(one)?.try_into().ok()?]),
    }
}

/// `[[[5, 6], -2.5], …]`
fn biases(value: &Value) -> Option<Vec<(Vec<u32>, f32)>> {
    let pair = |value: &Value| match value.as_array()?.as_slice() {
        [ids, bias] => Some((run(ids)?, bias.as_f64()? as f32)),
        _ => None,
    };
    value.as_array()?.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Sampling;

    fn read(value: &Value) -> Result<GenerationConfig> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), value.to_string()).expect("written");
        GenerationConfig::read(&ModelFolder::new(folder.path()))
    }

    #[test]
    fn processors_are_read_in_every_form_that_transformers_takes() {
        let file = read(&json!({
            "repetition_penalty": 2, "no_repeat_ngram_size": 3.0, "bad_words_ids": [[5, 6.0], [7]], "min_length": -1,
            "min_new_tokens": null, "suppress_tokens": [4, -1, 9e12], "begin_suppress_tokens": [],
            "sequence_bias": [[[1, 2], -3]], "forced_eos_token_id": 5, "do_sample": true, "temperature": 0.6, "frequency_penalty": 9,
        }));
        let right = ProcessorOptions {
            repetition_penalty: Some(2.0),
            no_repeat_ngram_size: Some(3),
            bad_words_ids: Some(vec![vec![5, 6], vec![7]]),
            min_length: Some(0),
            suppress_tokens: Some(vec![4]),
            begin_suppress_tokens: Some(vec![]),
            sequence_bias: Some(vec![(vec![1, 2], -3.0)]),
            forced_eos_token_id: Some(vec![5]),
            ..ProcessorOptions::default()
        };
        let file = file.expect("read");
        assert_eq!(file.processors, right);
        assert!(file.notes(&GenerateOptions::default(), 9).is_empty(), "sampling is the call's own");
    }

    #[test]
    fn what_cannot_be_is_an_error_that_names_it() {
        for (name, value) in [
            ("repetition_penalty", json!("1.5")),
            ("repetition_penalty", json!(0)),
            ("no_repeat_ngram_size", json!(2.5)),
            ("bad_words_ids", json!([5])),
            ("bad_words_ids", json!([[-1]])),
            ("suppress_tokens", json!(5)),
            ("suppress_tokens", json!(["5"])),
            ("sequence_bias", json!([[[5]]])),
            ("forced_eos_token_id", json!("</s>")),
            ("eos_token_id", json!("</s>")),
            ("eos_token_id", json!("2")),
            ("eos_token_id", json!(2.5)),
            ("eos_token_id", json!(true)),
            ("eos_token_id", json!([null, 2])),
            ("eos_token_id", json!([[2]])),
            ("eos_token_id", json!({"id": 2})),
        ] {
            let error = read(&json!({ name: value })).expect_err(&value.to_string());
            assert!(error.chain().contains(name) && error.location().is_some(), "{}", error.chain());
        }
        assert!(read(&json!([1])).is_err());
    }

    #[test]
    fn what_is_not_applied_is_told() {
        let file = read(&json!({
            "num_beams": 4, "num_beam_groups": 1, "guidance_scale": 1.0, "encoder_repetition_penalty": 1.2, "stop_strings": ["a"],
            "remove_invalid_values": false, "min_p": 0.1, "typical_p": 1.0, "max_time": null, "cache_implementation": "static",
        }));
        let (file, greedy) = (file.expect("read"), GenerateOptions::default());
        let told = |field: &str| format!("generation_config.json sets `{field}`, which karat does not apply");
        let always = [told("encoder_repetition_penalty: 1.2"), told("num_beams: 4"), told("stop_strings: [\"a\"]")];
        assert_eq!(file.notes(&greedy, 9), always);
        let sampled = Sampling { temperature: 1.0, ..Sampling::default() };
        let notes = file.notes(&GenerateOptions { sampling: sampled, ..greedy.clone() }, 9);
        assert_eq!(notes, [&always[..], &[told("min_p: 0.1")]].concat());
        assert!(file.notes(&GenerateOptions { generation_config: FileUse::Ignore, ..greedy }, 9).is_empty());
    }

    /// As transformers has it: who suppresses a token that there is not suppresses nothing; who forces one fails.
    #[test]
    fn tokens_beyond_the_vocabulary_are_told_or_refused() {
        let file = read(&json!({"suppress_tokens": [4, -1, 9], "begin_suppress_tokens": [12]})).expect("read");
        let options = GenerateOptions::default();
        let notes = file.notes(&options, 9);
        assert!(
            notes[0].starts_with("`suppress_tokens` 9 of generation_config.json is not in the vocabulary of 9"),
            "{notes:?}"
        );
        assert!(notes[1].starts_with("`begin_suppress_tokens` 12"), "{notes:?}");
        assert!(notes.len() == 2 && file.notes(&options, 13).is_empty());
        file.check(&[1], 9).expect("as in transformers");
        let processors = file.processors(&options, &[1], 9).expect("possible").expect("some");
        assert_eq!(*processors.options(), ProcessorOptions { suppress_tokens: Some(vec![4]), ..Default::default() });
        for name in ["forced_bos_token_id", "forced_eos_token_id"] {
            let error = read(&json!({ name: 9 })).expect("read").check(&[1], 9).expect_err("beyond");
            assert!(error.chain().contains(name) && error.location().is_some(), "{}", error.chain());
        }
        // What the call asks for is a mistake of the call.
        let mut asked = GenerateOptions::default();
        asked.processors.suppress_tokens = Some(vec![9]);
        assert!(file.processors(&asked, &[1], 9).is_err() && file.processors(&asked, &[1], 10).is_ok());
    }

    #[test]
    fn config_json_counts_where_there_is_no_file_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, value: Value| {
            std::fs::write(folder.path().join(name), value.to_string()).expect("written");
        };
        write("config.json", json!({"repetition_penalty": 1.5, "num_beams": 3, "eos_token_id": 4}));
        let file = GenerationConfig::read(&ModelFolder::new(folder.path())).expect("read");
        assert_eq!(file.processors.repetition_penalty, Some(1.5));
        assert_eq!(
            file.notes(&GenerateOptions::default(), 9),
            ["config.json sets `num_beams: 3`, which karat does not apply"]
        );
        write(FILE, json!({}));
        assert_eq!(
            GenerationConfig::read(&ModelFolder::new(folder.path())).expect("read").processors,
            ProcessorOptions::default()
        );
    }

    #[test]
    fn what_is_asked_goes_before_the_file_or_instead_of_it() {
        let file = read(&json!({"repetition_penalty": 1.5, "min_new_tokens": 4})).expect("read");
        let mut options = GenerateOptions::default();
        options.processors.repetition_penalty = Some(1.0);
        let processors = file.processors(&options, &[1], 9).expect("possible").expect("some");
        assert_eq!(*processors.options(), ProcessorOptions { min_new_tokens: Some(4), ..Default::default() });
        options.generation_config = FileUse::Ignore;
        assert_eq!(file.processors(&options, &[1], 9).expect("possible"), None);
    }

    /// The end tokens of karat-mini's folder with other files.
    fn end(files: &[(&str, Value)]) -> Result<EndTokens> {
        let folder = tempfile::tempdir().expect("a folder");
        let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/karat-mini/2");
        for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(mini.join(name), folder.path().join(name)).expect("copied");
        }
        for (name, value) in files {
            let path = folder.path().join(name);
            match value {
                Value::Null => std::fs::remove_file(path).expect("removed"),
                Value::Object(fields) if *name != FILE => {
                    let mut merged: Value =
                        serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
                    fields.iter().for_each(|(key, value)| merged[key] = value.clone());
                    std::fs::write(path, merged.to_string()).expect("written");
                }
                value => std::fs::write(path, value.to_string()).expect("written"),
            }
        }
        let (file, config) = (
            GenerationConfig::read(&ModelFolder::new(folder.path()))?,
            families::Config::read(&ModelFolder::new(folder.path()))?,
        );
        file.end_tokens(&config, &Tokenizer::from_folder(&ModelFolder::new(folder.path()))?, 2048)
    }

    #[test]
    fn end_tokens_in_all_their_forms() {
        let ids = |files: &[(&str, Value)]| end(files).expect("read").ids;
        assert_eq!(end(&[]).expect("read"), EndTokens { ids: vec![1], notes: vec![] });
        for (value, right) in
            [(json!(5), vec![5]), (json!(5.0), vec![5]), (json!([5, 6]), vec![5, 6]), (json!([5.0]), vec![5])]
        {
            assert_eq!(ids(&[(FILE, json!({"eos_token_id": value}))]), right, "{value}");
            let config = [(FILE, Value::Null), ("config.json", json!({"eos_token_id": value}))];
            assert_eq!(ids(&config), right, "{value} of config.json");
            let nested = json!({"eos_token_id": null, "text_config": {"eos_token_id": value}});
            assert_eq!(ids(&[(FILE, Value::Null), ("config.json", nested)]), right, "{value} of text_config");
        }
        let elsewhere = [(FILE, Value::Null), ("config.json", json!({"eos_token_id": null}))];
        assert_eq!(ids(&elsewhere), [1], "the tokenizer's");
        let object = json!({"eos_token": {"content": "<|user|>", "special": true}});
        let other = ids(&[elsewhere[0].clone(), elsewhere[1].clone(), ("tokenizer_config.json", object)]);
        assert_ne!((other.len(), other[0]), (1, 1), "the tokenizer's own");
        let wrong = [("config.json", json!({"eos_token_id": "1"}))];
        assert!(end(&wrong).expect_err("a text").chain().contains("eos_token_id"));
    }

    #[test]
    fn end_tokens_that_are_none_are_told() {
        let notes = |files: &[(&str, Value)]| end(files).expect("read").notes;
        for empty in [json!({}), json!({"eos_token_id": null})] {
            let told = end(&[(FILE, empty)]).expect("read");
            assert_eq!((told.ids, told.notes.len()), (vec![1], 1));
            assert!(
                told.notes[0].starts_with("generation_config.json names no end-of-sequence token"),
                "{:?}",
                told.notes
            );
        }
        let none = "no end-of-sequence token is known: answers end at max_new_tokens or a stop string";
        assert_eq!(notes(&[(FILE, json!({"eos_token_id": []}))]), [none]);
        let beyond = |id| format!("`eos_token_id` {id} is not in the vocabulary of 2048: no answer ends with it");
        assert_eq!(notes(&[(FILE, json!({"eos_token_id": [-1, 2048, 3]}))]), [beyond(-1), beyond(2048)]);
        assert_eq!(notes(&[(FILE, json!({"eos_token_id": -1}))]), [beyond(-1), none.to_owned()]);
        let nowhere = [
            (FILE, Value::Null),
            ("config.json", json!({"eos_token_id": null})),
            ("tokenizer_config.json", json!({"eos_token": null})),
        ];
        assert_eq!(notes(&nowhere), [none]);
    }
}
