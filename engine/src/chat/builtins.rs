//! Filters, tests and functions where jinja2 and minijinja differ, and those that transformers adds.
//!
//! `tojson` and the methods of Python's types have files of their own. Filters of jinja2 that make no sense for prompts
//! (`xmlattr`, `urlize`, `random`, …) are left out and reported as unknown.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::held;
use super::json::tojson;
use super::python::{call_method, split_lines, strip};
use super::repr::python_str;

/// Registers everything.
pub(super) fn install(env: &mut Environment<'static>) {
    env.set_unknown_method_callback(|state, value, name, args| {
        held::method(value, name, args, || call_method(state, value, name, args))
    });
    env.set_formatter(|out, _state, value| {
        held::print_value(value)?;
        out.write_str(&python_str(value)).map_err(Error::from)
    });
    env.add_function("raise_exception", raise_exception);
    env.add_function("dict", dict);
    env.add_function("joiner", minijinja_contrib::globals::joiner);
    install_filters(env);
    env.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    env.add_test("sequence", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Seq | Iterable | Map | String | Undefined)
    });
    env.add_test("callable", |value: &Value| {
        value.kind() == ValueKind::Plain && !value.is_undefined() && value.as_object().is_some()
    });
}

fn install_filters(env: &mut Environment<'static>) {
    held::filter(env, "tojson", Value::from_function(tojson));
    held::filter(env, "default", Value::from_function(default));
    held::filter(env, "d", Value::from_function(default));
    held::filter(env, "string", Value::from_function(|value: &Value| python_str(value)));
    held::filter(
        env,
        "trim",
        Value::from_function(|value: &Value, chars: Option<&str>| {
            strip(&python_str(value), chars, true, true).to_owned()
        }),
    );
    held::filter(env, "length", Value::from_function(length));
    held::filter(env, "count", Value::from_function(length));
    held::filter(env, "items", Value::from_function(items));
    held::filter(
        env,
        "list",
        Value::from_function(|value: &Value| {
            if value.is_none() {
                Err(Error::new(ErrorKind::InvalidOperation, "None is not iterable"))
            } else {
                Ok(value.try_iter()?.collect::<Value>())
            }
        }),
    );
    held::filter(
        env,
        "first",
        Value::from_function(|value: &Value| {
            if value.is_undefined() { Ok(Value::UNDEFINED) } else { minijinja::filters::first(value) }
        }),
    );
    held::filter(
        env,
        "last",
        Value::from_function(
            |value: Value| if value.is_undefined() { Ok(Value::UNDEFINED) } else { minijinja::filters::last(value) },
        ),
    );
    held::filter(env, "replace", Value::from_function(replace));
    held::filter(env, "indent", Value::from_function(indent));
    held::filter(env, "int", Value::from_function(int));
    held::filter(env, "float", Value::from_function(float));
    held::filter(env, "escape", Value::from_function(escape));
    held::filter(env, "e", Value::from_function(escape));
    held::filter(env, "wordcount", Value::from_function(|value: &Value| python_str(value).split_whitespace().count()));
    held::filter(
        env,
        "center",
        Value::from_function(|value: &Value, width: Option<usize>| {
            let (text, width) = (python_str(value), width.unwrap_or(80).min(10_000));
            let gap = width.saturating_sub(text.chars().count());
            let left = gap / 2 + (gap & width & 1);
            format!("{}{text}{}", " ".repeat(left), " ".repeat(gap - left))
        }),
    );
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, python_str(message)))
}

/// `dict(mapping or pairs, **kwargs)`.
fn dict(args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (base, kwargs): (Option<&Value>, Kwargs) = from_args(&args)?;
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    match base {
        None => {}
        Some(map) if map.kind() == ValueKind::Map => {
            pairs.extend(map.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten());
        }
        Some(list) => {
            for pair in list.try_iter()? {
                pairs.push((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?));
            }
        }
    }
    for name in kwargs.args().map(str::to_owned).collect::<Vec<_>>() {
        pairs.push((Value::from(name.as_str()), kwargs.get(&name)?));
    }
    Ok(Value::from_pairs(pairs))
}

/// `value|default(default_value='', boolean=False)`.
fn default(value: &Value, other: Option<Value>, boolean: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let other = other.or(kwargs.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let boolean = boolean.or(kwargs.get("boolean")?).is_some_and(|flag| flag.is_true());
    kwargs.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { other } else { value.clone() })
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        _ => value.len().ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, format!("object of type {} has no length", value.kind()))
        }),
    }
}

fn items(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        _ => minijinja::filters::items(value),
    }
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<i64>) -> String {
    let (text, old, new) = (python_str(value), python_str(old), python_str(new));
    match count.map(usize::try_from) {
        Some(Ok(count)) => text.replacen(&old, &new, count),
        _ => text.replace(&old, &new),
    }
}

/// `value|indent(width=4, first=False, blank=False)`; the width may be a string.
fn indent(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let (positional, kwargs): (&[Value], Kwargs) = from_args(&args)?;
    let option = |position: usize, name: &str| -> Result<Option<Value>, Error> {
        positional.get(position).map_or_else(|| kwargs.get::<Option<Value>>(name), |value| Ok(Some(value.clone())))
    };
    let indention = match option(0, "width")? {
        None => "    ".into(),
        Some(width) => match (width.as_str(), width.as_usize()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(width)) if width <= 10_000 => " ".repeat(width),
            _ => return Err(Error::new(ErrorKind::InvalidOperation, "indent: the width is a number or a string")),
        },
    };
    let first = option(1, "first")?.is_some_and(|flag| flag.is_true());
    let blank = option(2, "blank")?.is_some_and(|flag| flag.is_true());
    kwargs.assert_all_used()?;
    // The added newline is jinja2's way to keep one that ends the text.
    let text = python_str(value) + "\n";
    let mut out = String::new();
    for (i, line) in split_lines(&text, false).into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn int(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "int of an undefined value"));
    }
    let default = default.or(kwargs.get("default")?).unwrap_or_else(|| Value::from(0));
    let base: u32 = kwargs.get::<Option<u32>>("base")?.unwrap_or(10);
    kwargs.assert_all_used()?;
    let number = match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        ValueKind::Number => truncated(f64::try_from(value.clone()).ok()),
        ValueKind::String if (2..=36).contains(&base) => {
            let text = strip(value.as_str().unwrap_or_default(), None, true, true).replace('_', "");
            i128::from_str_radix(&text, base).ok().or_else(|| truncated(text.parse().ok()))
        }
        _ => None,
    };
    Ok(number.map_or(default, |n| i64::try_from(n).map_or_else(|_| Value::from(n), Value::from)))
}

fn truncated(number: Option<f64>) -> Option<i128> {
    number.filter(|number| number.is_finite() && number.abs() < 1e38).map(|number| number.trunc() as i128)
}

fn float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "float of an undefined value"));
    }
    let default = default.or(kwargs.get("default")?).unwrap_or_else(|| Value::from(0.0));
    kwargs.assert_all_used()?;
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => strip(value.as_str().unwrap_or_default(), None, true, true).parse().ok(),
        _ => None,
    };
    Ok(number.map_or(default, Value::from))
}

fn escape(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let mut out = String::new();
    for c in python_str(value).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Value::from_safe_string(out)
}
