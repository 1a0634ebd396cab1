//! A template of a value: a list of choices, an index, a text.
//!
//! Of a template that is one expression (`{{ choices.text }}`) the value counts, any other gives its text. So `{{ answer }}` of a
//! number is that number, and `{{ a }}{{ b }}` is text. lm-evaluation-harness prints a value and reads it again as a literal of
//! Python, which gives the same.

use serde_json::Value;

use super::template::Template;
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// A compiled template of a value.
#[derive(Debug)]
pub(super) struct ValueTemplate {
    text: Template,
    /// The same with its value as JSON, through the filters that hold templates to their bounds.
    json: Option<Template>,
}

impl ValueTemplate {
    /// The template in a text of the suite.
    pub fn inline(text: &str) -> Result<Self> {
        let whole = Template::inline(text)?;
        let json = |expression| Template::inline(&format!("{{{{ ({expression})|tojson }}}}"));
        Ok(Self { json: single_expression(text).map(json).transpose()?, text: whole })
    }

    /// What it gives for a case.
    ///
    /// # Errors
    /// A name that the row does not have.
    pub fn value(&self, sample: &Sample) -> Result<Value> {
        let text = || self.text.render(sample);
        let Some(json) = &self.json else { return text().map(Value::String) };
        match serde_json::from_str(&json.render(sample)?) {
            Ok(Value::Null) => {
                // A name that is not there says so itself.
                text()?;
                Err(Error::input(format!("the template `{}` gives nothing", self.text.body())))
            }
            // With the white space around the expression.
            Ok(Value::String(_)) | Err(_) => text().map(Value::String),
            Ok(value) => Ok(value),
        }
    }

    /// Its text for a case.
    ///
    /// # Errors
    /// As for [`Self::value`].
    pub fn text(&self, sample: &Sample) -> Result<String> {
        self.text.render(sample)
    }
}

/// The expression of a template that is nothing else.
fn single_expression(body: &str) -> Option<&str> {
    let inside = body.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    // A second tag between them would make it two.
    let (mut quote, mut bytes) = (None, inside.bytes().peekable());
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => _ = bytes.next(),
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'}') if bytes.peek() == Some(&b'}') => return None,
            (None, _) => {}
        }
    }
    Some(inside.trim_matches('-').trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case(row: Value) -> Sample {
        let mut sample = super::super::tests::sample(r#"{"input":"i"}"#);
        sample.row = row.as_object().cloned();
        sample
    }

    #[test]
    fn one_expression_gives_its_value_and_more_give_text() {
        let row = json!({"choices": {"text": ["a", "b"], "label": ["A", "B"]}, "key": "B", "n": 3, "s": "x", "f": 0.5});
        for (template, value) in [
            ("{{ choices.text }}", json!(["a", "b"])),
            ("{{choices.label.index(key)}}", json!(1)),
            ("{{ n }}", json!(3)),
            ("{{ s }}", json!("x")),
            ("{{ f }}", json!(0.5)),
            ("{{ [s + ' }} ', s ~ \"{{\"] }}", json!(["x }} ", "x{{"])),
            ("{{ s }}{{ n }}", json!("x3")),
            ("{{ n }}.", json!("3.")),
            ("{{ s }} ", json!("x ")),
            ("{% if n %}{{ n }}{% endif %}", json!("3")),
            ("0", json!("0")),
            ("{{ choices.label.count('A') }}", json!(1)),
        ] {
            let trimmed = ValueTemplate::inline(template).unwrap().value(&case(row.clone()));
            assert_eq!(trimmed.unwrap(), value, "{template}");
        }
        for template in ["{{ missing }}", "{{ choices.label.index('C') }}", "{{ n.x }}"] {
            assert!(ValueTemplate::inline(template).unwrap().value(&case(row.clone())).is_err(), "{template}");
        }
    }
}
