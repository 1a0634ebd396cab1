//! A prompt template: a minijinja text over the fields of a case, with optional front matter naming its version.
//!
//! Undefined values are strict: printing or looping over a field that a case lacks is an error of that case, never the
//! empty string; `{% if context %}` may ask. Block tags take the newline after them and the blanks before them away, as in
//! the chat templates of Hugging Face, and one newline at the end of the file is not part of the prompt. `target` is not
//! there to be shown. Nothing is escaped, by `tojson` neither, which is that of chat templates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::finding::{Finding, Severity};
use super::front_matter::FrontMatter;
use super::plain::Plain;
use crate::dataset::{Input, Sample};
use crate::engine::chat::{held, tojson};
use crate::engine::guard::{FUEL, guarded};
use crate::error::{Error, Result, nearest};

const NAME: &str = "prompt";
/// What a template may use.
pub(super) const PLACEHOLDERS: [&str; 6] = ["input", "context", "choices", "id", "tags", "metadata"];

/// A compiled template.
pub(super) struct Template {
    path: Option<PathBuf>,
    body: String,
    /// The body as the engine has it: operators and loops with their bounds, in the same lines.
    source: String,
    /// Lines of front matter before the body.
    skipped: u64,
    /// Version by the front matter.
    pub version: Option<String>,
    /// Description by the front matter.
    pub description: Option<String>,
    /// Placeholders that stand in the body, as part of a word or not; others cannot be looked up.
    named: Vec<&'static str>,
    environment: Environment<'static>,
    /// The way without the engine, where there is one.
    plain: Option<Plain>,
    /// Bytes of the body that the text starts with for any case.
    start: usize,
    sees: Sees,
}

/// What a template sees of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    /// Its fields, in a file whose blocks leave no empty lines.
    Fields,
    /// The keys of its row, then its fields.
    Row,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("path", &self.path).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Template {
    /// The input as it is.
    pub fn identity() -> Result<Self> {
        Self::compile(None, "{{ input }}", FrontMatter::default(), Sees::Fields)
    }

    /// The template in the text of the file `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let (front, body) = FrontMatter::split(text, path)?;
        Self::compile(Some(path.into()), body, front, Sees::Fields)
    }

    /// A template that stands in the suite: it sees the row of a case.
    pub fn inline(text: &str) -> Result<Self> {
        Self::compile(None, text, FrontMatter::default(), Sees::Row)
    }

    fn compile(path: Option<PathBuf>, body: &str, front: FrontMatter, sees: Sees) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        held::install(&mut environment);
        environment.set_unknown_method_callback(|state, value, name, args| {
            held::method(value, name, args, || python_method(state, value, name, args))
        });
        environment.set_formatter(|out, state, value| {
            held::print_value(value)?;
            escape_formatter(out, state, value)
        });
        environment.add_filter("tojson", tojson);
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        let trims = sees == Sees::Fields;
        let syntax = minijinja::syntax::SyntaxConfig::builder()
            .trim_blocks(trims)
            .lstrip_blocks(trims)
            .keep_trailing_newline(!trims)
            .build();
        environment.set_syntax(syntax.map_err(|error| Error::internal("failed to set up templates").caused_by(error))?);
        // minijinja's function that prints everything.
        let all = body.contains("debug");
        let tag = ["{{", "{%", "{#"].iter().filter_map(|open| body.find(open)).min();
        // A tag may take the white space before it away.
        let start = body[..tag.unwrap_or(body.len())].trim_end().len();
        // Operators have no hook of their own: the source is given some, and what would overflow the parser's stack is refused.
        let source = held::bounded(body).map_err(|what| {
            let error = Error::input("failed to parse the template").caused_by(what);
            match &path {
                Some(path) => error.at(path),
                None => error,
            }
        })?;
        let mut template = Self {
            path,
            source,
            body: body.to_owned(),
            skipped: front.lines,
            version: front.version,
            description: front.description,
            named: PLACEHOLDERS.into_iter().filter(|name| all || body.contains(name)).collect(),
            environment,
            plain: Plain::new(body).filter(|_| sees == Sees::Fields),
            start,
            sees,
        };
        if let Err(error) = template.environment.add_template_owned(NAME, template.source.clone()) {
            return Err(template.describe("parse the template", &error));
        }
        Ok(template)
    }

    /// The template's text without front matter.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What the text starts with for any case, in so far as that is easily told.
    pub fn start(&self) -> &str {
        &self.body[..self.start]
    }

    #[cfg(test)]
    pub(super) fn of(body: &str) -> Result<Self> {
        Self::compile(None, body, FrontMatter::default(), Sees::Fields)
    }

    /// The text for a case whose input is text.
    pub fn render(&self, sample: &Sample) -> Result<String> {
        let plain = self.plain.as_ref().and_then(|plain| plain.render(sample, 0));
        plain.map_or_else(|| self.render_by_engine(sample), Ok)
    }

    /// What follows [`Self::start`] in the text for a case whose input is text; `None` where the text begins otherwise.
    pub fn render_rest(&self, sample: &Sample) -> Result<Option<String>> {
        if let Some(rest) = self.plain.as_ref().and_then(|plain| plain.render(sample, self.start)) {
            return Ok(Some(rest));
        }
        Ok(self.render_by_engine(sample)?.strip_prefix(self.start()).map(str::to_owned))
    }

    pub(super) fn render_by_engine(&self, sample: &Sample) -> Result<String> {
        let render = || held::render(&self.environment.get_template(NAME)?, self.context(sample));
        // minijinja's slices panic where a negative step meets an empty value.
        let rendered = guarded("render the template", render).map_err(|error| match &self.path {
            Some(path) => error.at(path),
            None => error,
        })?;
        rendered.map_err(|error| self.describe("render the template", &error))
    }

    /// What the template sees of a case, in so far as its text names it. Fields that the case lacks are undefined.
    fn context(&self, sample: &Sample) -> Value {
        let texts = |list: &[String]| list.iter().map(|text| Value::from(text.as_str())).collect::<Value>();
        let value = |name| match (name, &sample.input) {
            ("id", _) => Some(Value::from(sample.id.as_str())),
            ("input", Input::Text(text)) => Some(Value::from(text.as_str())),
            ("context", _) => sample.context.as_deref().map(Value::from),
            ("choices", _) => (!sample.choices.is_empty()).then(|| texts(&sample.choices)),
            ("tags", _) => Some(texts(&sample.tags)),
            ("metadata", _) => {
                let pairs = sample.metadata.iter().map(|(key, value)| (key.as_str(), to_value(value)));
                Some(Value::from_pairs(pairs))
            }
            _ => None,
        };
        let fields = self.named.iter().filter_map(|name| Some((*name, value(*name)?))).collect();
        let row = sample.row.as_ref().filter(|_| self.sees == Sees::Row);
        let used = |row: &serde_json::Map<String, serde_json::Value>| {
            let named = row.iter().filter(|(key, _)| self.body.contains(key.as_str()) || self.body.contains("debug"));
            named.map(|(key, value)| (key.clone(), to_value(value))).collect()
        };
        let row = row.map(used);
        Value::from_object(Context { fields, row: row.unwrap_or_default() })
    }

    /// Whether the template looks at this placeholder anywhere.
    pub fn uses(&self, placeholder: &str) -> bool {
        self.used().iter().any(|name| root(name) == placeholder)
    }

    /// What is wrong with the placeholders.
    pub fn problems(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for name in self.used() {
            let finding = match root(&name) {
                "target" => {
                    Finding::error(format!("the template uses `{name}`, which would show the answer to the model"))
                        .with_hint("the target is for scorers; take it out of the template")
                }
                known if PLACEHOLDERS.contains(&known) => continue,
                unknown => Finding::error(format!("the template has the unknown placeholder `{unknown}`"))
                    .with_hint(self.unknown_hint(unknown)),
            };
            let line = self.line_of(root(&name));
            findings.push(self.place(finding, line));
        }
        if !self.uses("input") {
            let finding = Finding::warning("the template never uses `input`: every case may get the same prompt");
            findings.push(self.place(finding, None));
        }
        findings
    }

    fn unknown_hint(&self, name: &str) -> String {
        let hint = nearest(name, PLACEHOLDERS);
        if hint.starts_with("did you mean") {
            return hint;
        }
        format!("other keys of a case are `{{{{ metadata.{name} }}}}`; {hint}")
    }

    fn place(&self, finding: Finding, line: Option<u64>) -> Finding {
        match &self.path {
            Some(path) => finding.at(path, line),
            None => finding,
        }
    }

    /// Fails at the first problem that is an error.
    pub fn check(self) -> Result<Self> {
        match self.problems().into_iter().find(|finding| finding.severity == Severity::Error) {
            Some(finding) => Err(finding.into_error()),
            None => Ok(self),
        }
    }

    /// Names of the case that the template looks up, sorted, attributes with dots.
    fn used(&self) -> Vec<String> {
        let Ok(template) = self.environment.get_template(NAME) else { return Vec::new() };
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let names = template.undeclared_variables(true).into_iter();
        let mut names: Vec<String> = names.filter(|name| !globals.contains(&root(name))).collect();
        names.sort_unstable();
        names
    }

    /// Line in the file of the first tag that has `word` in it.
    fn line_of(&self, word: &str) -> Option<u64> {
        let mut from = 0;
        while let Some(open) = self.body[from..].find(['{']).map(|at| from + at) {
            let rest = &self.body[open..];
            let close = match rest.as_bytes().get(1) {
                Some(b'{') => "}}",
                Some(b'%') => "%}",
                _ => {
                    from = open + 1;
                    continue;
                }
            };
            let length = rest.find(close).unwrap_or(rest.len());
            if let Some(at) = find_word(&rest[..length], word) {
                let before = &self.body[..open + at];
                return Some(self.skipped + 1 + before.matches('\n').count() as u64);
            }
            from = open + length.max(1);
        }
        None
    }

    fn describe(&self, task: &str, error: &minijinja::Error) -> Error {
        let mut message = error.kind().to_string();
        if let Some(detail) = error.detail() {
            message = format!("{message}: {detail}");
        } else if let Some(part) =
            error.range().and_then(|range| self.source.get(range)).filter(|part| !part.contains("karat_"))
        {
            message = format!("{message} in `{}`", part.trim());
        }
        let mut result = Error::input(format!("failed to {task}: {message}"));
        if error.kind() == minijinja::ErrorKind::UndefinedError {
            result = result.with_hint("guard what not every case has: {% if context %}…{% endif %}");
        }
        match (&self.path, error.line()) {
            (Some(path), Some(line)) => result.at_line(path, self.skipped + line as u64),
            (Some(path), None) => result.at(path),
            (None, _) => result,
        }
    }
}

fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back().is_some_and(part);
        let after = text[at + word.len()..].chars().next().is_some_and(|c| part(c) && c != '.');
        !before && !after
    })
}

/// Placeholders with their values: a handful, for which a map would be more work than help. Keys of the row come first.
#[derive(Debug)]
struct Context {
    fields: Vec<(&'static str, Value)>,
    row: Vec<(String, Value)>,
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let own = self.row.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        own.or_else(|| self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let fields =
            self.fields.iter().map(|(name, _)| *name).filter(|name| !self.row.iter().any(|(key, _)| key == name));
        Enumerator::Values(self.row.iter().map(|(key, _)| key.as_str()).chain(fields).map(Value::from).collect())
    }
}

/// Methods of Python's values: those of minijinja's own list, and those of lists that it lacks.
fn python_method(
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> std::result::Result<Value, minijinja::Error> {
    if value.kind() == minijinja::value::ValueKind::Seq
        && let [wanted] = args
    {
        let mut items = value.try_iter()?;
        match name {
            "index" => {
                let missing = || {
                    let message = format!("{wanted} is not in the list");
                    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message)
                };
                let found = items.by_ref().position(|item| item == *wanted);
                return found.map(Value::from).ok_or_else(missing);
            }
            "count" => return Ok(Value::from(items.filter(|item| item == wanted).count())),
            _ => {}
        }
    }
    unknown_method_callback(state, value, name, args)
}

fn to_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(bool) => Value::from(*bool),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::from(signed),
            (None, Some(unsigned)) => Value::from(unsigned),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(to_value).collect(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_value(value))))
        }
    }
}
