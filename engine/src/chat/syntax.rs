//! What is done to a template's source before minijinja parses it: newlines as jinja2 normalises them, the
//! `{% generation %}` tag of transformers, which minijinja does not know, and the newline behind `{% raw %}`, which
//! jinja2 keeps and minijinja would trim (hence `{% raw +%}`).
//!
//! `{% generation %}` becomes `{% with %}`, padded to the same width: it prints its body in a scope of its own, and
//! lines, columns and whitespace control stay as they are. Nothing inside comments, raw blocks, strings or plain text is
//! touched. Syntax errors are minijinja's to report.

use std::borrow::Cow;
use std::ops::Range;

/// The source as minijinja should see it.
pub(super) fn prepare(source: &str) -> Cow<'_, str> {
    let source = if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    };
    let edits = edits(&source);
    if edits.is_empty() {
        return source;
    }
    let mut out = source.into_owned();
    for (range, replacement) in edits.into_iter().rev() {
        out.replace_range(range, replacement);
    }
    Cow::Owned(out)
}

/// The byte ranges to replace, in ascending order.
fn edits(source: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut edits = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|i| at + i) {
        let rest = &source[open..];
        at = if rest.starts_with("{#") {
            rest.find("#}").map_or(source.len(), |end| open + end + 2)
        } else if rest.starts_with("{{") {
            code_end(source, open + 2, "}}")
        } else if let Some(tag) = rest.strip_prefix("{%") {
            let body = tag.strip_prefix(['-', '+']).unwrap_or(tag).trim_start();
            let name_at = source.len() - body.len();
            let name: &str = body.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let end = code_end(source, open + 2, "%}");
            match name {
                "generation" => edits.push((name_at..name_at + name.len(), "with      ")),
                "endgeneration" => edits.push((name_at..name_at + name.len(), "endwith      ")),
                "raw" if source[..end].strip_suffix("%}").is_some_and(|tag| !tag.ends_with(['-', '+'])) => {
                    edits.push((end - 2..end - 2, "+"));
                }
                _ => {}
            }
            if name == "raw" { raw_end(source, end) } else { end }
        } else {
            open + 1
        };
    }
    edits
}

/// Where the code that starts at `from` ends, behind `close`; string literals and brackets are skipped.
pub(super) fn code_end(source: &str, from: usize, close: &str) -> usize {
    let bytes = source.as_bytes();
    let (mut at, mut depth) = (from, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            _ if depth == 0 && bytes[at..].starts_with(close.as_bytes()) => return at + close.len(),
            byte => {
                match byte {
                    b'{' | b'(' | b'[' => depth += 1,
                    b'}' | b')' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
            }
        }
    }
    source.len()
}

/// Where the raw block whose start tag ends at `from` is over.
pub(super) fn raw_end(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = source[at..].find("{%").map(|i| at + i + 2) {
        let body = source[open..].strip_prefix(['-', '+']).unwrap_or(&source[open..]).trim_start();
        if body.starts_with("endraw") {
            return code_end(source, open, "%}");
        }
        at = open;
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_tags_and_nothing_else() {
        let source = "{#{% generation %}#}{{ '{% generation %}' }}{%- generation -%}\n{% raw %}{% generation %}{% endraw %}\
                      generation {% set generation = 1 %}{%+endgeneration%}";
        let expected = "{#{% generation %}#}{{ '{% generation %}' }}{%- with       -%}\n{% raw +%}{% generation %}{% endraw %}\
                      generation {% set generation = 1 %}{%+endwith      %}";
        assert_eq!(prepare(source), expected);
    }

    #[test]
    fn survives_unfinished_sources() {
        for source in ["{% generation", "{{ 'a\\", "{# generation", "{% raw %}generation", "{", "é{%é generation", "{%"]
        {
            assert_eq!(prepare(source).len(), prepare(source).len());
        }
        assert_eq!(prepare("a\r\nb\rc\n"), "a\nb\nc\n");
    }
}
