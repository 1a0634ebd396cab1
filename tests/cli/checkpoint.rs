//! Copies of model folders with something changed: a tensor, a config key, a file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::project::Project;

/// One tensor as it stands in a file.
#[derive(Clone)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Tensor {
    /// An f32 tensor of one value.
    pub fn filled(shape: &[usize], value: f32) -> Self {
        let count = shape.iter().product();
        let data = std::iter::repeat_n(value.to_le_bytes(), count).flatten().collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), data }
    }

    fn view(&self) -> TensorView<'_> {
        TensorView::new(self.dtype, self.shape.clone(), &self.data).expect("shape and data agree")
    }
}

/// Writes a safetensors file.
pub fn save(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let views: BTreeMap<&String, TensorView<'_>> = tensors.iter().map(|(name, tensor)| (name, tensor.view())).collect();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).expect("write safetensors");
}

/// A private copy of a model folder, to be damaged.
pub struct Checkpoint {
    pub folder: PathBuf,
}

impl Checkpoint {
    /// Copies the folder `from` into the project, as `model`.
    pub fn copy(project: &Project, from: &Path) -> Self {
        let folder = project.path("model");
        copy_folder(from, &folder);
        Self { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("remove a file");
    }

    /// Changes the bytes of a file.
    pub fn edit_file(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.file(name)).expect("read a file");
        edit(&mut bytes);
        std::fs::write(self.file(name), bytes).expect("write a file");
    }

    /// Changes a JSON file.
    pub fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        self.edit_file(name, |bytes| {
            let mut value = serde_json::from_slice(bytes).expect("parse JSON");
            edit(&mut value);
            *bytes = value.to_string().into_bytes();
        });
    }

    /// Sets a key of `config.json`; null removes it.
    pub fn set(&self, key: &str, value: Value) {
        self.edit_json("config.json", |config| {
            let config = config.as_object_mut().expect("config.json is an object");
            match value {
                Value::Null => drop(config.shift_remove(key)),
                value => drop(config.insert(key.into(), value)),
            }
        });
    }

    /// Changes the tensors of `model.safetensors`.
    pub fn edit_tensors(&self, edit: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
        let path = self.file("model.safetensors");
        let bytes = std::fs::read(&path).expect("read weights");
        let file = SafeTensors::deserialize(&bytes).expect("parse weights");
        let owned = |view: TensorView<'_>| Tensor {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: view.data().to_vec(),
        };
        let mut tensors = file.tensors().into_iter().map(|(name, view)| (name, owned(view))).collect();
        edit(&mut tensors);
        save(&path, &tensors);
    }

    /// Puts a tensor in the place of another.
    pub fn replace(&self, name: &str, tensor: Tensor) {
        self.edit_tensors(|tensors| {
            assert!(tensors.contains_key(name), "no tensor {name}");
            tensors.insert(name.into(), tensor);
        });
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder");
    for entry in std::fs::read_dir(from).expect("list a folder") {
        let path = entry.expect("read a folder entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            // Not fs::copy: reference folders may be read-only, and copies are edited.
            std::fs::write(target, std::fs::read(&path).expect("read a file")).expect("write a file");
        }
    }
}

/// transformers 5 can write the experts of a layer as one tensor each for gate and up, and for down.
#[test]
fn stacked_experts_give_the_bytes_of_single_ones() {
    let project = Project::new();
    let from = crate::project::fixture("qwen3-moe");
    let lines: Vec<Value> = crate::invariance::prompts(12, 40, 320)
        .iter()
        .map(|line| serde_json::json!({"id": line["id"], "ids": line["prompt_ids"]}))
        .collect();
    let plain = project.engine_raw("logprob", &from, &lines, &[]);
    let model = Checkpoint::copy(&project, &from);
    model.edit_tensors(|tensors| {
        for layer in 0..3 {
            let below = format!("model.layers.{layer}.mlp.experts");
            let mut take = |part: &str, expert: usize| tensors.remove(&format!("{below}.{expert}.{part}.weight"));
            let (mut ups, mut downs): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
            for expert in 0..8 {
                ups.extend(take("gate_proj", expert).into_iter().chain(take("up_proj", expert)));
                downs.extend(take("down_proj", expert));
            }
            let Some(first) = downs.first().cloned() else { continue };
            let (hidden, inner) = (first.shape[0], first.shape[1]);
            let joined = |parts: &[Tensor], shape: [usize; 3]| Tensor {
                dtype: first.dtype,
                shape: shape.to_vec(),
                data: parts.iter().flat_map(|part| part.data.clone()).collect(),
            };
            tensors.insert(format!("{below}.gate_up_proj"), joined(&ups, [8, 2 * inner, hidden]));
            tensors.insert(format!("{below}.down_proj"), joined(&downs, [8, hidden, inner]));
        }
    });
    assert_eq!(project.engine_raw("logprob", &model.folder, &lines, &[]), plain);
}
