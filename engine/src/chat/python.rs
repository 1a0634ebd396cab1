//! Methods of Python's `str`, `dict` and `list` that templates call, where minijinja-contrib's `pycompat` has none or
//! another result; the rest is handed on to it.
//!
//! Methods that change a value in place (`append`, `update`, …) fail, as they do in the sandbox of transformers.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// What `value.method(*args)` gives; for [`minijinja::Environment::set_unknown_method_callback`].
pub(super) fn call_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => str_method(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Map => dict_method(value, method, args)?,
        ValueKind::Seq | ValueKind::Iterable => list_method(value, method, args)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => unknown_method_callback(state, value, method, args),
    }
}

/// Whether Python's `str.isspace` holds for the character.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The lines of `str.splitlines`, with or without their ends.
pub(super) fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    let is_end = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    while let Some((at, end)) = rest.char_indices().find(|(_, c)| is_end(*c)) {
        let width = if rest[at..].starts_with("\r\n") { 2 } else { end.len_utf8() };
        lines.push(if keep_ends { &rest[..at + width] } else { &rest[..at] });
        rest = &rest[at + width..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// `text.strip(chars)` with the sides to strip.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(strips) } else { text };
    if right { text.trim_end_matches(strips) } else { text }
}

fn str_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let result = match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            strip(text, chars, method != "rstrip", method != "lstrip").into()
        }
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "splitlines" => {
            let (keep_ends, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keep_ends = keep_ends.or(kwargs.get("keepends")?).unwrap_or(false);
            split_lines(text, keep_ends).into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            refuse_empty(separator)?;
            let found = if method == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match (found, method) {
                (Some((head, tail)), _) => [head, separator, tail],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let rest = if method == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
            rest.unwrap_or(text).into()
        }
        "replace" => {
            let (old, new, count, kwargs): (&str, &str, Option<i64>, Kwargs) = from_args(args)?;
            match count.or(kwargs.get("count")?).map(usize::try_from) {
                Some(Ok(count)) => text.replacen(old, new, count).into(),
                _ => text.replace(old, new).into(),
            }
        }
        "startswith" | "endswith" => {
            let (affix, start, end): (&Value, Option<i64>, Option<i64>) = from_args(args)?;
            affixed(window(text, start, end), method == "startswith", affix)?.into()
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (part, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let inside = window(text, start, end);
            let at = if method.starts_with('r') { inside.rfind(part) } else { inside.find(part) };
            match at {
                // The window is a part of the text; where it is empty any of its ends will do.
                Some(at) => text[..inside.as_ptr() as usize - text.as_ptr() as usize + at].chars().count().into(),
                None if method.ends_with("find") => Value::from(-1),
                None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
            }
        }
        "count" => {
            let (part, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            window(text, start, end).matches(part).count().into()
        }
        "title" => title(text).into(),
        "swapcase" => text.chars().flat_map(swap_case).collect::<String>().into(),
        "casefold" => text.replace('ß', "ss").to_lowercase().into(),
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(missing(text, width)?)).into()
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let (fill, gap) = (fill.unwrap_or(" "), missing(text, width)?);
            let left = match method {
                "ljust" => 0,
                "rjust" => gap,
                // CPython puts the odd one to the left only where the width is odd too.
                _ => gap / 2 + (gap & width & 1),
            };
            format!("{}{text}{}", fill.repeat(left), fill.repeat(gap - left)).into()
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            let mut parts = Vec::new();
            for item in items.try_iter()? {
                parts.push(item.as_str().map(str::to_owned).ok_or_else(|| {
                    Error::new(ErrorKind::InvalidOperation, format!("join: expected a string, found {}", item.kind()))
                })?);
            }
            parts.join(text).into()
        }
        _ => return Ok(None),
    };
    Ok(Some(result))
}

fn dict_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let pairs = || value.as_object().and_then(|object| object.try_iter_pairs()).into_iter().flatten();
    // Real lists, so that length, truth and repeated iteration work.
    Ok(Some(match method {
        "keys" | "values" | "items" | "copy" => {
            let () = from_args(args)?;
            match method {
                "keys" => pairs().map(|(key, _)| key).collect(),
                "values" => pairs().map(|(_, item)| item).collect(),
                "items" => pairs().map(|(key, item)| Value::from(Tuple::from([key, item]))).collect(),
                _ => value.clone(),
            }
        }
        _ => return Ok(None),
    }))
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let position = value.try_iter()?.position(|item| item == *wanted);
            position
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "index: the value is not in the list"))?
                .into()
        }
        "count" => {
            let (wanted,): (&Value,) = from_args(args)?;
            value.try_iter()?.filter(|item| item == wanted).count().into()
        }
        "copy" => {
            let () = from_args(args)?;
            value.clone()
        }
        _ => return Ok(None),
    }))
}

fn split(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit, kwargs): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = separator.or(kwargs.get("sep")?);
    let limit = limit.or(kwargs.get("maxsplit")?).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    kwargs.assert_all_used()?;
    let mut parts: Vec<&str> = match separator {
        Some(separator) => {
            refuse_empty(separator)?;
            let limit = limit.saturating_add(1);
            if from_right { text.rsplitn(limit, separator).collect() } else { text.splitn(limit, separator).collect() }
        }
        None => {
            let (mut parts, mut rest) = (Vec::new(), strip(text, None, !from_right, from_right));
            while !rest.is_empty() {
                let gap = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
                let (part, tail) = match gap {
                    Some(at) if parts.len() < limit && from_right => {
                        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
                        (&rest[at + width..], &rest[..at])
                    }
                    Some(at) if parts.len() < limit => (&rest[..at], &rest[at..]),
                    _ => (strip(rest, None, from_right, !from_right), ""),
                };
                // With the limit reached Python keeps the outer whitespace of the rest, except on the side it scans from.
                let part = if parts.len() == limit { rest } else { part };
                parts.push(part);
                rest = strip(tail, None, !from_right, from_right);
            }
            parts
        }
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

fn refuse_empty(separator: &str) -> Result<(), Error> {
    match separator {
        "" => Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        _ => Ok(()),
    }
}

/// `text[start:end]` in characters, as a part of `text`.
fn window(text: &str, start: Option<i64>, end: Option<i64>) -> &str {
    if start.is_none() && end.is_none() {
        return text;
    }
    let length = text.chars().count() as i64;
    let place = |index: i64| if index < 0 { (index + length).max(0) } else { index.min(length) } as usize;
    let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    let (start, end) = (start.map_or(0, place), end.map_or(length as usize, place));
    if start >= end { &text[byte(start)..byte(start)] } else { &text[byte(start)..byte(end)] }
}

fn affixed(text: &str, start: bool, affix: &Value) -> Result<bool, Error> {
    let holds = |part: &str| if start { text.starts_with(part) } else { text.ends_with(part) };
    if let Some(part) = affix.as_str() {
        return Ok(holds(part));
    }
    let wrong = || Error::new(ErrorKind::InvalidOperation, "expected a string or a tuple of strings");
    // A tuple of prefixes; a list is an error in Python.
    if !affix.is_tuple() {
        return Err(wrong());
    }
    for part in affix.try_iter()? {
        if holds(part.as_str().ok_or_else(wrong)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn title(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if after_letter {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        after_letter = c.is_lowercase() || c.is_uppercase();
    }
    out
}

fn swap_case(c: char) -> Vec<char> {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// How many characters `text` lacks to be `width` wide.
fn missing(text: &str, width: usize) -> Result<usize, Error> {
    match width {
        0..=1_000_000 => Ok(width.saturating_sub(text.chars().count())),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "the width is larger than a million")),
    }
}
