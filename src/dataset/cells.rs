//! What the text of a table's cell means.
//!
//! A cell is text. `choices`, `metadata` and `checks` can be nothing but lists and objects, which are JSON in a cell; `tags` may
//! be. `target` and `input` may be text or a list: a cell of them that reads like a list could be meant either way, and is an
//! error until the suite says which. Taken for text in silence, a list of right answers would match no answer at all, and a
//! conversation would be shown to the model as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::Field;
use super::keys::keys_once;
use crate::error::{Error, Result, nearest};

/// How a cell that begins with a bracket is read; any other is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CellForm {
    /// As text.
    Text,
    /// As JSON.
    Json,
}

/// What a suite says of the cells of a table, by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    input: Option<CellForm>,
    target: Option<CellForm>,
}

impl Cells {
    /// What a suite's `cells:` says (field -> form).
    ///
    /// # Errors
    /// A field that is always read one way, or that does not exist.
    pub fn new(forms: &BTreeMap<String, CellForm>) -> Result<Self> {
        let mut cells = Self::default();
        for (name, form) in forms {
            let slot = match Field::named(name) {
                Some(Field::Input) => &mut cells.input,
                Some(Field::Target) => &mut cells.target,
                _ => {
                    let error = Error::input(format!("failed to read the cells of `{name}`"));
                    return Err(error.with_hint(nearest(name, ["input", "target"])));
                }
            };
            *slot = Some(*form);
        }
        Ok(cells)
    }

    /// The value of a cell in the column `key`.
    pub(super) fn value(self, field: Field, text: String, key: &str) -> Result<Value> {
        let structured = text.trim_start().starts_with(['[', '{']);
        let json = match field {
            Field::Choices | Field::Metadata | Field::Checks => true,
            Field::Tags => structured,
            Field::Input | Field::Target => {
                let form = if field == Field::Input { self.input } else { self.target };
                if form.is_none() && structured && is_ambiguous(field, &text) {
                    return Err(ambiguous(field, key));
                }
                form == Some(CellForm::Json) && structured
            }
            Field::Id | Field::Context => false,
        };
        if !json {
            return Ok(Value::String(text));
        }
        // Among objects that are parsed already, of two keys that are one only the last is left.
        keys_once(&text).map_err(|error| error.context(format!("the cell `{key}` of the case is not valid")))?;
        serde_json::from_str(&text).map_err(|error| {
            let hint = if is_python(&text) {
                "this is a list as Python prints it; write JSON, with json.dumps"
            } else {
                "lists and objects in a cell are written as JSON"
            };
            Error::input(format!("the cell `{key}` of the case is not JSON")).caused_by(error).with_hint(hint)
        })
    }
}

/// Whether a cell could be read as a list that this field may hold.
fn is_ambiguous(field: Field, text: &str) -> bool {
    if is_python(text) {
        return true;
    }
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return false };
    let fits = |item: &Value| match field {
        Field::Input => item.get("role").is_some(),
        _ => item.is_string() || item.is_number() || item.is_boolean(),
    };
    items.iter().all(fits) && (field == Field::Target || !items.is_empty())
}

/// Whether a text looks like a list of texts or objects as Python prints it: what pandas writes into a cell.
fn is_python(text: &str) -> bool {
    let text = text.trim();
    ["['", "[{'"].iter().any(|start| text.starts_with(start)) && text.ends_with(']')
}

fn ambiguous(field: Field, key: &str) -> Error {
    let meaning = if field == Field::Input { "a conversation" } else { "a list of accepted answers" };
    let name = field.name();
    Error::input(format!("the cell `{key}` may be {meaning} or text that looks like one"))
        .with_hint(format!("add `cells: {{{name}: json}}` or `cells: {{{name}: text}}` to the dataset in the suite"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(forms: &[(&str, CellForm)]) -> Cells {
        Cells::new(&forms.iter().map(|(name, form)| ((*name).to_owned(), *form)).collect()).unwrap()
    }

    #[test]
    fn a_cell_that_reads_like_a_list_is_an_error_until_it_is_said_what_it_is() {
        let lists = [
            (Field::Target, r#"["4","four"]"#, json!(["4", "four"])),
            (Field::Target, "[1, 2]", json!([1, 2])),
            (Field::Input, r#"[{"role":"user","content":"hi"}]"#, json!([{"role": "user", "content": "hi"}])),
        ];
        for (field, text, list) in lists {
            let error = Cells::default().value(field, text.into(), "k").unwrap_err();
            assert!(error.hint().unwrap().contains(&format!("cells: {{{}: json}}", field.name())), "{error:?}");
            let as_json = cells(&[(field.name(), CellForm::Json)]);
            assert_eq!(as_json.value(field, text.into(), "k").unwrap(), list);
            let as_text = cells(&[(field.name(), CellForm::Text)]);
            assert_eq!(as_text.value(field, text.into(), "k").unwrap(), json!(text));
        }
        for (field, text) in [(Field::Target, "['4', 'four']"), (Field::Input, "[{'role': 'user', 'content': 'hi'}]")] {
            assert!(Cells::default().value(field, text.into(), "k").is_err());
            let error = cells(&[(field.name(), CellForm::Json)]).value(field, text.into(), "k").unwrap_err();
            assert!(error.hint().unwrap().contains("json.dumps"), "{error:?}");
        }
    }

    #[test]
    fn what_can_only_be_text_is_text() {
        let texts = [
            (Field::Target, r#"{"a":1}"#),
            (Field::Target, "[1, [2]]"),
            (Field::Target, "[sic] yes"),
            (Field::Target, "[0, 1)"),
            (Field::Input, "[1, 2, 3]"),
            (Field::Input, r#"{"role":"user"}"#),
            (Field::Input, "[]"),
            (Field::Context, r#"["a"]"#),
            (Field::Id, "[1]"),
            (Field::Tags, "a, b"),
        ];
        for (field, text) in texts {
            assert_eq!(Cells::default().value(field, text.into(), "k").unwrap(), json!(text));
        }
        let as_json = cells(&[("target", CellForm::Json)]);
        assert_eq!(as_json.value(Field::Target, "four".into(), "k").unwrap(), json!("four"));
        assert_eq!(Cells::default().value(Field::Tags, r#"["a"]"#.into(), "k").unwrap(), json!(["a"]));
        assert!(
            Cells::default()
                .value(Field::Choices, "['a', 'b']".into(), "k")
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("Python")
        );
    }

    #[test]
    fn a_key_of_a_cell_stands_once() {
        let both = cells(&[("input", CellForm::Json), ("target", CellForm::Json)]);
        for (field, text) in [
            (Field::Metadata, r#"{"a":1,"b":{"k":1,"k":2}}"#),
            (Field::Checks, r#"[{"contains":{"k":1,"k":2}}]"#),
            (Field::Input, r#"[{"role":"user","content":"hi","k":"a","k":"b"}]"#),
            (Field::Input, r#"[{"role":"assistant","tool_calls":[{"function":{"arguments":{"k":1,"k":2}}}]}]"#),
        ] {
            let error = both.value(field, text.into(), "c").unwrap_err();
            assert!(
                error.chain().contains("key `k` is given twice") && error.chain().contains("cell `c`"),
                "{error:?}"
            );
        }
        assert!(both.value(Field::Metadata, r#"{"a":{"k":1},"k":1}"#.into(), "c").is_ok());
    }

    #[test]
    fn only_fields_that_may_be_both_are_told_about() {
        let wrong = |name: &str| Cells::new(&[(name.to_owned(), CellForm::Json)].into()).unwrap_err();
        assert_eq!(wrong("targt").hint(), Some("did you mean `target`?"));
        assert!(wrong("context").message().contains("`context`"));
    }
}
