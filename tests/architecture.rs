//! Holds the sources against the module table in `src/lib.rs` and the few habits that no lint checks. That the engine knows nothing of
//! the rest is Cargo's business: it is a crate of its own.
//!
//! Rules: a `crate::<module>` path only where the table allows it (also through `use crate::{…}` groups and chains of
//! `super`); tensors only in the engine's rooms that compute; printing and exiting only in `cli`; `unsafe` only in the files listed
//! here; every file opens with `//!` and has at most 550 lines, every function at most 60; no circle of files of two modules, none of
//! more than two files within one. Each rule is a function from text to complaints, and each has a test that shows it complaining: a
//! rule that cannot fail proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/source.rs"]
mod source;

use self::circles::{Needs, circles, needs};
use self::source::{Source, lex};

/// Files that may hold `unsafe`, below `src/`, each with its reason. A file that no longer needs it must leave the list.
const UNSAFE: &[(&str, &str)] = &[
    ("main.rs", "the allocator, which ends the process with a sentence where there is no memory"),
    ("engine/cpu/simd/mod.rs", "runs kernels with the instruction set that was detected"),
    ("engine/cpu/simd/lanes.rs", "a trait whose loads and stores take pointers"),
    ("engine/cpu/simd/portable.rs", "unaligned loads and stores through pointers"),
    ("engine/cpu/simd/x86.rs", "SIMD intrinsics, unaligned loads and stores"),
    ("engine/cpu/simd/dots.rs", "SIMD intrinsics of packed narrow numbers"),
    ("engine/cpu/attention.rs", "kernel: lanes are loaded and stored through pointers"),
    ("engine/cpu/cache.rs", "kernel: numbers are loaded through pointers"),
    ("engine/cuda/cublaslt.rs", "calls of cuBLASLt"),
    ("engine/cuda/decoder.rs", "captures and starts steps; the host's memory that a GPU reaches"),
    ("engine/cuda/driver.rs", "calls of the CUDA driver"),
    ("engine/cuda/launch/activate.rs", "starts kernels"),
    ("engine/cuda/launch/attention.rs", "starts kernels"),
    ("engine/cuda/launch/experts.rs", "starts kernels"),
    ("engine/cuda/launch/gemm.rs", "starts kernels"),
    ("engine/cuda/launch/heads.rs", "starts kernels"),
    ("engine/cuda/launch/norm.rs", "what kernels take as it lies in their memory"),
    ("engine/cuda/launch/copies.rs", "starts kernels"),
    ("engine/cuda/launch/pool.rs", "starts kernels"),
    ("engine/cuda/launch/rows.rs", "starts kernels"),
    ("engine/cuda/launch/sample.rs", "starts kernels"),
    ("engine/cuda/matmul.rs", "puts products on a stream with pointers into the GPU's memory"),
    ("engine/cpu/linear/mod.rs", "kernel: tiles take pointers, outputs start uninitialised"),
    ("engine/cpu/linear/tile.rs", "kernel: lanes are loaded and stored through pointers"),
];

/// Where candle may be named: the reader of GGUF files and what computes with its models. The kernels, on the processor and on
/// GPUs, work on memory of their own.
const CANDLE: [&str; 2] = ["engine/models/gguf/", "engine/reference/"];

/// Files that may exceed [`LONGEST`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// 400 lines are long, this is too long.
const LONGEST: usize = 550;

/// Functions that may exceed [`LONGEST_FUNCTION`], each with its reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("engine/chat/python.rs", "str_method", "a table of Python's methods"),
    ("engine/chat/clock.rs", "expand", "a table of strftime's letters"),
    ("engine/cpu/linear/quantized.rs", "decode", "a table of formats"),
    ("engine/tokenizer/class.rs", "tokens", "a table of classes"),
];

/// Lines of a function, from `fn` to its last brace. Tests are tables of inputs as often as not, and may be longer.
const LONGEST_FUNCTION: usize = 60;

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

fn check_candle(source: &Source) -> Vec<String> {
    let candle = ["candle_core", "candle_nn", "candle_transformers"];
    let may = source.test || CANDLE.iter().any(|place| source.path.starts_with(place));
    let named = source.outside_tests().map(|(_, _, token, _)| token);
    let named = named.filter(|token| !may && candle.contains(&token.text.as_str()));
    named.map(|t| format!("src/{}:{}: `{}` outside of the rooms that need it", source.path, t.line, t.text)).collect()
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

fn check_shape(source: &Source, long: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//!") {
        complaints.push(format!("src/{}: does not open with `//!`: what it does, what it does not, why", source.path));
    }
    let lines = source.text.lines().count();
    match (lines > LONGEST, long.iter().any(|(path, _)| *path == source.path)) {
        (true, false) => complaints.push(format!("src/{}: {lines} lines, more than {LONGEST}", source.path)),
        (false, true) => complaints.push(format!("src/{}: listed as long, has {lines} lines", source.path)),
        _ => {}
    }
    complaints
}

fn check_functions(source: &Source, long: &[(&str, &str, &str)]) -> Vec<String> {
    if source.test {
        return Vec::new();
    }
    let mut listed: BTreeSet<&str> = long.iter().filter(|(path, ..)| *path == source.path).map(|it| it.1).collect();
    let mut complaints = Vec::new();
    for (name, line, lines) in source.functions() {
        if lines > LONGEST_FUNCTION && !listed.remove(name) {
            complaints
                .push(format!("src/{}:{line}: `{name}` has {lines} lines, more than {LONGEST_FUNCTION}", source.path));
        }
    }
    complaints.extend(listed.iter().map(|name| format!("src/{}: `{name}` is listed as long, and is not", source.path)));
    complaints
}

fn check_circles(needs: &Needs) -> Vec<String> {
    let room = |file: &str| file.split('/').next().unwrap_or_default().to_owned();
    let complaint = |files: BTreeSet<String>| {
        let rooms: BTreeSet<String> = files.iter().map(|file| room(file)).collect();
        let names = files.iter().map(|file| {
            let back = needs[file].iter().filter(|other| files.contains(*other)).cloned().collect::<Vec<_>>();
            format!("  {file} needs {}", back.join(", "))
        });
        let names = names.collect::<Vec<_>>().join("\n");
        (rooms.len() > 1 || files.len() > 2).then(|| format!("{} files need one another:\n{names}", files.len()))
    };
    circles(needs).into_iter().filter_map(complaint).collect()
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

/// The files below `tests/`.
fn tests() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("below it").to_string_lossy().replace('\\', "/");
        Source::new(&format!("../{name}"), &std::fs::read_to_string(&path).expect("read a source file"))
    };
    rust_files(&root.join("tests")).into_iter().map(source).collect()
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
fn candle_stays_where_it_serves() {
    assert_none(sources().iter().flat_map(check_candle).collect());
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
    assert_none(sources().iter().chain(&tests()).flat_map(|source| check_shape(source, LONG_FILES)).collect());
}

#[test]
fn functions_stay_short() {
    assert_none(sources().iter().flat_map(|source| check_functions(source, LONG_FUNCTIONS)).collect());
}

#[test]
fn files_stand_in_no_circle() {
    let sources = sources();
    let own = |source: &&Source| !source.path.starts_with("engine/") && source.path != "main.rs";
    assert_none(check_circles(&needs(&sources.iter().filter(own).collect::<Vec<_>>(), &[])));
    let engine = |source: &&Source| source.path.starts_with("engine/");
    assert_none(check_circles(&needs(&sources.iter().filter(engine).collect::<Vec<_>>(), &["engine"])));
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
fn complains_about_candle_printing_and_unsafe() {
    let source = |path: &str, text: &str| Source::new(path, text);
    assert_eq!(check_candle(&source("engine/cpu/linear.rs", "use candle_core::Tensor;")).len(), 1);
    let tested = "#[cfg(test)] mod tests { use candle_core::Tensor; }";
    assert!(check_candle(&source("engine/cpu/linear.rs", tested)).is_empty());
    assert!(check_candle(&source("engine/models/gguf/mod.rs", "use candle_core::Tensor;")).is_empty());
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
    assert_eq!(files("lib.rs", "#[cfg(test)] pub(crate) mod tests;")[0], "tests.rs");
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
    assert!(check_shape(&Source::new("a.rs", &long), &[("a.rs", "why")]).is_empty());
    assert_eq!(check_shape(&Source::new("a.rs", "use std;"), &[]).len(), 1);
}

#[test]
fn complains_about_long_functions() {
    let body = |lines: usize| {
        format!("trait T {{ fn g(&self); }}\nfn f<const N: usize>(a: [u8; 3]) {{\n{}}}\n", "{ \"}\"; }\n".repeat(lines))
    };
    let complaints = |text: &str| check_functions(&Source::new("a.rs", text), &[]);
    assert_eq!(complaints(&body(LONGEST_FUNCTION - 1)), ["src/a.rs:2: `f` has 61 lines, more than 60"]);
    assert!(complaints(&body(LONGEST_FUNCTION - 2)).is_empty());
    assert!(check_functions(&Source::new("a.rs", &body(99)), &[("a.rs", "f", "why")]).is_empty());
    assert!(complaints(&format!("#[cfg(test)] mod tests {{ {} }}", body(99))).is_empty());
}

#[test]
fn complains_about_circles() {
    let complaints = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        check_circles(&needs(&sources.iter().collect::<Vec<_>>(), &[]))
    };
    let hub = ("a/mod.rs", "mod x; mod y; mod z; pub use x::X; pub use y::{Y, f as g}; pub(crate) use z::*;");
    let two = [hub, ("a/x.rs", "use super::y::Y;"), ("a/y.rs", "fn f() { super::X::new() }")];
    assert!(complaints(&two).is_empty(), "two files of one module may");
    let three =
        [hub, ("a/x.rs", "use super::Y;"), ("a/y.rs", "use super::{z::{self, Z}};"), ("a/z.rs", "use crate::a::X;")];
    assert_eq!(complaints(&three).len(), 1, "through re-exports");
    let tests = [
        hub,
        ("a/x.rs", "use super::Y;"),
        ("a/y.rs", "use super::z::Z;"),
        ("a/z.rs", "#[cfg(test)] mod t { use crate::a::X; }"),
    ];
    assert!(complaints(&tests).is_empty(), "tests may");
    let renamed = [
        hub,
        ("a/x.rs", "use super::g;"),
        ("a/y.rs", "fn f() { crate::a::z::h() }"),
        ("a/z.rs", "use super::*; fn h() -> super::X {}"),
    ];
    assert_eq!(complaints(&renamed).len(), 1);
    let rooms = [hub, ("a/x.rs", "use crate::b::B;"), ("b.rs", "use crate::a::X; use std::{a::X, fs};")];
    assert_eq!(complaints(&rooms).len(), 1, "files of two modules");
    assert!(complaints(&[hub, ("a/x.rs", "use crate::b::B;"), ("b.rs", "use std::{a::X, fs};")]).is_empty());
}
