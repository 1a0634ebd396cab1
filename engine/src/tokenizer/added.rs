//! Tokens beside the model's own vocabulary, as transformers' `_from_pretrained` and `TokenizersBackend.__init__` (5.24) add them:
//! `added_tokens_decoder` of `tokenizer_config.json`, which wins over `tokenizer.json` token by token, then special tokens that
//! are nowhere else.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::class::Class;
use super::special_tokens::{SpecialTokens, added_token};
use crate::error::{Error, Result};
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::read_json;

/// Added tokens by their ids.
pub(super) type Listed = BTreeMap<u32, AddedToken>;

/// The tokens that a folder lists: `added_tokens_decoder`, or where the configuration has none, those of `added_tokens.json` and
/// of the tokenizer's file.
pub(super) fn listed(
    folder: &ModelFolder,
    config: &Map<String, Value>,
    inner: &tokenizers::Tokenizer,
    special_tokens: &SpecialTokens,
) -> Result<Listed> {
    let mut listed = Listed::new();
    if let Some(told) = config.get("added_tokens_decoder") {
        let path = folder.path().join("tokenizer_config.json");
        let wrong = || Error::input("`added_tokens_decoder` is not a map of ids to tokens").at(&path);
        for (id, token) in told.as_object().ok_or_else(wrong)? {
            let id = id.parse().map_err(|_| wrong())?;
            let token = token.as_object().and_then(added_token).ok_or_else(wrong)?;
            listed.insert(id, token);
        }
        return Ok(listed);
    }
    if let Some(Value::Object(file)) = read_json(folder, "added_tokens.json")? {
        for (token, id) in &file {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else { continue };
            let special = special_tokens.to_add().any(|named| named.content == *token);
            listed.insert(id, AddedToken::from(token.as_str(), special));
        }
    }
    listed.extend(inner.get_added_tokens_decoder());
    Ok(listed)
}

/// Adds the listed tokens, and special tokens that are not among them. Tokens of the model's own vocabulary keep their ids.
pub(super) fn add(
    class: Class,
    inner: &mut tokenizers::Tokenizer,
    listed: &Listed,
    special_tokens: &SpecialTokens,
) -> Result<()> {
    let named: HashSet<&str> = special_tokens.iter().map(|(_, token)| token).collect();
    let mut tokens: Vec<AddedToken> = listed.values().cloned().collect();
    let mut known: HashSet<String> =
        inner.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
    known.extend(tokens.iter().map(|token| token.content.clone()));
    for token in special_tokens.to_add() {
        if known.insert(token.content.clone()) {
            tokens.push(with_class(class, token.clone()));
        }
    }
    for token in &mut tokens {
        token.special |= named.contains(token.content.as_str());
    }
    let failed = |error: tokenizers::Error| Error::input("failed to add the folder's special tokens").caused_by(error);
    inner.add_tokens(tokens).map_err(failed)?;
    if class == Class::Qwen2 {
        // Once more, and by their names alone.
        let all = special_tokens.to_add().map(|token| AddedToken::from(token.content.as_str(), true));
        inner.add_tokens(all.collect::<Vec<_>>()).map_err(failed)?;
    }
    Ok(())
}

/// Special tokens of MPNet are normalised where no file says otherwise, and the mask takes the space before it.
fn with_class(class: Class, token: AddedToken) -> AddedToken {
    match class {
        Class::MpNet => {
            let mask = token.content == "<mask>";
            token.normalized(true).lstrip(mask)
        }
        _ => token,
    }
}
