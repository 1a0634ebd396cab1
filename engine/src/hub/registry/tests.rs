//! Entries and their folders: what is read, what is refused, and where it says so.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::hash::sha256;
use crate::models::model_folder::ModelFolder;

/// A registry with one tiny model whose files only have to be there.
struct Registry {
    dir: TempDir,
}

const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

impl Registry {
    fn new() -> Self {
        let registry = Self { dir: tempfile::tempdir().unwrap() };
        for name in FILES {
            registry.write(&format!("models/tiny/1/{name}"), name);
        }
        registry.write("models/tiny@1.yaml", &registry.entry());
        registry
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn entry(&self) -> String {
        let hash = |name: &str| sha256(&std::fs::read(self.path(&format!("models/tiny/1/{name}"))).unwrap());
        let files: String = FILES.iter().map(|name| format!("  {name}: \"{}\"\n", hash(name))).collect();
        format!(
            "name: tiny\nversion: \"1\"\nkind: generator\ndescription: for tests\nsource: {{folder: tiny/1}}\n\
             files:\n{files}tokenizer: \"{}\"\ndtype: f16\nparameters: 12\nlicence: MIT\n",
            hash("tokenizer.json")
        )
    }

    /// Fragment, place and hint of what opening says, with the temporary folder cut out.
    fn refusal(&self, base: &str, reference: &str) -> (String, String) {
        let (name, version) = reference.split_once('@').unwrap();
        let error = open(&self.path(base), name, version, None).unwrap_err();
        let root = format!("{}/", std::fs::canonicalize(self.dir.path()).unwrap().display());
        let plain = |text: &str| text.replace(&root, "");
        (plain(&error.to_string()), plain(error.hint().unwrap_or_default()))
    }
}

/// What is wrong with an entry in which `from` was replaced.
fn wrong(from: &str, to: &str) -> String {
    let text = Registry::new().entry();
    assert!(text.contains(from), "{from}");
    let error = Entry::parse(&text.replacen(from, to, 1), Path::new("models/tiny@1.yaml")).unwrap_err();
    format!("{error}; {}", error.hint().unwrap_or("-"))
}

#[test]
fn an_entry_is_found_from_folders_below_and_gives_the_hashes_of_its_folder() {
    let registry = Registry::new();
    registry.write("datasets/desk/suite.yaml", "");
    for base in ["", "datasets/desk", "datasets/desk/../desk"] {
        let opened = open(&registry.path(base), "tiny", "1", None).unwrap();
        assert_eq!(opened.hashes().unwrap(), ModelFolder::new(registry.path("models/tiny/1")).hashes().unwrap());
    }
    // The nearest wins.
    registry.write("datasets/models/tiny@1.yaml", &registry.entry().replace("tiny/1", "other"));
    assert!(registry.refusal("datasets/desk", "tiny@1").0.contains("there is no `datasets/models/other` of `tiny@1`"));
    assert_eq!(visible(&registry.path("datasets/desk")).unwrap().len(), 1);
}

#[test]
fn an_unknown_name_gets_the_nearest_or_the_place_that_was_searched() {
    let registry = Registry::new();
    let (error, hint) = registry.refusal("", "tiny@2");
    assert_eq!(
        (error.as_str(), hint.as_str()),
        ("there is no model `tiny@2` in the registry", "did you mean `tiny@1`?")
    );
    let empty = tempfile::tempdir().unwrap();
    let error = find(empty.path(), "tiny", "1").unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.starts_with("there is no `models/tiny@1.yaml` in `")), "{error:?}");
}

#[test]
fn files_that_are_not_as_listed_are_refused() {
    let registry = Registry::new();
    let weights = "models/tiny/1/model.safetensors";
    registry.write(weights, "other");
    let (error, hint) = registry.refusal("", "tiny@1");
    let hash = |text: &str| sha256(text.as_bytes());
    let expected = format!(
        "failed to use `tiny@1`: `model.safetensors` has the SHA-256 {}, its entry says {} ({weights})",
        hash("other"),
        hash("model.safetensors")
    );
    assert_eq!(error, expected);
    assert!(hint.starts_with(&format!("restore it with `git checkout -- {weights}`")), "{hint}");

    registry.write(weights, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n");
    let (error, hint) = registry.refusal("", "tiny@1");
    assert!(error.starts_with("failed to use `tiny@1`: `model.safetensors` is a Git LFS pointer"), "{error}");
    assert_eq!(hint, "fetch it with `git lfs pull`");

    std::fs::remove_file(registry.path(weights)).unwrap();
    let (error, _) = registry.refusal("", "tiny@1");
    assert_eq!(error, format!("there is no file `model.safetensors`, which the entry of `tiny@1` lists ({weights})"));
}

#[test]
fn nothing_unlisted_has_a_say() {
    let files = ["generation_config.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"];
    for name in files {
        let registry = Registry::new();
        registry.write(&format!("models/tiny/1/{name}"), "{}");
        let (error, hint) = registry.refusal("", "tiny@1");
        let expected = format!(
            "has the file `{name}`, which its entry does not list and which would change its answers (models/tiny/1/{name})"
        );
        assert!(error.ends_with(&expected), "{error}");
        assert!(hint.contains("models/tiny@1.yaml"), "{hint}");
    }
    // A pooling module that lies elsewhere, and a shard that only an index names.
    let registry = Registry::new();
    registry.write("models/tiny/1/modules.json", r#"[{"path": "pool", "type": "x.Pooling"}]"#);
    registry.write("models/tiny/1/pool/config.json", "{}");
    let opened = find(&registry.path(""), "tiny", "1").unwrap();
    assert_eq!(opened.check(&ModelFolder::new(opened.folder().unwrap())).len(), 2);
    let registry = Registry::new();
    std::fs::remove_file(registry.path("models/tiny/1/model.safetensors")).unwrap();
    registry.write("models/tiny/1/a.safetensors", "");
    registry.write("models/tiny/1/model.safetensors.index.json", r#"{"weight_map": {"a": "a.safetensors"}}"#);
    let opened = find(&registry.path(""), "tiny", "1").unwrap();
    assert_eq!(opened.check(&ModelFolder::new(opened.folder().unwrap())).len(), 2);
    // What inference does not read may lie beside.
    let registry = Registry::new();
    registry.write("models/tiny/1/README.md", "card");
    assert!(open(&registry.path(""), "tiny", "1", None).is_ok());
}

#[test]
fn an_entry_says_what_is_wrong_and_where() {
    let read = "failed to read the registry entry: ";
    let at = "(models/tiny@1.yaml:";
    let table = [
        ("licence:", "license:", format!("{read}unknown key `license` {at}13:1); did you mean `licence`?")),
        ("version: \"1\"", "version: 1", format!("{read}expected text, found integer `1` {at}2:10); put it in quotes")),
        (
            "kind: generator",
            "kind: generater",
            format!("{read}unknown name `generater` {at}3:7); did you mean `generator`?"),
        ),
        ("parameters: 12\n", "", format!("{read}the key `parameters` is missing {at}1:1); -")),
        (
            "name: tiny",
            "name: tine",
            format!(
                "{read}it is `tine@1`, its file is `tiny@1.yaml` {at}1:7); name and version must be those of the file"
            ),
        ),
        (
            "version: \"1\"",
            "version: \"2\"",
            format!(
                "{read}it is `tiny@2`, its file is `tiny@1.yaml` {at}2:10); name and version must be those of the file"
            ),
        ),
    ];
    for (from, to, expected) in table {
        assert_eq!(wrong(from, to), expected);
    }
    let paths = [("folder: tiny/1", "folder: ../x"), ("folder: tiny/1", "folder: /x"), ("  config.json", "  a/../b")];
    for (from, to) in paths {
        let said = wrong(from, to);
        assert!(said.contains("is not a path within the registry's folder") && said.contains(at), "{said}");
    }
    let sources = [
        ("{folder: tiny/1}", "{}"),
        ("{folder: tiny/1}", "{hub: a/b}"),
        ("{folder: tiny/1}", "{hub: a/b, revision: main}"),
        ("{folder: tiny/1}", "{hub: a, revision: 0123456789abcdef0123456789abcdef01234567}"),
        ("{folder: tiny/1}", "{folder: tiny/1, hub: a/b, revision: 0123456789abcdef0123456789abcdef01234567}"),
        ("description: for tests", "description: \"for\\ntests\""),
        ("tokenizer: \"", "tokenizer: \"A"),
        ("  tokenizer.json:", "  tokeniser.json:"),
        ("licence: MIT", "licence: MIT\nevaluation: {a: .nan}"),
        ("licence: MIT", "licence: MIT\ntraining: {commit: abc, data: x, command: y}"),
        ("name: tiny", "name: [tiny"),
        ("name: tiny", "name: tiny\nname: tiny"),
    ];
    for (from, to) in sources {
        let said = wrong(from, to);
        assert!(said.contains(at), "{to}: {said}");
    }
    let hub = "{hub: a/b, revision: 0123456789abcdef0123456789abcdef01234567}";
    let text = Registry::new().entry().replace("{folder: tiny/1}", hub);
    let entry = Entry::parse(&text, Path::new("tiny@1.yaml")).unwrap();
    assert!(matches!(entry.source, Source::Hub { repo, .. } if repo == "a/b"));
}
