//! What a sentence-transformers folder says beside the encoder: pooling, the modules after it, and prompts.

use serde_json::Value;

use crate::cpu::Activation;
use crate::error::{Error, Result, nearest};
use crate::models::StageSpec;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::read_json;
use crate::request::Pooling;

/// The file that names prompts.
pub(super) const PROMPTS: &str = "config_sentence_transformers.json";

/// What `modules.json` lists.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentenceModules {
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Whether averages count the tokens of a prompt.
    pub include_prompt: bool,
    /// What follows, but for a `Normalize` at the end.
    pub stages: Vec<StageSpec>,
    /// Whether a `Normalize` ends the list.
    pub normalize: bool,
    /// Whether texts are turned into lower case before anything else.
    pub lower_case: bool,
}

/// Which text stands before every text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PromptChoice {
    /// The folder's `default_prompt_name`, if it has one.
    #[default]
    Default,
    /// One of the folder's `prompts`.
    Named(String),
    /// This text.
    Text(String),
}

impl PromptChoice {
    /// The text itself.
    ///
    /// # Errors
    /// The folder has no prompt of that name, or its file is broken.
    pub(super) fn text(&self, folder: &ModelFolder) -> Result<String> {
        if let Self::Text(text) = self {
            return Ok(text.clone());
        }
        let config = read_json(folder, PROMPTS)?.unwrap_or_default();
        let name = match self {
            Self::Named(name) => name.as_str(),
            _ => match config.get("default_prompt_name").and_then(Value::as_str) {
                Some(name) => name,
                None => return Ok(String::new()),
            },
        };
        let prompts = config.get("prompts").and_then(Value::as_object);
        if let Some(text) = prompts.and_then(|prompts| prompts.get(name)).and_then(Value::as_str) {
            return Ok(text.to_owned());
        }
        let known: Vec<String> = prompts.iter().flat_map(|prompts| prompts.keys()).map(|k| format!("`{k}`")).collect();
        let hint = if known.is_empty() {
            "the model has no prompts of its own; `--prompt TEXT` gives one".to_owned()
        } else {
            format!("known are {}", known.join(", "))
        };
        Err(Error::input(format!("there is no prompt `{name}`")).at(folder.path().join(PROMPTS)).with_hint(hint))
    }
}

/// Whether the folder puts a prompt before every text unasked, so that its file decides answers.
///
/// # Errors
/// The file is broken.
pub(super) fn prompts_by_default(folder: &ModelFolder) -> Result<bool> {
    let config = read_json(folder, PROMPTS)?;
    Ok(config.is_some_and(|config| config.get("default_prompt_name").is_some_and(Value::is_string)))
}

/// The folder of a module, within the model's.
pub(super) fn module_path(module: &Value) -> Option<&str> {
    let default = match kind(module) {
        "Pooling" => Some("1_Pooling"),
        "Dense" => Some("2_Dense"),
        _ => None,
    };
    module.get("path").and_then(Value::as_str).or(default)
}

/// The last part of a module's type.
fn kind(module: &Value) -> &str {
    let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.rsplit('.').next().unwrap_or_default()
}

/// The name of a module's file within the model's folder.
pub(super) fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Reads `modules.json` and its modules' configurations; mean without normalisation where there is none.
///
/// # Errors
/// A file is missing or broken, or a module is not supported.
pub(super) fn modules(folder: &ModelFolder) -> Result<SentenceModules> {
    let mut modules = SentenceModules {
        pooling: Pooling::Mean,
        include_prompt: true,
        stages: Vec::new(),
        normalize: false,
        lower_case: false,
    };
    let list = "modules.json";
    let Some(listed) = read_json(folder, list)? else { return Ok(modules) };
    for module in listed.as_array().map_or(&[][..], Vec::as_slice) {
        let path = module_path(module).unwrap_or_default();
        match kind(module) {
            "Transformer" | "Dropout" => {}
            "Normalize" => modules.stages.push(StageSpec::Normalize),
            "Pooling" => (modules.pooling, modules.include_prompt) = pooling(folder, path)?,
            "Dense" => modules.stages.push(dense(folder, path)?),
            other => {
                let known = ["Transformer", "Pooling", "Dense", "Normalize"];
                return Err(Error::input(format!("the sentence-transformers module `{other}` is not supported"))
                    .at(folder.path().join(list))
                    .with_hint(nearest(other, known)));
            }
        }
    }
    let transformer = read_json(folder, "sentence_bert_config.json")?;
    modules.lower_case = transformer.is_some_and(|config| config.get("do_lower_case") == Some(&Value::Bool(true)));
    modules.normalize = modules.stages.pop_if(|stage| *stage == StageSpec::Normalize).is_some();
    Ok(modules)
}

/// The configuration of the module in this folder of the model's, and the name of its file.
fn module_config(folder: &ModelFolder, path: &str) -> Result<(Value, std::path::PathBuf)> {
    let name = within(path, "config.json");
    let file = folder.path().join(&name);
    let found = read_json(folder, &name)?.ok_or_else(|| {
        Error::input(format!("the module has no `{}`", file.display())).with_hint(
            "modules.json names it; fetch the whole folder, or give --pooling with a copy without modules.json",
        )
    })?;
    Ok((found, file))
}

/// Both spellings of the pooling module: `pooling_mode` of sentence-transformers 5, and one flag per mode before it.
fn pooling(folder: &ModelFolder, path: &str) -> Result<(Pooling, bool)> {
    let (config, path) = module_config(folder, path)?;
    let flags = [
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_lasttoken", "lasttoken"),
        ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ];
    let set = flags.iter().filter(|(flag, _)| config.get(*flag).and_then(Value::as_bool) == Some(true));
    let mut modes: Vec<&str> = set.map(|(_, mode)| *mode).collect();
    match config.get("pooling_mode") {
        Some(Value::String(mode)) => modes = vec![mode],
        Some(Value::Array(several)) => modes = several.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    let pooling = match modes[..] {
        ["mean"] | [] => Pooling::Mean,
        ["cls"] => Pooling::Cls,
        ["lasttoken"] => Pooling::Last,
        ["max"] => Pooling::Max,
        ["mean_sqrt_len_tokens"] => Pooling::MeanSqrtLen,
        ["weightedmean"] => Pooling::WeightedMean,
        _ => {
            return Err(Error::input(format!("pooling by {} is not supported", modes.join(" and ")))
                .at(path)
                .with_hint("known are mean, cls, lasttoken, max, mean_sqrt_len_tokens, weightedmean, one at a time"));
        }
    };
    Ok((pooling, config.get("include_prompt").and_then(Value::as_bool) != Some(false)))
}

/// A dense module: sizes, bias and activation; its weights lie beside its configuration.
fn dense(model: &ModelFolder, folder: &str) -> Result<StageSpec> {
    let (config, path) = module_config(model, folder)?;
    let size = |key: &str| {
        let size = config.get(key).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        size.filter(|size| (1..=1 << 20).contains(size))
            .ok_or_else(|| Error::input(format!("`{key}` of the dense module is not a size")).at(&path))
    };
    let (inputs, outputs) = (size("in_features")?, size("out_features")?);
    for (key, usual) in [("module_input_name", "sentence_embedding"), ("module_output_name", "sentence_embedding")] {
        if let Some(name) = config.get(key).and_then(Value::as_str).filter(|name| *name != usual) {
            return Err(Error::input(format!("a dense module with a `{key}` of `{name}` is not supported")).at(&path));
        }
    }
    let activation = config.get("activation_function").and_then(Value::as_str).unwrap_or("Tanh");
    let activation = match activation.rsplit('.').next().unwrap_or_default() {
        "Identity" => None,
        "Tanh" => Some(Activation::Tanh),
        "ReLU" => Some(Activation::Relu),
        "GELU" => Some(Activation::Gelu),
        "SiLU" => Some(Activation::Silu),
        other => {
            let known = ["Identity", "Tanh", "ReLU", "GELU", "SiLU"];
            return Err(Error::input(format!("the activation function `{other}` is not supported"))
                .at(&path)
                .with_hint(nearest(other, known)));
        }
    };
    let bias = config.get("bias").and_then(Value::as_bool) != Some(false);
    Ok(StageSpec::Dense { weights: within(folder, "model.safetensors"), inputs, outputs, bias, activation })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn modules_in_order() {
        let list = r#"[{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"},
            {"type": "a.Dense", "path": "2_Dense"}, {"type": "a.Normalize", "path": "3_Normalize"}]"#;
        let dense = r#"{"in_features": 8, "out_features": 4, "bias": false,
            "activation_function": "torch.nn.modules.linear.Identity"}"#;
        let pooling = r#"{"pooling_mode_max_tokens": true, "include_prompt": false}"#;
        let folder =
            folder(&[("modules.json", list), ("2_Dense/config.json", dense), ("1_Pooling/config.json", pooling)]);
        let modules = modules(&ModelFolder::new(folder.path())).expect("modules");
        let own = StageSpec::Dense {
            weights: "2_Dense/model.safetensors".into(),
            inputs: 8,
            outputs: 4,
            bias: false,
            activation: None,
        };
        assert_eq!((modules.pooling, modules.include_prompt), (Pooling::Max, false));
        assert_eq!((modules.stages, modules.normalize, modules.lower_case), (vec![own], true, false));
    }

    #[test]
    fn an_unknown_prompt_lists_the_known() {
        let config = r#"{"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}"#;
        let folder = folder(&[(PROMPTS, config)]);
        let text = |choice: PromptChoice| choice.text(&ModelFolder::new(folder.path()));
        assert_eq!(text(PromptChoice::Default).expect("a prompt"), "query: ");
        assert_eq!(text(PromptChoice::Named("passage".into())).expect("a prompt"), "passage: ");
        assert_eq!(text(PromptChoice::Text("x".into())).expect("a prompt"), "x");
        let error = text(PromptChoice::Named("other".into())).expect_err("unknown");
        assert!(error.hint().is_some_and(|hint| hint.contains("`query`") && hint.contains("`passage`")));
    }
}
