//! What a dataset says itself lies over what the suite says for all.

use std::path::Path;

use crate::error::{Error, Result, nearest};
use crate::yaml::{Content, Entry, Node};

/// The list of prompts that a suite has a run of each.
const PROMPTS: &str = "prompts";

/// The names of a suite's prompts, in order; none where it has one alone.
///
/// # Errors
/// An entry without a name, or a name that is given twice.
pub(super) fn prompt_names(root: &Node, path: &Path) -> Result<Vec<String>> {
    let list = match root.get(PROMPTS).map(|node| &node.content) {
        Some(Content::List(list)) => list.as_slice(),
        // What is no list at all is found when the plan is read.
        _ => return Ok(Vec::new()),
    };
    let mut names: Vec<String> = Vec::new();
    for prompt in list {
        let Some(name) = prompt.get("name").and_then(Node::text) else {
            let error = Error::input("an entry of `prompts` has no name");
            return Err(prompt.origin.locate(error.with_hint("add `name: short`"), path));
        };
        if names.iter().any(|other| other == name) {
            let error = Error::input(format!("the prompt `{name}` is given twice"));
            return Err(prompt.origin.locate(error, path));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Puts one of a suite's prompts, the first where none is named, over what the suite says of all.
///
/// # Errors
/// There is no prompt of this name.
pub(super) fn choose_prompt(root: &mut Node, name: Option<&str>, path: &Path) -> Result<()> {
    let names = prompt_names(root, path)?;
    let Some(wanted) = name.or(names.first().map(String::as_str)) else { return Ok(()) };
    let Some(at) = names.iter().position(|other| other == wanted) else {
        let error = Error::input(format!("the suite has no prompt `{wanted}`")).at(path);
        let known = names.iter().map(String::as_str);
        return Err(if names.is_empty() { error } else { error.with_hint(nearest(wanted, known)) });
    };
    let Content::Map(entries) = &mut root.content else { return Ok(()) };
    let Some(list) = entries.iter().position(|entry| entry.key == PROMPTS) else { return Ok(()) };
    let Entry { value: Node { content: Content::List(mut prompts), .. }, .. } = entries.remove(list) else {
        return Ok(());
    };
    let mut chosen = prompts.swap_remove(at);
    match entries.iter_mut().find(|entry| entry.key == "prompt") {
        Some(own) => {
            if let Content::Map(suite) = &own.value.content {
                complete_section(&mut chosen, suite);
            }
            own.value = chosen;
        }
        None => entries.push(Entry { key: "prompt".into(), origin: chosen.origin.clone(), value: chosen }),
    }
    Ok(())
}

/// Sections that a dataset may have for itself.
const SECTIONS: [&str; 2] = ["prompt", "generation"];
/// Either says the template: the suite's does not hold where the dataset has one, …
const TEMPLATE: [&str; 2] = ["file", "text"];
/// … nor does the version, which is that of the template.
const VERSION: &str = "version";

/// Completes the sections of datasets with the keys of the suite's own.
pub(super) fn complete(root: &mut Node) {
    let own = SECTIONS.map(|section| (section, root.get(section).cloned()));
    let Content::Map(entries) = &mut root.content else { return };
    let Some(datasets) = entries.iter_mut().find(|entry| entry.key == "datasets") else { return };
    let Content::List(items) = &mut datasets.value.content else { return };
    for item in items {
        let Content::Map(dataset) = &mut item.content else { continue };
        for (section, suite) in &own {
            let mine = dataset.iter_mut().find(|entry| entry.key == *section);
            if let (Some(mine), Some(Node { content: Content::Map(suite), .. })) = (mine, suite) {
                complete_section(&mut mine.value, suite);
            }
        }
    }
}

fn complete_section(mine: &mut Node, suite: &[Entry]) {
    if matches!(mine.content, Content::Null) {
        mine.content = Content::Map(Vec::new());
    }
    let Content::Map(mine) = &mut mine.content else { return };
    let has = |key: &str| mine.iter().any(|entry| entry.key == key);
    let another = TEMPLATE.iter().any(|key| has(key));
    let holds = |key: &str| !has(key) && !(another && (TEMPLATE.contains(&key) || key == VERSION));
    let inherited: Vec<Entry> = suite.iter().filter(|entry| holds(&entry.key)).cloned().collect();
    mine.extend(inherited);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn one_of_several_prompts_is_put_over_the_suites_own() {
        let text = "prompt: {chat: false, file: a.md}\nprompts:\n  - {name: a}\n  - {name: b, text: x}\n";
        let path = Path::new("s");
        let read = || Node::parse(text, path).unwrap();
        assert_eq!(prompt_names(&read(), path).unwrap(), ["a", "b"]);
        let keys = |name: Option<&str>| {
            let mut root = read();
            choose_prompt(&mut root, name, path).unwrap();
            assert!(root.get(PROMPTS).is_none());
            let Content::Map(entries) = &root.get("prompt").unwrap().content else { panic!() };
            entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>()
        };
        assert_eq!(keys(None), ["name", "chat", "file"]);
        assert_eq!(keys(Some("b")), ["name", "text", "chat"]);
        assert_eq!(choose_prompt(&mut read(), Some("c"), path).unwrap_err().message(), "the suite has no prompt `c`");
        for wrong in ["prompts: [{text: x}]", "prompts: [{name: a}, {name: a}]"] {
            assert!(prompt_names(&Node::parse(wrong, path).unwrap(), path).is_err(), "{wrong}");
        }
        let mut none = Node::parse("name: s", path).unwrap();
        choose_prompt(&mut none, None, path).unwrap();
        assert!(choose_prompt(&mut none, Some("a"), path).is_err());
    }

    #[test]
    fn a_dataset_says_over_the_suite() {
        let text = "prompt: {file: a.md, version: '1', chat: false}\ngeneration: {max_new_tokens: 5}\n\
                    datasets:\n  - {name: a, prompt: {text: x}, generation: {seed: 1}}\n  - {name: b}\n  - {name: c, prompt: }\n";
        let mut root = Node::parse(text, Path::new("s")).unwrap();
        complete(&mut root);
        let keys = |path: &str| {
            let Content::Map(entries) = &root.nearest(path).content else { panic!("{path}") };
            entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>()
        };
        assert_eq!(keys("datasets.0.prompt"), ["text", "chat"]);
        assert_eq!(keys("datasets.0.generation"), ["seed", "max_new_tokens"]);
        assert_eq!(keys("datasets.1"), ["name"]);
        assert_eq!(keys("datasets.2.prompt"), ["file", "version", "chat"]);
    }
}
