//! Where to compute: what is told, and how karat ends, with and without GPUs.
//!
//! The text differs between builds with and without the feature `cuda`; those of a build with it hold on machines with and
//! without a GPU.

use serde_json::json;

use crate::project::{Project, Run, engine_args, random_tiny};

fn generate(device: &[&str]) -> Run {
    let project = Project::new();
    project.write_lines("in.jsonl", &[json!({"id": "a", "prompt_ids": [1, 2, 3]})]);
    let flags = [&["--max-new-tokens", "2", "--ignore-eos"], device].concat();
    project.karat(engine_args("generate", &random_tiny(), &flags))
}

#[test]
fn an_unknown_device_is_refused_with_the_known_ones() {
    let run = generate(&["--device", "gpu"]).code(2);
    run.complains(&["`gpu` is not a device"]).complains(&["`auto`, `cpu`, `cuda`, `cuda:N`, `cuda:N,N`"]);
}

#[test]
fn the_cpu_needs_no_explanation() {
    let run = generate(&["--device", "cpu"]).code(0);
    assert!(!run.stderr.contains("note:"), "{run}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_gpus_says_how_to_get_one_with_them() {
    for device in ["cuda", "cuda:3"] {
        let index = device.strip_prefix("cuda:").unwrap_or("0");
        let run = generate(&["--device", device]).code(2);
        run.complains(&[&format!(
            "error: failed to use cuda:{index}: this karat was built without the feature `cuda`"
        )])
        .complains(&["hint: `cargo build --release --features cuda` builds one with it"]);
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_gpus_computes_on_the_cpu_without_a_word() {
    for device in [&[][..], &["--device", "auto"]] {
        let run = generate(device).code(0);
        assert!(!run.stderr.contains("note:"), "{run}");
    }
}

/// No machine has so many.
#[cfg(feature = "cuda")]
#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let run = generate(&["--device", "cuda:63"]).code(5);
    let told = ["no driver library libcuda.so.1", "the driver finds no GPU", "there is 1 GPU", "there are "];
    run.complains(&["failed to use cuda:63: "]).complains(&told).complains(&["hint: "]);
}

/// Once, where there is no GPU; on a machine with one there is nothing to tell.
#[cfg(feature = "cuda")]
#[test]
fn auto_says_once_why_it_computes_on_the_cpu() {
    for device in [&[][..], &["--device", "auto"]] {
        let run = generate(device).code(0);
        let notes = run.stderr.matches("note: computing on the CPU: failed to ").count();
        let usable = generate(&["--device", "cuda"]).code == Some(0);
        assert_eq!(notes, usize::from(!usable), "{run}");
    }
}
