//! Templates of text, placeholders and `{% if context %}`, as most are: put together without the template engine, to the
//! same text.

use crate::dataset::{Input, Sample};

/// About as long as what a case adds to a template.
const ROOM: usize = 256;

/// The parts of such a template.
#[derive(Debug)]
pub(super) struct Plain(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Field(Field),
    /// What is there if a field is, and not empty.
    If(Field, Vec<Part>),
}

/// A placeholder whose value is text.
#[derive(Clone, Copy, Debug)]
enum Field {
    Input,
    Context,
    Id,
}

impl Field {
    fn new(name: &str) -> Option<Self> {
        match name.trim_matches(' ') {
            "input" => Some(Self::Input),
            "context" => Some(Self::Context),
            "id" => Some(Self::Id),
            _ => None,
        }
    }

    fn of(self, sample: &Sample) -> Option<&str> {
        match (self, &sample.input) {
            (Self::Input, Input::Text(text)) => Some(text),
            (Self::Input, Input::Messages(_)) => None,
            (Self::Context, _) => sample.context.as_deref(),
            (Self::Id, _) => Some(&sample.id),
        }
    }
}

impl Plain {
    /// The parts of `body`; `None` where it says more than that.
    pub fn new(body: &str) -> Option<Self> {
        // Files have line feeds alone by now.
        if body.contains("{#") || body.contains('\r') {
            return None;
        }
        // One newline at the end is not part of the prompt.
        let mut rest = body.strip_suffix('\n').unwrap_or(body);
        parts(&mut rest, false).map(Self)
    }

    /// The text for a case, without its first `skipped` bytes, which are in the text before the first tag; `None` where the
    /// case lacks a value, for the engine to say so.
    pub fn render(&self, sample: &Sample, skipped: usize) -> Option<String> {
        let mut text = String::with_capacity(ROOM);
        match self.0.split_first() {
            Some((Part::Text(first), rest)) => {
                text.push_str(first.get(skipped..)?);
                render(rest, sample, &mut text)?;
            }
            _ => return None,
        }
        Some(text)
    }
}

fn render(parts: &[Part], sample: &Sample, to: &mut String) -> Option<()> {
    for part in parts {
        match part {
            Part::Text(text) => to.push_str(text),
            Part::Field(field) => to.push_str(field.of(sample)?),
            Part::If(field, parts) if field.of(sample).is_some_and(|value| !value.is_empty()) => {
                render(parts, sample, to)?;
            }
            Part::If(..) => {}
        }
    }
    Some(())
}

/// The parts up to the end, or up to `{% endif %}`; the first is text.
fn parts(rest: &mut &str, conditional: bool) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    loop {
        let Some(open) = ["{{", "{%"].iter().filter_map(|open| rest.find(open)).min() else {
            parts.push(Part::Text((*rest).to_owned()));
            return (!conditional).then_some(parts);
        };
        let (text, tag) = rest.split_at(open);
        if let Some(tag) = tag.strip_prefix("{{") {
            let (name, behind) = tag.split_once("}}")?;
            parts.extend([Part::Text(text.to_owned()), Part::Field(Field::new(name)?)]);
            *rest = behind;
            continue;
        }
        let (block, behind) = tag[2..].split_once("%}")?;
        parts.push(Part::Text(before_block(text, parts.is_empty() && !conditional)?.to_owned()));
        // The newline after a block is not part of the prompt.
        *rest = behind.strip_prefix('\n').unwrap_or(behind);
        match block.trim_matches(' ') {
            "endif" => return conditional.then_some(parts),
            _ if conditional => return None,
            block => {
                let field = Field::new(block.strip_prefix("if ")?)?;
                let inner = self::parts(rest, true)?;
                parts.push(Part::If(field, inner));
            }
        }
    }
}

/// The text before a block: blanks on the block's own line are not part of the prompt. `None` where it is not clear whether
/// there is something before them on that line.
fn before_block(text: &str, first: bool) -> Option<&str> {
    let kept = text.trim_end_matches([' ', '\t']);
    match kept.chars().next_back() {
        _ if kept.len() == text.len() && !text.ends_with(char::is_whitespace) => Some(text),
        Some('\n') => Some(kept),
        None if first => Some(kept),
        Some(last) if !last.is_whitespace() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Template;
    use super::super::tests::sample;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_than_placeholders_is_for_the_engine() {
        for body in [
            "{{ input|upper }}",
            "{{- input }}",
            "{% if input -%}{% endif %}",
            "{% if tags %}{% endif %}",
            "{% if input %}",
            "{% endif %}",
            "{% for tag in tags %}{% endfor %}",
            "{# #}",
            "{{ tags }}",
            "{{ x }}",
            "{{",
        ] {
            assert!(Plain::new(body).is_none(), "{body}");
        }
        let mut case = sample(r#"{"id":"case","input":""}"#);
        assert!(Plain::new("{{ context }}").unwrap().render(&case, 0).is_none());
        case.context = Some("c".into());
        assert_eq!(Plain::new("a {{context}}\n").unwrap().render(&case, 1).unwrap(), " c");
        let both = Plain::new("a\n  {% if context %}\nb {{ context }}\n{% endif %}\n{{ id }}").unwrap();
        assert_eq!(both.render(&case, 0).unwrap(), "a\nb c\ncase");
        case.context = Some(String::new());
        assert_eq!(both.render(&case, 2).unwrap(), "case");
    }

    proptest! {
        #[test]
        fn renders_what_the_engine_renders(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("{{ input }}"), Just("{{input}}"), Just("{{  id }}"), Just("{{ context }}"), Just("{"), Just("}"),
                    Just("\n"), Just("\r\n"), Just("\r"), Just(" "), Just("x é"), Just("{{"), Just("}}"), Just("-"), Just("\"<&"),
                    Just("{% if context %}"), Just("{% if  input %}\n"), Just("{% endif %}"), Just("\n\t{%endif%}\n"), Just("\u{a0}"),
                ],
                0..14,
            ),
            input in any::<String>(),
            context in prop_oneof![Just(None), Just(Some(String::new())), any::<String>().prop_map(Some)],
        ) {
            let body = parts.concat();
            let (Ok(template), Some(plain)) = (Template::of(&body), Plain::new(&body)) else { return Ok(()) };
            let mut case = sample(r#"{"id":"case","input":""}"#);
            (case.input, case.context) = (Input::Text(input), context);
            let right = template.render_by_engine(&case);
            let start = template.start().len();
            match (plain.render(&case, 0), plain.render(&case, start)) {
                (Some(whole), Some(rest)) => {
                    let right = right.unwrap();
                    prop_assert_eq!(&right[start..], rest);
                    prop_assert_eq!(whole, right);
                }
                (None, None) => prop_assert!(right.is_err()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
