//! Which file needs which, and the circles among them.
//!
//! A path leads to the file that defines what it names: re-exports are followed, and are no need of their own. What a path names in
//! a glob import, or through an item that is brought in under another name, stays unseen.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Files, and the files that each needs.
pub type Needs = BTreeMap<String, BTreeSet<String>>;

type Place = Vec<String>;

/// A path as a file spells it, from the root.
struct Named {
    place: Place,
    /// The name under which a `use` brings it in, where it hands it on (`pub use`).
    handed_on: Option<String>,
}

/// What every file needs, but for tests. `crate` is the root of the files below `root` (`["engine"]` for the engine's).
pub fn needs(sources: &[&Source], root: &[&str]) -> Needs {
    let files: BTreeMap<Place, &str> = sources.iter().map(|source| (owned(&source.place()), &*source.path)).collect();
    let named: Vec<(&Source, Vec<Named>)> =
        sources.iter().filter(|source| !source.test).map(|source| (*source, paths(source, root, &files))).collect();
    let mut handed_on = BTreeMap::new();
    for (source, paths) in &named {
        for Named { place, handed_on: name } in paths {
            if let Some(name) = name {
                let mut at = owned(&source.place());
                at.push(name.clone());
                handed_on.insert(at, place.clone());
            }
        }
    }
    let mut needs = Needs::new();
    for (source, paths) in &named {
        let own = needs.entry(source.path.clone()).or_default();
        let plain = paths.iter().filter(|path| path.handed_on.is_none());
        own.extend(plain.filter_map(|path| defined(&path.place, &files, &handed_on)));
        own.remove(&source.path);
    }
    needs
}

fn owned(place: &[&str]) -> Place {
    place.iter().map(|part| (*part).to_owned()).collect()
}

/// The file that defines what a path names.
fn defined(place: &Place, files: &BTreeMap<Place, &str>, handed_on: &BTreeMap<Place, Place>) -> Option<String> {
    let mut place = place.clone();
    // Longer chains are circles of re-exports, which do not compile.
    for _ in 0..8 {
        let Some(len) = (1..=place.len()).rev().find(|len| handed_on.contains_key(&place[..*len])) else { break };
        place = [&handed_on[&place[..len]][..], &place[len..]].concat();
    }
    let len = (0..=place.len()).rev().find(|len| files.contains_key(&place[..*len]))?;
    Some(files[&place[..len]].to_owned())
}

/// Every path that a file names outside of its tests.
fn paths(source: &Source, root: &[&str], files: &BTreeMap<Place, &str>) -> Vec<Named> {
    let walk = Walk { source, files, root: owned(root), here: owned(&source.place()) };
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.tokens.len() {
        let starts = at == 0 || !matches!(source.text_at(at - 1), "::" | ".");
        match source.text_at(at) {
            _ if source.places[at].1 => at += 1,
            "use" => {
                let hands_on = at > 0 && matches!(source.text_at(at - 1), "pub" | ")");
                let mut leaves = Vec::new();
                at = walk.tree(at + 1, None, &mut leaves);
                let leaf = |(place, name): (Place, String)| Named { place, handed_on: hands_on.then_some(name) };
                found.extend(leaves.into_iter().map(leaf));
            }
            _ if starts && source.text_at(at + 1) == "::" => {
                let (place, end) = walk.path(at, None);
                found.push(Named { place, handed_on: None });
                at = end.max(at + 1);
            }
            _ => at += 1,
        }
    }
    found.retain(|named| named.place.first().is_none_or(|first| first != FOREIGN));
    found
}

/// What the place of another crate begins with.
const FOREIGN: &str = "::";

/// Reads paths of one file.
struct Walk<'a> {
    source: &'a Source,
    files: &'a BTreeMap<Place, &'a str>,
    root: Place,
    here: Place,
}

impl Walk<'_> {
    /// The names of a path from `at` on, behind `before`, and the index behind them.
    fn path(&self, at: usize, before: Option<Place>) -> (Place, usize) {
        let (mut place, mut at) = match before {
            Some(before) => (before, at),
            None => self.first(at),
        };
        loop {
            let name = self.source.text_at(at);
            if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || name == "as" {
                return (place, at);
            }
            place.push(name.to_owned());
            at += 1;
            if self.source.text_at(at) != "::" {
                return (place, at);
            }
            at += 1;
        }
    }

    /// Where a path that begins at `at` starts from, and the index of what follows.
    fn first(&self, mut at: usize) -> (Place, usize) {
        match self.source.text_at(at) {
            "crate" => (self.root.clone(), at + 2),
            "self" => (self.here.clone(), at + 2),
            "super" => {
                // Within a module of the file, the first `super` is the file.
                let mut up = 1usize.saturating_sub(self.source.places[at].0);
                while self.source.text_at(at + 2) == "super" {
                    (up, at) = (up + 1, at + 2);
                }
                (self.here[..self.here.len().saturating_sub(up)].to_vec(), at + 2)
            }
            name => {
                let child = [&self.here[..], &[name.to_owned()]].concat();
                (if self.files.contains_key(&child) { self.here.clone() } else { owned(&[FOREIGN]) }, at)
            }
        }
    }

    /// The leaves of a `use` tree, each with the name that it brings in. Gives the index behind.
    fn tree(&self, at: usize, before: Option<Place>, leaves: &mut Vec<(Place, String)>) -> usize {
        let (mut place, mut at) = self.path(at, before);
        match self.source.text_at(at) {
            "{" => {
                at += 1;
                while !matches!(self.source.text_at(at), "}" | "") {
                    let end = self.tree(at, Some(place.clone()), leaves);
                    // A comma, or what is no path.
                    at = if end == at || self.source.text_at(end) == "," { end + 1 } else { end };
                }
                at + 1
            }
            "as" => {
                leaves.push((place, self.source.text_at(at + 1).to_owned()));
                at + 2
            }
            "*" => {
                leaves.push((place, "*".to_owned()));
                at + 1
            }
            _ => {
                if place.last().is_some_and(|last| last == "self") {
                    place.pop();
                }
                let name = place.last().cloned().unwrap_or_default();
                leaves.push((place, name));
                at
            }
        }
    }
}

/// Files that need one another, whatever the way: each group once.
pub fn circles(needs: &Needs) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = needs.keys().map(|file| (file, reach(file, needs))).collect();
    let mut circles = BTreeSet::new();
    for (file, far) in &reached {
        if far.contains(file) {
            let together = far.iter().filter(|other| reached[**other].contains(file));
            circles.insert(together.map(|file| (*file).clone()).collect::<BTreeSet<String>>());
        }
    }
    circles.into_iter().collect()
}

/// All files that a file needs, and those that they need.
fn reach<'a>(file: &String, needs: &'a Needs) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = needs.get(file).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if let Some((file, further)) = needs.get_key_value(file)
            && found.insert(file)
        {
            next.extend(further);
        }
    }
    found
}
