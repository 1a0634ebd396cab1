//! How Python prints values: `str()` and `repr()` of what templates handle.
//!
//! minijinja's own printing is close; floats from 1e16, and characters that Python does not find printable, differ.

use std::sync::LazyLock;

use minijinja::Value;
use minijinja::value::ValueKind;
use regex::Regex;

/// Characters that Python's `str.isprintable` refuses, except the space.
static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}--\x20]").ok());

/// `str(value)`.
pub(super) fn python_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.into(),
        None if value.is_undefined() => String::new(),
        None => repr(value),
    }
}

/// How deep values are printed: a namespace may hold itself, and a thread's stack is small.
const DEEPEST: usize = 200;

/// `repr(value)`; `...` ends what is nested too deeply, as Python ends a list that holds itself.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    if !print(value, DEEPEST, &mut out) {
        out.push_str("...");
    }
    out
}

/// Prints `value` with `left` more levels; `false` stops everything around it: what is too deep may also be too wide.
fn print(value: &Value, left: usize, out: &mut String) -> bool {
    match value.kind() {
        ValueKind::String => out.push_str(&repr_str(value.as_str().unwrap_or_default())),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => out.push_str(&repr_float(number)),
            Err(_) => out.push_str(&value.to_string()),
        },
        ValueKind::Undefined => out.push_str("Undefined"),
        _ if left == 0 => return false,
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                count += 1;
                if !print(&item, left - 1, out) {
                    return false;
                }
            }
            if value.is_tuple() && count == 1 {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
            for (index, (key, item)) in pairs.into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                if !print(&key, left - 1, out) {
                    return false;
                }
                out.push_str(": ");
                if !print(&item, left - 1, out) {
                    return false;
                }
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    true
}

/// `repr(float)`: the shortest text that reads back as the same number, with an exponent below 1e-4 and from 1e16.
pub(super) fn repr_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    // Rust's Debug has Python's thresholds and digits, but writes `1e16` where Python writes `1e+16`.
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(digits) => format!("{mantissa}e-{digits:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => text,
    }
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    let mut buffer = [0; 4];
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if UNPRINTABLE.as_ref().is_some_and(|re| re.is_match(c.encode_utf8(&mut buffer))) => {
                out.push_str(&match c as u32 {
                    code @ 0..=0xff => format!("\\x{code:02x}"),
                    code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                    code => format!("\\U{code:08x}"),
                });
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        let table = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ];
        for (number, expected) in table {
            assert_eq!(repr_float(number), expected);
        }
    }

    #[test]
    fn containers_and_strings_print_as_in_python() {
        let value = Value::from(vec![
            Value::from("it's"),
            Value::from("\"'\n\u{7f}\u{a0}\u{200b}é🙂"),
            Value::from(()),
            Value::from(true),
            Value::from_pairs([("k", Value::from(1.0)), ("l", Value::from(2))]),
        ]);
        let expected = r#"["it's", '"\'\n\x7f\xa0\u200bé🙂', None, True, {'k': 1.0, 'l': 2}]"#;
        assert_eq!(python_str(&value), expected);
    }

    #[test]
    fn what_is_too_deep_ends_in_dots() {
        let mut value = Value::from(1);
        for _ in 0..10_000 {
            value = Value::from(vec![value.clone(), value]);
        }
        let text = repr(&value);
        assert!(text.starts_with("[[[") && text.ends_with("..."), "{text}");
        // Freed level by level, or the value's own destructor would recurse too deeply.
        std::mem::forget(value);
    }
}
