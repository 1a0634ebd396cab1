//! The fields of a case and the names they go by.
//!
//! DESIGN §4 pins the accepted spellings; a suite's `fields:` adds one more name for a field, and then that name alone
//! stands for it: a file with both `question` and `prompt` can say which of the two is the input.

use std::collections::BTreeMap;

use super::cells::Cells;
use super::keys::UnknownKeys;
use crate::error::{Error, Result, nearest};

/// A field of a case that means something to karat; every other key goes to `metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Name of the case.
    Id,
    /// What the model is asked.
    Input,
    /// Accepted answers.
    Target,
    /// Options of a multiple-choice question.
    Choices,
    /// Text that goes with the question.
    Context,
    /// Labels to slice by.
    Tags,
    /// Everything else.
    Metadata,
    /// Scorers of this case alone.
    Checks,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 8] =
        [Self::Id, Self::Input, Self::Target, Self::Choices, Self::Context, Self::Tags, Self::Metadata, Self::Checks];

    /// The accepted spellings, the field's own name first.
    pub fn spellings(self) -> &'static [&'static str] {
        match self {
            Self::Id => &["id"],
            Self::Input => &["input", "prompt", "question", "query"],
            Self::Target => {
                &["target", "ideal", "expected", "expected_output", "answer", "gold", "reference", "references"]
            }
            Self::Choices => &["choices"],
            Self::Context => &["context"],
            Self::Tags => &["tags"],
            Self::Metadata => &["metadata"],
            Self::Checks => &["checks"],
        }
    }

    /// The field's own name.
    pub fn name(self) -> &'static str {
        self.spellings()[0]
    }

    /// The spelling of a field that a key misses by a slip: a letter too many, too few, exchanged, or another one in a long name.
    pub fn nearly(key: &str) -> Option<&'static str> {
        let spellings = Self::ALL.into_iter().flat_map(|field| field.spellings()).copied();
        let mut near = spellings.filter(|spelling| {
            let slip = spelling.len() >= 4 && strsim::damerau_levenshtein(key, spelling) == 1;
            slip && (spelling.len() > 4 || key.len() != spelling.len())
        });
        near.next()
    }

    /// The field of this very name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// Which key of a file means which field, what the cells of a table mean, and what becomes of keys of messages that nobody
/// knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldMap {
    own: Vec<(Field, String)>,
    pub(super) cells: Cells,
    unknown: UnknownKeys,
    /// Whether cases keep their row.
    pub(super) rows: bool,
    /// Fields that no key stands for: templates make them of the row.
    made: Vec<Field>,
}

impl FieldMap {
    /// The map of a suite's `fields:` (field -> key in the file).
    ///
    /// # Errors
    /// A field that does not exist, an empty key, or one key for two fields.
    pub fn new(fields: &BTreeMap<String, String>) -> Result<Self> {
        let mut own: Vec<(Field, String)> = Vec::new();
        for (name, key) in fields {
            let field = Field::named(name).ok_or_else(|| {
                Error::input(format!("`fields` maps `{name}`, which is no field"))
                    .with_hint(nearest(name, Field::ALL.map(Field::name)))
            })?;
            if key.is_empty() {
                return Err(Error::input(format!("`fields` maps `{name}` to an empty name")));
            }
            if let Some((other, _)) = own.iter().find(|(_, taken)| taken == key) {
                let message = format!("`fields` gives `{key}` for both `{}` and `{name}`", other.name());
                return Err(Error::input(message));
            }
            own.push((field, key.clone()));
        }
        Ok(Self { own, ..Self::default() })
    }

    /// The same for a table whose cells are to be read so.
    #[must_use]
    pub fn with_cells(self, cells: Cells) -> Self {
        Self { cells, ..self }
    }

    /// The same map where messages may hold keys that nobody knows, if `allowed`.
    #[must_use]
    pub fn allowing_unknown_keys(self, allowed: bool) -> Self {
        Self { unknown: UnknownKeys::by_dataset(allowed), ..self }
    }

    /// The same map for templates that name keys of the row: cases keep it, and no key stands for the fields in `made`.
    #[must_use]
    pub fn with_rows(self, made: Vec<Field>) -> Self {
        Self { rows: true, made, ..self }
    }

    /// Whether a key of the file can stand for this field.
    pub(super) fn reads(&self, field: Field) -> bool {
        !self.made.contains(&field)
    }

    /// What becomes of keys of messages that nobody knows.
    pub fn unknown_keys(&self) -> UnknownKeys {
        self.unknown
    }

    /// The field that `key` stands for, `None` for metadata.
    pub fn field(&self, key: &str) -> Option<Field> {
        if let Some((field, _)) = self.own.iter().find(|(_, own)| own == key) {
            return Some(*field).filter(|field| self.reads(*field));
        }
        let field = Field::ALL.into_iter().find(|field| field.spellings().contains(&key))?;
        let overridden = self.own.iter().any(|(own, _)| *own == field);
        (!overridden && self.reads(field)).then_some(field)
    }

    /// How the file is expected to call `field`, for messages.
    pub fn expected(&self, field: Field) -> &str {
        self.own.iter().find(|(own, _)| *own == field).map_or(field.name(), |(_, key)| key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Result<FieldMap> {
        FieldMap::new(&pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect())
    }

    #[test]
    fn own_name_replaces_the_spellings_of_its_field() {
        let fields = map(&[("input", "q"), ("context", "answer")]).unwrap();
        assert_eq!(fields.field("q"), Some(Field::Input));
        assert_eq!(fields.field("prompt"), None);
        assert_eq!(fields.field("answer"), Some(Field::Context));
        assert_eq!(fields.field("gold"), Some(Field::Target));
        assert_eq!(fields.expected(Field::Input), "q");
    }

    #[test]
    fn refuses_unknown_fields_and_shared_keys() {
        assert_eq!(map(&[("inptu", "q")]).unwrap_err().hint(), Some("did you mean `input`?"));
        assert!(map(&[("input", "q"), ("target", "q")]).unwrap_err().message().contains("both `input` and `target`"));
        assert!(map(&[("input", "")]).is_err());
    }
}
