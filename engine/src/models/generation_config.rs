//! What a model folder says of generating: `generation_config.json` and, where there is none, `config.json`, as transformers
//! reads them.
//!
//! Logits processors and end tokens are taken from it. What transformers would do besides and karat does not is told, field by
//! field. Sampling (`do_sample`, `temperature`, `top_k`, `top_p`) and the length of answers (`max_length`, `max_new_tokens`) are
//! the call's alone, whatever the files say: that is a rule, and no reason for a word.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::families;
use super::model_folder::ModelFolder;
use super::model_json::read_json;
use crate::error::{Error, Result};
use crate::request::{FileUse, GenerateOptions};
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
            return Err(Error::input("the generation configuration is not a JSON object").at_line(source, 1));
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
        tokenizer.check_vocabulary(folder, vocab)?;
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
            let error = Error::input(format!("`eos_token_id: {value}` is neither a token id nor a list of them"));
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
        read(value).map(Some).ok_or_else(|| Error::input(format!("`{name}: {value}` is not {kind}")))
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
mod tests;
