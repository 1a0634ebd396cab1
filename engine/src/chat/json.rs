//! The `tojson` filter as transformers defines it: Python's `json.dumps` with `ensure_ascii`, `indent`, `separators` and
//! `sort_keys`, without the HTML escapes of jinja2's own filter.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::repr::repr_float;

/// `value|tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`; prompt templates have it, too.
///
/// # Errors
/// A value that JSON has no form for, one that is nested too deeply, arguments of another kind.
pub fn tojson(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let (positional, kwargs): (&[Value], Kwargs) = from_args(&args)?;
    let option = |position: usize, name: &str| -> Result<Option<Value>, Error> {
        match positional.get(position) {
            Some(value) => Ok(Some(value.clone())),
            None => kwargs.get::<Option<Value>>(name),
        }
    };
    let indent = match option(1, "indent")?.filter(|indent| !indent.is_none()) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(width) => match i64::try_from(width) {
            Ok(width) if width <= 10_000 => Some(" ".repeat(usize::try_from(width).unwrap_or(0))),
            _ => return Err(Error::new(ErrorKind::InvalidOperation, "tojson: indent is a number or a string")),
        },
    };
    let (item, key) = match option(2, "separators")?.filter(|separators| !separators.is_none()) {
        Some(pair) => {
            let parts: Vec<String> = pair.try_iter()?.filter_map(|part| part.as_str().map(str::to_owned)).collect();
            match <[String; 2]>::try_from(parts) {
                Ok([item, key]) => (item, key),
                Err(_) => return Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators are two strings")),
            }
        }
        None => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
    };
    let writer = Writer {
        ensure_ascii: option(0, "ensure_ascii")?.is_some_and(|flag| flag.is_true()),
        sort_keys: option(3, "sort_keys")?.is_some_and(|flag| flag.is_true()),
        indent,
        item,
        key,
    };
    kwargs.assert_all_used()?;
    let mut out = String::new();
    writer.value(&mut out, value, 0)?;
    Ok(out)
}

/// `json.dumps(value, ensure_ascii=False)`; `None` for what JSON cannot hold.
pub(super) fn python_json(value: &Value) -> Option<String> {
    let writer = Writer { ensure_ascii: false, sort_keys: false, indent: None, item: ", ".into(), key: ": ".into() };
    let mut out = String::new();
    writer.value(&mut out, value, 0).ok().map(|()| out)
}

struct Writer {
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item: String,
    key: String,
}

impl Writer {
    fn value(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > 200 {
            return Err(Error::new(ErrorKind::BadSerialization, "tojson: the value is nested too deeply"));
        }
        match value.kind() {
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container(out, ['[', ']'], depth, &items, |out, item| self.value(out, item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for (key, item) in value.as_object().and_then(|o| o.try_iter_pairs()).into_iter().flatten() {
                    pairs.push((key_text(&key)?, item));
                }
                if self.sort_keys {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.container(out, ['{', '}'], depth, &pairs, |out, (key, item)| {
                    self.string(out, key);
                    out.push_str(&self.key);
                    self.value(out, item, depth + 1)
                })?;
            }
            _ => match scalar(value) {
                Some(text) => out.push_str(&text),
                None => {
                    let message = format!("tojson: a value of type {} is not JSON serializable", value.kind());
                    return Err(Error::new(ErrorKind::BadSerialization, message));
                }
            },
        }
        Ok(())
    }

    fn container<T>(
        &self,
        out: &mut String,
        [open, close]: [char; 2],
        depth: usize,
        items: &[T],
        mut write: impl FnMut(&mut String, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let newline = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.item);
            }
            newline(out, depth + 1);
            write(out, item)?;
        }
        if !items.is_empty() {
            newline(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// Numbers, booleans and None as `json.dumps` writes them.
fn scalar(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::None => Some("null".into()),
        ValueKind::Bool => Some(if value.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number if value.is_integer() => Some(value.to_string()),
        ValueKind::Number => {
            let number = f64::try_from(value.clone()).ok()?;
            Some(match number {
                _ if number.is_nan() => "NaN".into(),
                f64::INFINITY => "Infinity".into(),
                f64::NEG_INFINITY => "-Infinity".into(),
                _ => repr_float(number),
            })
        }
        _ => None,
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.as_str() {
        Some(text) => Ok(text.into()),
        None => scalar(key).ok_or_else(|| {
            Error::new(ErrorKind::BadSerialization, format!("tojson: a key of type {} is not allowed", key.kind()))
        }),
    }
}
