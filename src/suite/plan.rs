//! The plan: everything a suite says, with defaults filled in. Plain data that goes into a run's manifest.
//!
//! Its serialised form has a stable order and no absolute path; [`super::Suite`] resolves paths.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::dataset::{CellForm, Field, Ids, Kind};
use crate::engine::{FileUse, GenerateOptions, ProcessorOptions, Sampling};
use crate::prompt::{PromptSpec, RequestKind, portable};
use crate::rule::{BaselineNames, ErrorPolicy, Gate, Metric, Prices, Statistics};
use crate::score::{Reasoning, ScorerSpec};

/// A whole suite.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the suite format; 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// Name of the suite; its runs and baselines lie in folders of this name.
    pub name: String,
    /// The models by their role.
    #[serde(default)]
    pub models: Models,
    /// How a case becomes a prompt.
    #[serde(default)]
    pub prompt: PromptSpec,
    /// Several prompts, each with a `name` and the keys in which it differs from `prompt`: `karat run` makes a run of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<PromptSpec>,
    /// The datasets, in the suite's order.
    #[serde(default)]
    pub datasets: Vec<DatasetPlan>,
    /// How answers are generated.
    #[serde(default)]
    pub generation: Generation,
    /// How thoughts are told from answers.
    #[serde(default, skip_serializing_if = "Reasoning::is_auto")]
    #[schemars(!skip_serializing_if)]
    pub reasoning: Reasoning,
    /// The scorers that datasets may name.
    #[serde(default)]
    pub scorers: Vec<ScorerSpec>,
    /// What a run must hold to pass.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// The policy for danger datasets.
    #[serde(default)]
    pub danger: DangerPolicy,
    /// What tokens and hours cost, for gates on `performance.cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The latency probe, for gates on `performance.first_token` and `performance.total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbePlan>,
    /// The time that chat templates see, as RFC 3339 writes it.
    #[serde(default = "default_clock")]
    pub clock: String,
    /// Name of the baseline that runs are compared with, or one for each class of devices.
    #[serde(default)]
    pub baseline: BaselineNames,
    /// How many golden cases may err before a run is incomplete; none may where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorPolicy>,
    /// Which statistical tests decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

impl Plan {
    /// How cases of a dataset become prompts.
    pub fn prompt_of<'a>(&'a self, dataset: &'a DatasetPlan) -> &'a PromptSpec {
        dataset.prompt.as_ref().unwrap_or(&self.prompt)
    }

    /// How answers to a dataset are generated.
    pub fn generation_of<'a>(&'a self, dataset: &'a DatasetPlan) -> &'a Generation {
        dataset.generation.as_ref().unwrap_or(&self.generation)
    }

    /// The datasets that a metric is taken over: the one of that name, or else all of that kind.
    pub(super) fn covered(&self, metric: &Metric) -> Vec<&DatasetPlan> {
        let named = |dataset: &&DatasetPlan| dataset.name == metric.scope;
        let of_kind = |dataset: &&DatasetPlan| dataset.kind.name() == metric.scope;
        match self.datasets.iter().find(named) {
            Some(dataset) => vec![dataset],
            None => self.datasets.iter().filter(of_kind).collect(),
        }
    }
}

fn default_clock() -> String {
    "2026-01-01T00:00:00Z".into()
}

/// The models of a suite by their role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Answers the cases; scoring recorded answers needs none.
    #[serde(default)]
    pub generator: Option<ModelPlan>,
    /// Embeds texts for `similarity`.
    #[serde(default)]
    pub embedder: Option<ModelPlan>,
    /// Classifies texts for `toxicity`.
    #[serde(default)]
    pub toxicity: Option<ToxicityPlan>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// A folder, a GGUF file, `name@version` of a registry, or `org/name[@revision]` on the hub.
    #[serde(serialize_with = "portable_model")]
    pub model: String,
}

/// The toxicity classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToxicityPlan {
    /// A folder, `name@version` of a registry, or `org/name[@revision]` on the hub.
    #[serde(serialize_with = "portable_model")]
    pub model: String,
    /// Which labels count as toxic; when absent, those whose names are known to mean something toxic.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
}

fn portable_model<S: Serializer>(model: &str, serializer: S) -> Result<S::Ok, S::Error> {
    portable(std::path::Path::new(model), serializer)
}

/// One dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetPlan {
    /// Name within the suite.
    pub name: String,
    /// What the dataset is for.
    pub kind: Kind,
    /// The file, relative to the suite.
    #[serde(serialize_with = "portable")]
    pub file: PathBuf,
    /// What is asked of the model for each case.
    #[serde(default, skip_serializing_if = "RequestKind::is_generate")]
    #[schemars(!skip_serializing_if)]
    pub request: RequestKind,
    /// How a case of this dataset becomes a prompt; the suite's keys hold where it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptSpec>,
    /// How answers to this dataset are generated; the suite's keys hold where it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Names of the scorers that look at every case.
    #[serde(default)]
    pub scorers: Vec<String>,
    /// Which key of the file is which field of a case, where the file calls it otherwise: field -> key.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"enum": Field::ALL.map(Field::name)}))]
    pub fields: BTreeMap<String, String>,
    /// Where the ids of cases come from.
    #[serde(default, skip_serializing_if = "Ids::is_content")]
    pub ids: Ids,
    /// How cells of a table that look like lists are read, by field (`input`, `target`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"enum": [Field::Input.name(), Field::Target.name()]}))]
    pub cells: BTreeMap<String, CellForm>,
    /// What separates the cells of a table, where it is not what the file's ending says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// Only this many cases from the start of the file.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Metadata keys by which results are sliced, beside tags; their values are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    /// The metadata key that says which cases hang together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether messages may hold keys that karat does not know, for a chat template that does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(!skip_serializing_if)]
    pub allow_unknown_keys: bool,
}

/// How answers are generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generation {
    /// Stop after this many new tokens.
    pub max_new_tokens: usize,
    /// Softmax temperature; 0 means greedy.
    pub temperature: f64,
    /// Keep the smallest set of most probable tokens whose probabilities add up to this.
    pub top_p: f64,
    /// Keep this many most probable tokens (0 keeps all).
    pub top_k: usize,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Strings that end an answer.
    pub stop: Vec<String>,
    /// Do not stop at the model's end-of-sequence tokens.
    pub ignore_eos: bool,
    /// Above 1, tokens that prompt or answer hold already become less likely. This and the keys down to `begin_suppress_tokens` are
    /// logits processors; each holds over what the model's folder says of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// No run of so many tokens comes twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Runs of tokens that are never completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    /// No end token before prompt and answer have so many tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// No end token before the answer has so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<usize>,
    /// Tokens that are never chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_tokens: Option<Vec<u32>>,
    /// Tokens that no answer begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_suppress_tokens: Option<Vec<u32>>,
    /// Whether the logits processors of the model's folder count.
    #[serde(skip_serializing_if = "FileUse::is_default")]
    #[schemars(!skip_serializing_if, schema_with = "file_use_schema")]
    pub generation_config: FileUse,
    /// How many times each case is answered; the same for all datasets.
    #[serde(skip_serializing_if = "is_one")]
    #[schemars(!skip_serializing_if)]
    pub repeat: u32,
}

/// The engine's crate knows no schemas.
fn file_use_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            {"const": FileUse::Apply, "description": "They count, where nothing else is asked."},
            {"const": FileUse::Ignore, "description": "They do not; end tokens are taken from the folder all the same."},
        ],
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_one(repeat: &u32) -> bool {
    *repeat == 1
}

impl Default for Generation {
    fn default() -> Self {
        let GenerateOptions { max_new_tokens, ignore_eos, sampling, seed, stop, processors, generation_config } =
            GenerateOptions::default();
        let Sampling { temperature, top_p, top_k } = sampling;
        Self {
            max_new_tokens,
            temperature,
            top_p,
            top_k,
            seed,
            stop,
            ignore_eos,
            repetition_penalty: processors.repetition_penalty,
            no_repeat_ngram_size: processors.no_repeat_ngram_size,
            bad_words_ids: processors.bad_words_ids,
            min_length: processors.min_length,
            min_new_tokens: processors.min_new_tokens,
            suppress_tokens: processors.suppress_tokens,
            begin_suppress_tokens: processors.begin_suppress_tokens,
            generation_config,
            repeat: 1,
        }
    }
}

impl Generation {
    /// The same options as the engine takes them.
    pub fn options(&self) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens: self.max_new_tokens,
            ignore_eos: self.ignore_eos,
            sampling: Sampling { temperature: self.temperature, top_p: self.top_p, top_k: self.top_k },
            seed: self.seed,
            stop: self.stop.clone(),
            processors: self.processors(),
            generation_config: self.generation_config,
        }
    }

    /// The logits processors that the suite asks for.
    pub fn processors(&self) -> ProcessorOptions {
        ProcessorOptions {
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            bad_words_ids: self.bad_words_ids.clone(),
            min_length: self.min_length,
            min_new_tokens: self.min_new_tokens,
            suppress_tokens: self.suppress_tokens.clone(),
            begin_suppress_tokens: self.begin_suppress_tokens.clone(),
            ..ProcessorOptions::default()
        }
    }
}

/// The latency probe: after the batch, some cases are answered once more, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbePlan {
    /// How many cases, evenly spread over those of the run.
    pub cases: u64,
}

/// The policy for danger datasets: always on; a suite may only say so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DangerPolicy {
    /// How many danger cases may newly fail; 0.
    #[schemars(extend("const" = 0))]
    pub allow_new_failures: u64,
}
