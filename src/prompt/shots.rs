//! Few-shot examples: read once, chosen for each case.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use serde_json::{Map, Value};

use super::files::Files;
use super::made::Made;
use super::python_random::PythonRandom;
use super::spec::{Draw, FewShot, PromptSpec};
use super::template::Template;
use crate::dataset::{FieldMap, Ids, Input, Sample, Source};
use crate::error::{Error, Result};

/// The examples of a prompt.
#[derive(Debug, Default)]
pub(super) struct Shots {
    all: Vec<Shot>,
    /// How many a case gets.
    count: usize,
    draw: Draw,
    seed: u64,
    /// Whether a case is taken out of its own examples.
    excludes: bool,
}

/// A worked example.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shot {
    /// The input as it is in the file.
    pub input: String,
    /// The input in the template.
    pub prompt: String,
    /// The accepted answer, without the beginning that all answers have.
    pub answer: String,
    /// How every answer begins.
    pub prefix: Option<String>,
    /// What tells it from other rows: the row, where that is kept.
    row: Option<Map<String, Value>>,
}

/// What examples are made with.
pub(super) struct Maker<'a> {
    pub spec: &'a PromptSpec,
    pub template: &'a Template,
    pub prefix: Option<&'a Template>,
    pub made: &'a Made,
    /// The file of the cases, where it is known.
    pub cases: Option<&'a Path>,
}

impl Shots {
    /// Reads the file of examples.
    ///
    /// # Errors
    /// A file that is missing or wrong, an example without an answer, fewer than the suite asks for.
    pub fn load(few_shot: &FewShot, files: &mut Files<'_>, maker: &Maker<'_>) -> Result<Self> {
        let path = files.path(&few_shot.file);
        let fields = FieldMap::new(&few_shot.fields)?;
        let draws = few_shot.draw != Draw::First;
        let own = maker.cases.is_some_and(|cases| same_file(cases, &path));
        let excludes = few_shot.exclude_case.unwrap_or(own);
        let fields = if maker.spec.sees_rows() || excludes { fields.with_rows(maker.made.fields()) } else { fields };
        // Examples may be equal, and have no name.
        let mut source = Source { fields, ids: Ids::Row, ..Source::file(&path)? };
        // All are looked at where others may take their place.
        source.limit = few_shot.count.filter(|_| !draws && !excludes);
        let bytes = files.bytes(&few_shot.file)?.to_vec();
        let mut all = Vec::new();
        for sample in source.read(Box::new(Cursor::new(bytes)))? {
            let mut sample = sample?;
            let shot = maker.shot(&mut sample);
            all.push(shot.map_err(|error| {
                if error.location().is_some() { error } else { error.at_line(&source.path, sample.line) }
            })?);
        }
        let count = few_shot.count.unwrap_or(all.len());
        // One more, of which the case itself is taken out.
        let needed = count + usize::from(excludes && count > 0 && (own || draws));
        if all.len() < needed {
            let itself = if excludes { " beside the case itself" } else { "" };
            let message = format!("the suite asks for {count} few-shot examples{itself}, the file has {}", all.len());
            return Err(Error::input(message).at(&source.path));
        }
        let seed = few_shot.seed.unwrap_or(FewShot::SEED);
        Ok(Self { all, count, draw: few_shot.draw, seed, excludes })
    }

    /// All examples that a case may get.
    pub fn all(&self) -> &[Shot] {
        &self.all
    }

    /// Whether every case gets the same.
    pub fn are_fixed(&self) -> bool {
        self.draw == Draw::First && !self.excludes
    }

    /// The examples of a case, in order.
    pub fn of<'a>(&'a self, sample: &'a Sample) -> Box<dyn Iterator<Item = &'a Shot> + 'a> {
        if self.are_fixed() {
            Box::new(self.all[..self.count].iter())
        } else {
            Box::new(sample.shots.iter().filter_map(|at| self.all.get(*at)))
        }
    }

    /// Whether a case is told from examples by its row.
    pub fn compare_rows(&self) -> bool {
        self.excludes
    }

    /// What chooses examples for one case after the other, in the order of the file.
    pub fn drawer(&self) -> Drawer {
        Drawer { random: PythonRandom::new(self.seed) }
    }
}

/// Chooses examples for the cases of a dataset, one after the other.
pub(super) struct Drawer {
    random: PythonRandom,
}

impl Drawer {
    /// The examples of the next case, as lm-evaluation-harness chooses them (`ContextSampler.sample`, `FirstNSampler.sample`):
    /// where cases and examples are one file, one more is drawn and the case taken out; where that leaves too few, because the
    /// case stands there several times, they are drawn again from what is no such row.
    ///
    /// # Errors
    /// There are too few.
    pub fn draw(&mut self, shots: &Shots, sample: &Sample) -> Result<Vec<usize>> {
        let (count, all) = (shots.count, shots.all.len());
        if count == 0 {
            return Ok(Vec::new());
        }
        let own = |at: usize| shots.excludes && shots.all[at].row == sample.row;
        let too_few =
            || Error::input(format!("{count} few-shot examples are asked for, and {all} are too few to draw from"));
        match shots.draw {
            Draw::First => {
                let chosen: Vec<usize> = (0..all).filter(|at| !own(*at)).take(count).collect();
                if chosen.len() < count { Err(too_few()) } else { Ok(chosen) }
            }
            Draw::Random => {
                let more = usize::from(shots.excludes);
                let drawn = self.random.sample(all, count + more).ok_or_else(too_few)?;
                let mut chosen: Vec<usize> = drawn.into_iter().filter(|at| !own(*at)).collect();
                chosen.truncate(count);
                if chosen.len() < count {
                    let pool: Vec<usize> = (0..all).filter(|at| !own(*at)).collect();
                    let drawn = self.random.sample(pool.len(), count).ok_or_else(too_few)?;
                    chosen = drawn.into_iter().map(|at| pool[at]).collect();
                }
                Ok(chosen)
            }
            Draw::Balanced => {
                let order = self.random.sample(all, all).ok_or_else(too_few)?;
                let chosen = balanced(order.into_iter().filter(|at| !own(*at)), count, |at| &shots.all[at].answer);
                if chosen.len() < count { Err(too_few()) } else { Ok(chosen) }
            }
        }
    }
}

/// The first of each answer, then the second of each, and so on, in the order in which answers are met.
fn balanced<'a>(order: impl Iterator<Item = usize>, count: usize, answer: impl Fn(usize) -> &'a String) -> Vec<usize> {
    let (mut classes, mut places): (Vec<Vec<usize>>, HashMap<&String, usize>) = Default::default();
    for at in order {
        let class = *places.entry(answer(at)).or_insert_with(|| {
            classes.push(Vec::new());
            classes.len() - 1
        });
        classes[class].push(at);
    }
    let rounds = classes.iter().map(Vec::len).max().unwrap_or(0);
    let one_of_each = |round: usize| classes.iter().filter_map(move |class| class.get(round).copied());
    (0..rounds).flat_map(one_of_each).take(count).collect()
}

impl Maker<'_> {
    fn shot(&self, sample: &mut Sample) -> Result<Shot> {
        self.made.complete(sample, self.template)?;
        let unusable = |problem: &str| Error::input(format!("a few-shot example cannot be used: {problem}"));
        let Input::Text(input) = &sample.input else { return Err(unusable("its input is a conversation")) };
        let prompt = match self.made.contexts() {
            true => sample.gold.first().and_then(|gold| sample.choices.get(*gold)).cloned().unwrap_or_default(),
            false => self.template.render(sample)?,
        };
        let answer = match (self.made.continuation(sample)?, sample.gold.first()) {
            (Some(continuation), _) => continuation,
            (None, Some(gold)) => sample.choices.get(*gold).cloned().unwrap_or_default(),
            (None, None) => sample.target.first().cloned().ok_or_else(|| unusable("it has no target"))?,
        };
        let prefix = self.prefix.map(|prefix| prefix.render(sample)).transpose()?;
        Ok(Shot { input: input.clone(), prompt, answer, prefix, row: sample.row.take() })
    }
}

/// Whether two paths are one file.
pub fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
