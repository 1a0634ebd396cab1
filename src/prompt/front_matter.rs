//! Front matter of a template file: a `---` block of YAML at its top with `version` and `description`.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result, nearest};

/// The `---` block at the top of a template file.
#[derive(Default)]
pub(super) struct FrontMatter {
    pub version: Option<String>,
    pub description: Option<String>,
    /// Lines that it takes, its two `---` included.
    pub lines: u64,
}

impl FrontMatter {
    /// Front matter and the rest of `text`.
    pub fn split<'a>(text: &'a str, path: &Path) -> Result<(Self, &'a str)> {
        let mut lines = text.split_inclusive('\n');
        let Some(first) = lines.next().filter(|line| line.trim_end() == "---") else {
            return Ok((Self::default(), text));
        };
        let mut end = first.len();
        for line in lines {
            let start = end;
            end += line.len();
            if line.trim_end() == "---" {
                let mut front = Self::parse(&text[first.len()..start], path)?;
                front.lines = text[..end].matches('\n').count() as u64;
                return Ok((front, &text[end..]));
            }
        }
        let error = Error::input("the front matter has no closing `---`").at_line(path, 1);
        Err(error.with_hint("a template whose text starts with `---` needs front matter before it"))
    }

    fn parse(yaml: &str, path: &Path) -> Result<Self> {
        let options = serde_saphyr::options! { with_snippet: false };
        let parsed = serde_saphyr::from_str_with_options::<Option<Pairs>>(yaml, options);
        let pairs = parsed.map_err(|error| {
            let line = error.location().map_or(1, |at| at.line());
            let result = Error::input("the front matter is not a map of strings").at_line(path, line + 1);
            result.with_hint("write `version: \"1\"` and `description: …`")
        })?;
        let mut front = Self::default();
        for (key, line, value) in pairs.map_or_else(Vec::new, |pairs| pairs.0) {
            match key.as_str() {
                "version" => front.version = Some(value),
                "description" => front.description = Some(value),
                unknown => {
                    let error = Error::input(format!("the front matter has the unknown key `{unknown}`"));
                    return Err(error.at_line(path, line + 1).with_hint(nearest(unknown, ["version", "description"])));
                }
            }
        }
        Ok(front)
    }
}

/// A map of texts with the line of every key.
struct Pairs(Vec<(String, u64, String)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> serde::de::Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<serde_saphyr::Spanned<String>>()? {
                    let line = key.referenced.line();
                    pairs.push((key.value, line, map.next_value::<String>()?));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}
