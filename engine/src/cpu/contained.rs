//! What is no finite number stays with the sequence it belongs to, in every family of the fixtures: a token whose vector is NaN or
//! infinite, anywhere in a text, changes no bit of another text's answer, whoever is computed beside it, before it on the same
//! blocks, or after the same beginning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Decoder, Encoder};
use crate::error::Result;
use crate::models::encoder_spec::HeadKind;
use crate::models::families;
use crate::models::model_folder::ModelFolder;
use crate::options::DtypeChoice;
use crate::request::{Finish, Pooling, Sampling};
use crate::sampling;
use crate::scheduler::backend::{Backend, Encoded, EncoderBackend, Shape, Step, StepOutput};
use crate::scheduler::draft::Draft;
use crate::scheduler::workload::Closed;
use crate::scheduler::workload::{Goal, Outcome, Watcher, Work};
use crate::scheduler::{Limits, run_all};

/// The token that is no finite number.
const POISON: u32 = 40;

/// The folders of the fixtures, by name.
fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("config.json").is_file());
    folders.sort();
    folders
}

fn config(folder: &Path) -> families::Config {
    families::Config::read(&ModelFolder::new(folder)).unwrap()
}

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(folder: &Path) -> Tensors {
    let mut all = Tensors::new();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "safetensors")) {
        let bytes = std::fs::read(file).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            all.insert(name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
        }
    }
    all
}

/// A copy of a model with another vector of [`POISON`]. A head that shares the table gets one of its own: only the token is bad.
fn poisoned(folder: &Path, value: f32) -> TempDir {
    let mut all = tensors(folder);
    let mut settings: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let ends =
        ["embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight"];
    let name = all.keys().find(|name| ends.iter().any(|end| name.ends_with(end))).unwrap().clone();
    if settings["tie_word_embeddings"] != json!(false) {
        let table = all[&name].clone();
        all.entry("lm_head.weight".into()).or_insert(table);
        settings["tie_word_embeddings"] = json!(false);
    }
    let (dtype, shape, data) = all.get_mut(&name).unwrap();
    let bytes = match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        other => panic!("{other:?}"),
    };
    let width = shape[1] * bytes.len();
    data[POISON as usize * width..][..width].chunks_exact_mut(bytes.len()).for_each(|x| x.copy_from_slice(&bytes));
    let copy = TempDir::new().unwrap();
    let views: BTreeMap<&String, TensorView<'_>> = all
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()))
        .collect();
    std::fs::write(copy.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    std::fs::write(copy.path().join("config.json"), settings.to_string()).unwrap();
    copy
}

/// Lets an answer run to its limit.
struct Endless;

impl Watcher for Endless {
    fn ends(&mut self, _token: u32) -> bool {
        false
    }

    fn close(self: Box<Self>, ids: Vec<u32>) -> Result<Closed> {
        Ok(Closed { text: String::new(), ids, finish: Finish::Length })
    }
}

/// A sequence to be.
#[derive(Clone, Debug)]
struct Asked {
    tokens: Vec<u32>,
    goal: usize,
}

impl Asked {
    fn work(&self) -> Work {
        let goal = match self.goal {
            0 => Goal::Logits,
            1 => Goal::Score { from: 1 },
            2 => Goal::Score { from: self.tokens.len() - 1 },
            3 => Goal::Candidates { targets: vec![3, 0, 3] },
            _ => Goal::Generate {
                max_new_tokens: 5,
                sampling: Sampling::default(),
                processors: None,
                key: 0,
                draft: Draft::default(),
                watcher: Box::new(Endless),
            },
        };
        Work::new(self.tokens.clone(), goal)
    }
}

/// Every bit of what came of a sequence.
fn written(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Generated { tokens, .. } => format!("{tokens:?}"),
        Outcome::Scored(scored) => {
            format!("{:x?}", scored.iter().map(|one| (one.logprob.to_bits(), one.greedy)).collect::<Vec<_>>())
        }
        Outcome::Logits(logits) => format!("{:x?}", logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>()),
        Outcome::Failed(reason) => reason.clone(),
    }
}

/// Tokens of a text; never the poison.
fn tokens(len: usize, seed: u64) -> Vec<u32> {
    let token = |at| (sampling::uniform(seed, at) * 200.0) as u32 + 50;
    (0..len as u32).map(token).collect()
}

/// Texts of many lengths with the poison at many places, and as many without it, some of which begin as those do.
fn workload(context: usize) -> Vec<Asked> {
    let mut all = Vec::new();
    for (number, len) in [3, 31, 33, 64].into_iter().enumerate() {
        let len = len.min(context - 8);
        let clean = tokens(len, number as u64 / 3);
        let mut bad = clean.clone();
        bad[[0, len - 1, len / 2, len.saturating_sub(4)][number % 4]] = POISON;
        for goal in 0..5 {
            all.push(Asked { tokens: bad.clone(), goal });
            all.push(Asked { tokens: clean.clone(), goal });
        }
    }
    all
}

/// A backend that is lent to a scheduler of its own for each work.
struct Lent<'a>(&'a mut Decoder);

impl Backend for Lent<'_> {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn rotation(&self, length: usize) -> usize {
        self.0.rotation(length)
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        self.0.step(step)
    }
}

fn contained(folder: &Path, value: f32, dtype: DtypeChoice) {
    let copy = poisoned(folder, value);
    let spec = families::decoder(&config(copy.path())).unwrap();
    let all = workload(spec.context);
    let load = |blocks| Decoder::load(&ModelFolder::new(copy.path()), spec.clone(), dtype, blocks).unwrap();
    let alone = Limits { batch_tokens: 512, prefill_chunk: 512, max_seqs: 1, window: 1, sharing: false, drafts: false };
    // What is clean goes first, on blocks that never held anything else.
    let mut first = load(8);
    let mut answer = |asked: &Asked| written(&run_all(&mut Lent(&mut first), alone, vec![asked.work()]).unwrap()[0]);
    let is_bad = |asked: &&Asked| asked.tokens.contains(&POISON);
    let clean: Vec<String> = all.iter().filter(|asked| !is_bad(asked)).map(&mut answer).collect();
    let bad: Vec<String> = all.iter().filter(is_bad).map(&mut answer).collect();
    let name = folder.display();
    // An answer may choose the token itself.
    assert!(clean.iter().filter(|answer| answer.contains("finite")).count() <= clean.len() / 4, "{name}: {clean:?}");
    assert!(bad.iter().filter(|answer| answer.contains("finite")).count() > bad.len() / 2, "{name}: {bad:?}");
    let (mut clean, mut bad) = (clean.into_iter(), bad.into_iter());
    let right = |asked| if is_bad(&asked) { bad.next().unwrap() } else { clean.next().unwrap() };
    let right: Vec<String> = all.iter().map(right).collect();
    // Few blocks: they are used again and again, dirty.
    let mut model = load(30);
    for (batch_tokens, prefill_chunk, sharing, drafts) in [(64, 9, true, true), (23, 512, false, false)] {
        let limits = Limits { batch_tokens, prefill_chunk, max_seqs: 12, window: 99, sharing, drafts };
        let outcomes = run_all(&mut Lent(&mut model), limits, all.iter().map(Asked::work).collect()).unwrap();
        for ((asked, right), outcome) in all.iter().zip(&right).zip(&outcomes) {
            assert_eq!(&written(outcome), right, "{name} {value} {dtype:?} {limits:?} {asked:?}");
        }
    }
}

#[test]
fn a_token_that_is_not_finite_reaches_no_other_sequence() {
    let decoders: Vec<PathBuf> =
        fixtures().into_iter().filter(|folder| families::decoder(&config(folder)).is_ok()).collect();
    assert!(decoders.len() > 15, "{decoders:?}");
    for (number, folder) in decoders.iter().enumerate() {
        contained(folder, [f32::NAN, f32::INFINITY][number % 2], [DtypeChoice::F32, DtypeChoice::Bf16][number / 2 % 2]);
    }
}

#[test]
fn a_text_that_is_not_finite_reaches_no_other_text() {
    let encoders: Vec<PathBuf> =
        fixtures().into_iter().filter(|folder| families::encoder(&config(folder)).is_ok()).collect();
    assert!(encoders.len() > 10, "{encoders:?}");
    let poolings = [Pooling::Mean, Pooling::Max, Pooling::Cls, Pooling::WeightedMean, Pooling::Last];
    for (number, folder) in encoders.iter().enumerate() {
        for value in [f32::NAN, f32::INFINITY] {
            let copy = poisoned(folder, value);
            let spec = families::encoder(&config(copy.path())).unwrap();
            let longest = spec.positions.min(100);
            let head = HeadKind::Pool(poolings[number % poolings.len()], Vec::new());
            let mut model = Encoder::load(&ModelFolder::new(copy.path()), spec, DtypeChoice::F32, head).unwrap();
            let texts: Vec<Encoded> = [1, 2, 9, 31, 32, 33, 64, 100]
                .into_iter()
                .flat_map(|len| [false, true].map(|bad| (len.min(longest), bad)))
                .map(|(len, bad)| {
                    let mut ids = tokens(len, len as u64);
                    if bad {
                        ids[len / 2] = POISON;
                    }
                    Encoded { types: vec![0; ids.len()], ids, skipped: 0 }
                })
                .collect();
            let packed = model.encode(&texts.iter().collect::<Vec<_>>()).unwrap();
            for (text, packed) in texts.iter().zip(packed) {
                let case = format!("{} {value} {} tokens", folder.display(), text.ids.len());
                if text.ids.contains(&POISON) {
                    assert!(packed.iter().any(|x| !x.is_finite()), "{case}: {packed:?}");
                    continue;
                }
                let alone = model.encode(&[text]).unwrap().remove(0);
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert!(alone.iter().all(|x| x.is_finite()), "{case}");
                assert_eq!(bits(&packed), bits(&alone), "{case}");
            }
        }
    }
}
