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

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => repr_str(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => repr_float(number),
            Err(_) => value.to_string(),
        },
        ValueKind::Undefined => "Undefined".into(),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| repr(&item)).collect();
            match (value.is_tuple(), items.len()) {
                (true, 1) => format!("({},)", items.join(", ")),
                (true, _) => format!("({})", items.join(", ")),
                (false, _) => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
            let items: Vec<String> =
                pairs.into_iter().flatten().map(|(key, item)| format!("{}: {}", repr(&key), repr(&item))).collect();
            format!("{{{}}}", items.join(", "))
        }
        _ => value.to_string(),
    }
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
}
