//! Holds the sources against the module table in `src/lib.rs` and the few habits that no lint checks. That the engine knows nothing of
//! the rest is Cargo's business: it is a crate of its own.
//!
//! Rules: a `crate::<module>` path only where the table allows it (also through `use crate::{…}` groups and chains of
//! `super`); tensors only in the engine's rooms that compute; printing and exiting only in `cli`; `unsafe` only in the files listed
//! here; every file opens with `//!` and stays below 800 lines. Each rule is a function from text to complaints, and each
//! has a test that shows it complaining: a rule that cannot fail proves nothing.
//!
//! The sources are read with a small lexer, not a parser: paths built by macros stay unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files that may hold `unsafe`, below `src/`, each with its reason. A file that no longer needs it must leave the list.
const UNSAFE: &[(&str, &str)] = &[
    ("main.rs", "the allocator, which ends the process with a sentence where there is no memory"),
    ("engine/cpu/simd/mod.rs", "SIMD intrinsics and unaligned loads behind one small trait"),
    ("engine/cpu/simd/dots.rs", "SIMD intrinsics of packed narrow numbers"),
    ("engine/cpu/attention.rs", "kernel: lanes are loaded and stored through pointers"),
    ("engine/cpu/cache.rs", "kernel: numbers are loaded through pointers"),
    ("engine/cuda/cublaslt.rs", "calls of cuBLASLt"),
    ("engine/cuda/decoder.rs", "captures and starts steps; the host's memory that a card reaches"),
    ("engine/cuda/driver.rs", "calls of the CUDA driver"),
    ("engine/cuda/launch/activate.rs", "starts kernels"),
    ("engine/cuda/launch/attention.rs", "starts kernels"),
    ("engine/cuda/launch/experts.rs", "starts kernels"),
    ("engine/cuda/launch/gemm.rs", "starts kernels"),
    ("engine/cuda/launch/heads.rs", "starts kernels"),
    ("engine/cuda/launch/norm.rs", "what kernels take as it lies in their memory"),
    ("engine/cuda/launch/pages.rs", "starts kernels"),
    ("engine/cuda/launch/pool.rs", "starts kernels"),
    ("engine/cuda/launch/rows.rs", "starts kernels"),
    ("engine/cuda/launch/sample.rs", "starts kernels"),
    ("engine/cuda/matmul.rs", "puts products on a stream with pointers into the card's memory"),
    ("engine/cpu/linear/mod.rs", "kernel: tiles take pointers, outputs start uninitialised"),
    ("engine/cpu/linear/tile.rs", "kernel: lanes are loaded and stored through pointers"),
];

/// Where tensors may be named.
const TENSORS: [&str; 5] = ["engine/cpu/", "engine/cuda/", "engine/models/", "engine/device/", "engine/reference/"];

/// Files that may exceed [`LONGEST`], each a flat table.
const FLAT_TABLES: &[&str] = &[];

/// 400 lines are long, this is too long.
const LONGEST: usize = 800;

// ---- lexer ----------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// Identifiers, `::` and single punctuation characters; comments, literals, numbers and lifetimes are dropped.
fn lex(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        let (c, next) = (chars[at], chars.get(at + 1).copied().unwrap_or('\0'));
        match c {
            '/' if next == '/' => at += chars[at..].iter().take_while(|c| **c != '\n').count(),
            '/' if next == '*' => at = after_block_comment(&chars, at),
            '"' => at = after_string(&chars, at + 1),
            '\'' => at = after_quote(&chars, at),
            'r' | 'b' | 'c' if raw_string(&chars, at).is_some() => at = raw_string(&chars, at).unwrap_or(at + 1),
            'b' | 'c' if next == '"' => at = after_string(&chars, at + 2),
            'b' if next == '\'' => at = after_quote(&chars, at + 1),
            _ if c.is_alphabetic() || c == '_' => {
                at += chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                tokens.push(Token { text: chars[start..at].iter().collect(), line });
            }
            _ if c.is_numeric() => at += chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count(),
            ':' if next == ':' => {
                at += 2;
                tokens.push(Token { text: "::".into(), line });
            }
            _ => {
                at += 1;
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.into(), line });
                }
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn after_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The index after the closing quote; `at` is the first character inside.
fn after_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The index after a character literal, or after the quote of a lifetime; `at` is the quote.
fn after_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => at + 3 + chars[(at + 3).min(chars.len())..].iter().take_while(|c| **c != '\'').count() + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// The index after a raw string that starts at `at` (`r"…"`, `r#"…"#`, `br"…"`, `cr"…"`).
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let open = if chars[at] == 'r' { at + 1 } else { at + 2 };
    if chars.get(open - 1) != Some(&'r') {
        return None;
    }
    let hashes = chars.get(open..)?.iter().take_while(|c| **c == '#').count();
    if chars.get(open + hashes) != Some(&'"') {
        return None;
    }
    let mut end = open + hashes + 1;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(end)
}

// ---- what a file imports --------------------------------------------------------------------------------------------

/// A source file below `src/`, or below `engine/src/` ("engine/plan.rs").
struct Source {
    path: String,
    text: String,
    tokens: Vec<Token>,
    /// Per token: the depth of inline modules around it, and whether one of them is `#[cfg(test)]`.
    places: Vec<(usize, bool)>,
    /// Whether the file as a whole is a `#[cfg(test)]` module.
    test: bool,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let tokens = lex(text);
        let places = places(&tokens);
        Self { path: path.into(), text: text.into(), tokens, places, test: false }
    }

    /// The top-level module the file belongs to; the binary counts as `cli`, the crate root is empty.
    fn module(&self) -> &str {
        match self.path.split_once('/') {
            Some((folder, _)) => folder,
            None if self.path == "main.rs" => "cli",
            None if self.path == "lib.rs" => "",
            None => self.path.trim_end_matches(".rs"),
        }
    }

    /// How many modules deep the file stands: 0 for the crate root, 1 for `engine/mod.rs`, 2 for `engine/plan.rs`.
    fn depth(&self) -> usize {
        let parts = self.path.trim_end_matches(".rs").split('/').count();
        if matches!(self.path.rsplit('/').next(), Some("mod.rs" | "lib.rs" | "main.rs")) { parts - 1 } else { parts }
    }

    fn text_at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text.as_str())
    }

    /// The files that this one declares with `#[cfg(test)] mod name;`, each in its two possible places.
    fn test_files(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs")) => format!("{folder}/"),
            _ if self.depth() == 0 => String::new(),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let words = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        let starts =
            (0..self.tokens.len()).filter(|i| words.iter().enumerate().all(|(k, w)| self.text_at(i + k) == *w));
        let named = starts.filter(|i| self.text_at(i + 9) == ";").map(|i| self.text_at(i + 8));
        named.flat_map(|name| [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")]).collect()
    }

    /// The tokens with what stands before and after: (index, before, token, after), without those of test modules.
    fn outside_tests(&self) -> impl Iterator<Item = (usize, &str, &Token, &str)> {
        self.tokens
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.places[*i].1)
            .map(|(i, token)| (i, if i == 0 { "" } else { self.text_at(i - 1) }, token, self.text_at(i + 1)))
    }

    /// Every top-level module that a path of this file names, with the line.
    fn imports(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (i, token) in self.tokens.iter().enumerate() {
            let starts = i == 0 || self.text_at(i - 1) != "::";
            let here = self.depth() + self.places[i].0;
            let level = match token.text.as_str() {
                "crate" if starts => 0,
                "karat" if starts && self.path == "main.rs" => 0,
                "super" if starts => here.saturating_sub(1),
                _ => continue,
            };
            if self.text_at(i + 1) == "::" {
                self.follow(i + 2, level, &mut found);
            }
        }
        found
    }

    /// Follows a path or a group that continues at `at`, standing `level` modules below the root; gives the index after it.
    fn follow(&self, mut at: usize, level: usize, found: &mut Vec<(String, usize)>) -> usize {
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        match self.text_at(at) {
            "super" if self.text_at(at + 1) == "::" => self.follow(at + 2, level.saturating_sub(1), found),
            "{" => {
                at += 1;
                while at < self.tokens.len() && self.text_at(at) != "}" {
                    at = self.follow(at, level, found);
                    // whatever remains of this item, up to its comma or the end of the group
                    let mut braces = 0;
                    while at < self.tokens.len() && (braces > 0 || !matches!(self.text_at(at), "," | "}")) {
                        braces += i32::from(self.text_at(at) == "{") - i32::from(self.text_at(at) == "}");
                        at += 1;
                    }
                    at += usize::from(self.text_at(at) == ",");
                }
                at + 1
            }
            name => {
                if level == 0 {
                    found.push((name.into(), line));
                }
                at + 1
            }
        }
    }
}

/// Per token: depth of inline modules and whether one of them is `#[cfg(test)]`.
fn places(tokens: &[Token]) -> Vec<(usize, bool)> {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let (mut places, mut braces) = (Vec::with_capacity(tokens.len()), 0);
    let mut open: Vec<(usize, bool)> = Vec::new(); // (brace depth inside, is a test module)
    let mut test_attribute = false;
    for i in 0..tokens.len() {
        places.push((open.len(), open.iter().any(|(_, test)| *test)));
        match text(i) {
            "cfg" if text(i + 1) == "(" && text(i + 2) == "test" && text(i + 3) == ")" => test_attribute = true,
            ";" => test_attribute = false,
            "{" => {
                braces += 1;
                if i >= 2 && text(i - 2) == "mod" {
                    open.push((braces, test_attribute));
                }
                test_attribute = false;
            }
            "}" => {
                if open.last().is_some_and(|(inside, _)| *inside == braces) {
                    open.pop();
                }
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
    }
    places
}

// ---- the table ------------------------------------------------------------------------------------------------------

type Table = BTreeMap<String, BTreeSet<String>>;

/// Module and what it may import, from the rows ``//! | `module` | … | a, b |`` of the crate's own documentation.
fn table(lib: &str) -> Table {
    lib.lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .filter_map(|row| {
            let (module, rest) = row.split_once('`')?;
            let last = rest.trim_end().trim_end_matches('|').rsplit('|').next()?;
            let may = last.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "–" | "-"));
            Some((module.to_owned(), may.map(str::to_owned).collect()))
        })
        .collect()
}

/// The modules that the crate root declares, and what it takes from the engine's crate.
fn declared(lib: &Source) -> BTreeSet<String> {
    let is_declaration = |i: usize| lib.text_at(i) == "mod" && lib.text_at(i + 2) == ";";
    let modules = (0..lib.tokens.len()).filter(|i| is_declaration(*i)).map(|i| lib.text_at(i + 1).to_owned());
    let mut taken = Vec::new();
    for i in (0..lib.tokens.len()).filter(|i| lib.text_at(*i) == "use" && lib.text_at(i + 1) == "karat_engine") {
        match lib.text_at(i + 2) {
            "as" => taken.push((lib.text_at(i + 3).to_owned(), 0)),
            _ => drop(lib.follow(i + 3, 0, &mut taken)),
        }
    }
    modules.chain(taken.into_iter().map(|(name, _)| name)).collect()
}

fn check_table(table: &Table, declared: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows: BTreeSet<String> = table.keys().cloned().collect();
    complaints
        .extend(declared.difference(&rows).map(|m| format!("module `{m}` has no row in the table of src/lib.rs")));
    complaints.extend(
        rows.difference(declared).map(|m| format!("the table of src/lib.rs names `{m}`, which does not exist")),
    );
    for (module, may) in table {
        complaints.extend(may.difference(&rows).map(|m| format!("`{module}` may import `{m}`, which has no row")));
    }
    // Rooms in an order in which each imports only earlier ones; what never becomes free stands in a circle.
    let mut placed = BTreeSet::new();
    while let Some((module, _)) = table
        .iter()
        .find(|(m, may)| !placed.contains(*m) && may.iter().all(|i| placed.contains(i) || !rows.contains(i)))
    {
        placed.insert(module.clone());
    }
    let circle: Vec<_> = rows.difference(&placed).map(String::as_str).collect();
    if !circle.is_empty() {
        complaints.push(format!("these modules import each other in a circle: {}", circle.join(", ")));
    }
    complaints
}

// ---- rules ----------------------------------------------------------------------------------------------------------

fn check_imports(source: &Source, table: &Table) -> Vec<String> {
    let module = source.module();
    let none = BTreeSet::new();
    let may = table.get(module).unwrap_or(&none);
    source
        .imports()
        .into_iter()
        .filter(|(name, _)| !module.is_empty() && name != module && !may.contains(name))
        .map(|(name, line)| format!("src/{}:{line}: `{module}` may not import `{name}`", source.path))
        .collect()
}

fn check_tensors(source: &Source) -> Vec<String> {
    let candle = ["candle_core", "candle_nn", "candle_transformers"];
    let below = TENSORS.iter().any(|place| source.path.starts_with(place));
    let named = source.tokens.iter().filter(|token| !below && candle.contains(&token.text.as_str()));
    named.map(|t| format!("src/{}:{}: `{}` outside of the rooms that compute", source.path, t.line, t.text)).collect()
}

fn check_printing(source: &Source) -> Vec<String> {
    if source.module() == "cli" || source.test {
        return Vec::new();
    }
    let prints = source.outside_tests().filter(|(i, before, token, after)| match token.text.as_str() {
        "print" | "println" | "eprint" | "eprintln" | "dbg" => *after == "!",
        "stdout" | "stderr" => *after == "(" && !matches!(*before, "." | "fn"),
        "exit" | "abort" => *before == "::" && *i >= 2 && source.text_at(i - 2) == "process",
        _ => false,
    });
    prints.map(|(_, _, t, _)| format!("src/{}:{}: `{}` outside cli", source.path, t.line, t.text)).collect()
}

fn check_unsafe(source: &Source, allowed: &[(&str, &str)]) -> Vec<String> {
    let listed = allowed.iter().any(|(path, _)| *path == source.path);
    // `unsafe_code` in a lint attribute is another identifier, so only the keyword counts.
    let lines: Vec<usize> = source.tokens.iter().filter(|t| t.text == "unsafe").map(|t| t.line).collect();
    match (listed, lines.first()) {
        (false, Some(line)) => {
            vec![format!("src/{}:{line}: `unsafe` in a file that tests/architecture.rs does not list", source.path)]
        }
        (true, None) => vec![format!("src/{}: listed for `unsafe`, has none", source.path)],
        _ => Vec::new(),
    }
}

fn check_shape(source: &Source, flat: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//!") {
        complaints.push(format!("src/{}: does not open with `//!`: what it does, what it does not, why", source.path));
    }
    let lines = source.text.lines().count();
    if lines > LONGEST && !flat.contains(&source.path.as_str()) {
        complaints.push(format!("src/{}: {lines} lines, more than {LONGEST}", source.path));
    }
    complaints
}

// ---- the sources as they are ----------------------------------------------------------------------------------------

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("list a source folder") {
        let path = entry.expect("read a folder entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for (folder, prefix) in [("src", ""), ("engine/src", "engine/")] {
        let folder = root.join(folder);
        for path in rust_files(&folder) {
            let name = path.strip_prefix(&folder).expect("below it").to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&path).expect("read a source file");
            sources.push(Source::new(&format!("{prefix}{name}"), &text));
        }
    }
    let tests: BTreeSet<String> = sources.iter().flat_map(Source::test_files).collect();
    sources.iter_mut().for_each(|source| source.test = is_test(&source.path, &tests));
    sources
}

/// Whether a file is among these test files, or is declared below the `mod.rs` of one.
fn is_test(path: &str, tests: &BTreeSet<String>) -> bool {
    let below = |test: &String| test.strip_suffix("mod.rs").is_some_and(|folder| path.starts_with(folder));
    tests.iter().any(|test| test == path || below(test))
}

fn root() -> Source {
    sources().into_iter().find(|source| source.path == "lib.rs").expect("src/lib.rs")
}

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_table_names_every_module_and_has_no_circle() {
    let lib = root();
    assert_none(check_table(&table(&lib.text), &declared(&lib)));
}

#[test]
fn modules_import_what_the_table_allows() {
    let table = table(&root().text);
    let sources = sources();
    let own = sources.iter().filter(|source| !source.path.starts_with("engine/"));
    assert_none(own.flat_map(|source| check_imports(source, &table)).collect());
}

#[test]
fn tensors_stay_in_the_rooms_that_compute() {
    assert_none(sources().iter().flat_map(check_tensors).collect());
}

#[test]
fn only_cli_prints_and_exits() {
    assert_none(sources().iter().flat_map(check_printing).collect());
}

#[test]
fn unsafe_stands_in_listed_files() {
    let sources = sources();
    let gone = UNSAFE.iter().filter(|(path, _)| !sources.iter().any(|source| source.path == *path));
    let mut complaints: Vec<String> =
        gone.map(|(path, _)| format!("src/{path}: listed for `unsafe`, does not exist")).collect();
    complaints.extend(sources.iter().flat_map(|source| check_unsafe(source, UNSAFE)));
    assert_none(complaints);
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    assert_none(sources().iter().flat_map(|source| check_shape(source, FLAT_TABLES)).collect());
}

// ---- the rules can fail ---------------------------------------------------------------------------------------------

fn imports(path: &str, text: &str) -> Vec<String> {
    Source::new(path, text).imports().into_iter().map(|(name, _)| name).collect()
}

fn small_table() -> Table {
    table(
        "//! | `error` | x | – |\n//! | `engine` | y `|` | error |\n//! | `run` | z | error, engine |\n//! | `cli` | c | run |\n",
    )
}

#[test]
fn sees_paths_groups_and_chains_of_super() {
    assert_eq!(
        imports("run/a.rs", "use crate::engine::Prompt; fn f() { crate::stats::mean(&[]) }"),
        ["engine", "stats"]
    );
    assert_eq!(
        imports("run/a.rs", "use crate::{error::{Error, self}, score::{a, b::{c}}, suite as s};"),
        ["error", "score", "suite"]
    );
    assert_eq!(imports("run/a.rs", "pub(crate) use crate::{\n  record,\n  report::*,\n};"), ["record", "report"]);
    assert_eq!(imports("engine/plan.rs", "use super::super::dataset::Sample;"), ["dataset"]);
    assert_eq!(imports("engine/plan.rs", "use super::{request::Prompt, super::dataset};"), ["dataset"]);
    assert_eq!(imports("engine/mod.rs", "use super::dataset;"), ["dataset"]);
    assert_eq!(imports("engine/mod.rs", "mod tests { use super::*; use super::super::suite; }"), ["suite"]);
    assert_eq!(imports("engine/candle/arch/llama.rs", "use super::super::super::super::run;"), ["run"]);
    assert_eq!(imports("main.rs", "fn main() { karat::cli::main() }"), ["cli"]);
    assert_eq!(imports("run/a.rs", "use crate::*;"), ["*"]);
    assert_eq!(imports("run/a.rs", "macro_rules! m { () => { $crate::score::f() } }"), ["score"]);
}

#[test]
fn passes_over_comments_literals_and_own_paths() {
    let text = r##"// crate::a
        /* crate::b /* crate::c */ crate::d */
        //! [`crate::e`]
        const S: &str = "crate::f \" crate::g"; const R: &str = r#"crate::h " crate::i"#; const B: &[u8] = b"crate::j";
        fn f<'a>(x: &'a str) -> char { '"' } const C: char = '\''; const U: char = '\u{22}'; const K: u8 = b'"';
        pub(in crate::engine) fn g() { self::h(); super::other::k(); 1.0_f32; 0..2; }
        use crate::stats;"##;
    assert_eq!(imports("engine/plan.rs", text), ["engine", "stats"]);
    assert_eq!(lex("a\n\"two\nlines\"\nb").last().map(|token| token.line), Some(4));
}

#[test]
fn complains_about_a_forbidden_import() {
    let table = small_table();
    assert_eq!(table["run"].iter().collect::<Vec<_>>(), ["engine", "error"]);
    assert!(table["error"].is_empty());
    let complaints = |path, text| check_imports(&Source::new(path, text), &table);
    assert_eq!(complaints("engine/a.rs", "\nuse crate::run::X;"), ["src/engine/a.rs:2: `engine` may not import `run`"]);
    assert_eq!(complaints("error.rs", "use crate::engine;").len(), 1);
    assert_eq!(complaints("main.rs", "use karat::engine;").len(), 1);
    assert_eq!(complaints("engine/a.rs", "use crate::{error, engine::b, unknown};").len(), 1);
    assert!(complaints("run/a.rs", "use crate::{error::Error, engine, run::b};").is_empty());
}

#[test]
fn complains_about_a_wrong_table() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let all = names(&["error", "engine", "run", "cli"]);
    assert!(check_table(&small_table(), &all).is_empty());
    assert_eq!(check_table(&small_table(), &names(&["error", "engine", "run"])).len(), 1);
    assert_eq!(check_table(&small_table(), &names(&["error", "engine", "run", "cli", "cache"])).len(), 1);
    let circle = table("//! | `a` | x | b |\n//! | `b` | y | a |\n");
    assert_eq!(check_table(&circle, &names(&["a", "b"])), ["these modules import each other in a circle: a, b"]);
    let stranger = table("//! | `a` | x | zebra |\n");
    assert_eq!(check_table(&stranger, &names(&["a"])).len(), 1);
    assert_eq!(declared(&Source::new("lib.rs", "pub mod a;\nmod b;\nmod c { mod inner {} }")), names(&["a", "b"]));
    let taking = "pub use karat_engine as engine; use karat_engine::error; use karat_engine::{a, b};";
    assert_eq!(declared(&Source::new("lib.rs", taking)), names(&["engine", "error", "a", "b"]));
}

#[test]
fn complains_about_tensors_printing_and_unsafe() {
    let source = |path: &str, text: &str| Source::new(path, text);
    assert_eq!(check_tensors(&source("engine/plan.rs", "use candle_core::Tensor;")).len(), 1);
    assert!(check_tensors(&source("engine/cpu/linear.rs", "use candle_core::Tensor;")).is_empty());
    let loud = "fn f() { println!(\"x\"); std::io::stdout().lock(); std::process::exit(1); dbg!(1); }";
    assert_eq!(check_printing(&source("run/a.rs", loud)).len(), 4);
    assert!(check_printing(&source("cli/a.rs", loud)).is_empty());
    let quiet = "fn f(c: &mut Command) { c.stdout(Stdio::null()); writeln!(out, \"println!\"); } #[cfg(test)] mod tests { fn g() { println!(); } }";
    assert!(check_printing(&source("run/a.rs", quiet)).is_empty());
    assert_eq!(check_printing(&source("run/a.rs", "#[cfg(test)] use x; mod a { fn g() { println!(); } }")).len(), 1);
    assert_eq!(check_unsafe(&source("run/a.rs", "fn f() { unsafe { g() } }"), &[("run/b.rs", "why")]).len(), 1);
    assert!(
        check_unsafe(&source("run/b.rs", "#[allow(unsafe_code)] fn f() { unsafe { g() } }"), &[("run/b.rs", "why")])
            .is_empty()
    );
    assert_eq!(check_unsafe(&source("run/b.rs", "#![deny(unsafe_code)] // unsafe"), &[("run/b.rs", "why")]).len(), 1);
}

#[test]
fn knows_test_files_by_their_declaration() {
    let files = |path, text| Source::new(path, text).test_files();
    assert_eq!(
        files("engine/chat/mod.rs", "#[cfg(test)]\nmod tests;"),
        ["engine/chat/tests.rs", "engine/chat/tests/mod.rs"]
    );
    assert_eq!(files("engine/plan.rs", "mod a; #[cfg(test)] mod tests;")[0], "engine/plan/tests.rs");
    assert_eq!(files("lib.rs", "#[cfg(test)] mod tests;")[0], "tests.rs");
    assert!(files("engine/plan.rs", "mod tests; #[cfg(test)] mod tests { }").is_empty());
    let tests: BTreeSet<String> = files("engine/chat/mod.rs", "#[cfg(test)] mod tests;").into_iter().collect();
    for (path, right) in
        [("engine/chat/tests.rs", true), ("engine/chat/tests/two.rs", true), ("engine/chat/two.rs", false)]
    {
        assert_eq!(is_test(path, &tests), right, "{path}");
    }
}

#[test]
fn complains_about_long_and_unexplained_files() {
    let long = "//! Long.\n".repeat(LONGEST + 1);
    assert_eq!(check_shape(&Source::new("a.rs", &long), &[]).len(), 1);
    assert!(check_shape(&Source::new("a.rs", &long), &["a.rs"]).is_empty());
    assert_eq!(check_shape(&Source::new("a.rs", "use std;"), &[]).len(), 1);
}
