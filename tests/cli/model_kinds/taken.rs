//! What is taken, and what is looked at beside the one model of a command.

use super::*;

/// What shows only where tokenizer and weights are held together, lint finds too, once.
#[test]
fn a_tokenizer_that_is_broken_or_of_another_model_is_one_error() {
    type Broken = (&'static str, fn(&Thing), &'static str);
    let rows: [Broken; 4] = [
        (
            "of another model",
            |t| {
                let small = Tensor::filled(&[1000, 256], 0.5);
                t.model.replace("model.embed_tokens.weight", small);
                t.model.set("vocab_size", json!(1000));
            },
            "the tokenizer knows 2048 tokens, the embedding table 1000",
        ),
        ("broken", |t| drop(t.write("tokenizer.json", "{}")), "failed to read the tokenizer"),
        (
            "broken settings",
            |t| drop(t.write("tokenizer_config.json", "[]")),
            "the tokenizer settings are not a JSON object",
        ),
        ("a broken template", |t| drop(t.write("chat_template.jinja", "{% if %}")), "failed to read the chat template"),
    ];
    for (kind, make, told) in rows {
        let thing = Thing::new();
        make(&thing);
        suite(&thing.project, "./model");
        for command in [&["lint", "suite.yaml"][..], &["run", "suite.yaml", "--dry-run"], &["run", "suite.yaml"]] {
            let run = thing.project.karat(command).code(2);
            assert!(run.stderr.contains(told), "{kind}{run}");
            assert_eq!(run.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{kind}{run}");
        }
    }
}

/// Embedder and toxicity model of a suite are looked at as the generator is, and an entry's folder as a folder.
#[test]
fn every_model_of_a_suite_is_looked_at() {
    let thing = Thing::new();
    let project = &thing.project;
    suite(project, "./model");
    let yaml = project.read("suite.yaml");
    project.karat(["lint", "suite.yaml"]).code(0);
    for (role, scorer) in [("embedder", "similarity"), ("toxicity", "toxicity")] {
        let with = |model: &str| {
            let models = format!("models:\n  {role}: {{model: \"{model}\"}}\n");
            let suite = yaml.replacen("models:\n", &models, 1).replace("exact_match", scorer);
            project.write("suite.yaml", suite);
        };
        // A decoder does not embed or classify.
        with("./model");
        error(role, project.karat(["lint", "suite.yaml"]), &["qwen3", "karat generate"]);
        error(role, project.karat(["run", "suite.yaml"]), &["qwen3", "karat generate"]);
        for (model, words) in [("./gone", "./gone"), ("gone@1", "gone@1"), ("a/b@..", "revision")] {
            with(model);
            let run = project.karat(["lint", "suite.yaml"]).code(2);
            assert!(run.stderr.contains(words), "{role} {model}{run}");
        }
        // What only the network knows is not asked for.
        with("org/unknown");
        project.karat(["lint", "suite.yaml"]).code(0);
    }
}

#[test]
fn a_hub_reference_is_looked_at_where_the_cache_holds_it() {
    let thing = Thing::new();
    let (root, project) = (thing.hub(), &thing.project);
    suite(project, "org/name");
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    let karat = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("HF_HUB_CACHE", project.path("hub")).output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    };
    karat(&["lint", "suite.yaml"]).code(0);
    karat(&["generate", "org/name", "--in", "in.jsonl", "--out", "out.jsonl", "--max-new-tokens", "2"]).code(0);
    std::fs::remove_file(root.join("blobs/model.safetensors")).expect("remove a file");
    let words = ["model.safetensors", "does not exist"];
    let lint = error("lint", karat(&["lint", "suite.yaml"]), &words);
    let run = error("run", karat(&["run", "suite.yaml"]), &words);
    let generate = error("generate", karat(&["generate", "org/name", "--in", "in.jsonl", "--out", "x.jsonl"]), &words);
    assert_eq!((&lint, &run), (&generate, &generate));
}

/// A GGUF file that is named decides all itself: no other file beside it has a say.
#[test]
fn a_named_gguf_file_is_used_whatever_lies_beside_it() {
    let thing = Thing::new();
    let project = &thing.project;
    let lines =
        [json!({"id": 1, "prompt": "the gold"}), json!({"id": 2, "messages": [{"role": "user", "content": "Hi"}]})];
    let flags = ["--max-new-tokens", "6"];
    let named = thing.gguf("x.gguf", &[], |_| ());
    let path = project.path(&named);
    let alone = project.engine_raw("generate", &path, &lines, &flags);
    let hashes = ModelFolder::gguf(&path, None).hashes().expect("hash a file");
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["x.gguf"]);

    thing.gguf("other.gguf", &[("general.type", text("mmproj"))], |bytes| bytes.truncate(200));
    thing.gguf("x-00001-of-00002.gguf", &[], |_| ());
    for name in
        ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"]
    {
        std::fs::copy(thing.model.file(name), project.path(format!("files/{name}"))).expect("copy a file");
    }
    project.write("files/chat_template.jinja", "{{ 1 / 0 }}");
    project.write("files/adapter_config.json", "{}");
    assert_eq!(project.engine_raw("generate", &path, &lines, &flags), alone);
    assert_eq!(ModelFolder::gguf(&path, None).hashes().expect("hash a file"), hashes);
    suite(project, &named);
    project.karat(["lint", "suite.yaml"]).code(0);
    project.karat(["run", "suite.yaml"]).code(0);
    let manifest: Value = {
        let run = project.runs("desk").pop().expect("a run");
        serde_json::from_str(&std::fs::read_to_string(run.join("manifest.json")).expect("read")).expect("parse")
    };
    let text = manifest.to_string();
    assert!(text.contains("x.gguf") && !text.contains("model.safetensors"), "{text}");
}

/// A file without a tokenizer takes the one beside it, and nothing else.
#[test]
fn a_named_gguf_file_without_a_tokenizer_takes_the_one_beside_it() {
    let project = Project::new();
    let folder = crate::to_gguf::convert(&project, &fixture("llama"), |_| GgmlDType::F16);
    let path = folder.join("model.gguf");
    let lines = [json!({"id": 1, "prompt": "the gold"})];
    let flags = ["--max-new-tokens", "6", "--ignore-eos"];
    let right = project.engine_raw("generate", &path, &lines, &flags);
    std::fs::copy(&path, folder.join("other.gguf")).expect("copy a file");
    std::fs::copy(fixture("qwen2").join("model.safetensors"), folder.join("model.safetensors")).expect("copy a file");
    std::fs::copy(fixture("qwen2").join("config.json"), folder.join("config.json")).expect("copy a file");
    assert_eq!(project.engine_raw("generate", &path, &lines, &flags), right);
    let hashes = ModelFolder::gguf(&path, None).hashes().expect("hash a file");
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["model.gguf", "tokenizer.json", "tokenizer_config.json"]);
}

/// What looks odd and is a model all the same.
#[test]
fn what_is_a_model_is_taken() {
    type Row = (&'static str, fn(&Thing) -> String);
    let rows: &[Row] = &[
        ("as it is", |_| "./model".into()),
        ("a version in the hub's cache", |t| {
            t.hub();
            format!("hub/models--org--name/snapshots/{}", "a".repeat(40))
        }),
        ("a link to a folder", |t| {
            symlink("model", t.project.path("link")).expect("make a link");
            "./link".into()
        }),
        ("a folder whose name ends in .gguf", |t| {
            std::fs::rename(&t.model.folder, t.project.path("x.gguf")).expect("rename");
            "./x.gguf".into()
        }),
        ("weights of other tools beside it", |t| {
            t.write("pytorch_model.bin", "x");
            t.write("onnx/model.onnx", "x");
            t.write("training_args.bin", "x")
        }),
        ("null in the place of a quantisation", |t| t.config("quantization_config", Value::Null)),
        ("a stale DVC pointer", |t| t.write("model.safetensors.dvc", "outs:\n- md5: 0\n  path: model.safetensors\n")),
        ("one part of one", |t| t.gguf("x-00001-of-00001.gguf", &[("split.count", Field::U16(1))], |_| ())),
    ];
    for (kind, make) in rows {
        let thing = Thing::new();
        let model = make(&thing);
        suite(&thing.project, &model);
        thing.project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
        let lint = thing.project.karat(["lint", "suite.yaml"]);
        assert_eq!(lint.code, Some(0), "{kind}{lint}");
        let args = ["generate", &model, "--in", "in.jsonl", "--out", "out.jsonl", "--max-new-tokens", "2"];
        let run = thing.project.karat(args);
        assert_eq!(run.code, Some(0), "{kind}{run}");
    }
    let thing = Thing::new();
    let model = thing.only(&["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]);
    thing.project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    thing.project.karat(["render", &model, "--in", "in.jsonl", "--out", "out.jsonl"]).code(0);
    let generate = thing.project.karat(["generate", &model, "--in", "in.jsonl", "--out", "x.jsonl"]);
    error("tokenizer alone", generate, &["tokenizer, but no weights"]);
}

/// Files in the place of a dataset.
#[test]
fn what_lies_in_the_place_of_data_is_named() {
    let rows: [(&str, &[u8], &[&str]); 7] = [
        ("golden.jsonl", LFS.as_bytes(), &["Git LFS pointer", "git lfs pull"]),
        ("golden.csv", LFS.as_bytes(), &["Git LFS pointer"]),
        ("golden.json", PAGE.as_bytes(), &["HTML page"]),
        ("golden.csv", PAGE.as_bytes(), &["HTML page"]),
        ("golden.jsonl", b"\0\x01\x02\x03", &["binary data"]),
        ("golden.jsonl", b"\xff\xfe{\0\"\0", &["UTF-16"]),
        ("golden.json", b"PAR1\x15\x04", &["Parquet"]),
    ];
    for (file, bytes, words) in rows {
        let thing = Thing::new();
        suite(&thing.project, "./model");
        let yaml = thing.project.read("suite.yaml").replace("golden.jsonl", file);
        thing.project.write("suite.yaml", yaml);
        thing.project.write(file, bytes);
        let lint = error(file, thing.project.karat(["lint", "suite.yaml"]), words);
        let run = error(file, thing.project.karat(["run", "suite.yaml"]), words);
        assert_eq!(lint, run);
    }
    let thing = Thing::new();
    suite(&thing.project, "./model");
    std::fs::remove_file(thing.project.path("golden.jsonl")).expect("remove a file");
    symlink("gone.jsonl", thing.project.path("golden.jsonl")).expect("make a link");
    let lint = error("link", thing.project.karat(["lint", "suite.yaml"]), &["golden.jsonl", "link to `gone.jsonl`"]);
    assert_eq!(
        lint,
        error("link", thing.project.karat(["run", "suite.yaml"]), &["golden.jsonl", "link to `gone.jsonl`"])
    );
    // Nothing at all, and what only its pointer names.
    let thing = Thing::new();
    suite(&thing.project, "./model");
    thing.project.write("golden.jsonl", "");
    thing.project.karat(["lint", "suite.yaml"]).code(2).complains(&["the dataset is empty"]);
    thing.project.karat(["run", "suite.yaml"]).code(2).complains(&["the dataset is empty"]);
    std::fs::rename(thing.project.path("golden.jsonl"), thing.project.path("golden.jsonl.dvc")).expect("rename");
    let lint = error("dvc", thing.project.karat(["lint", "suite.yaml"]), &["golden.jsonl", "dvc pull"]);
    assert_eq!(lint, error("dvc", thing.project.karat(["run", "suite.yaml"]), &["golden.jsonl", "dvc pull"]));
}

/// A head of its own beside token vectors that the configuration ties it to: used where it differs, as transformers 5 does.
#[test]
fn a_separate_head_that_differs_from_the_tied_embedding_is_used() {
    let told = "warning: lm_head.weight differs from the tied embedding: the separate head is used";
    let lines = [json!({"id": 1, "prompt": "What does Flint do?"}), json!({"id": 2, "prompt": "gold"})];
    let flags = ["--max-new-tokens", "6"];
    let thing = Thing::new();
    let (project, model) = (&thing.project, &thing.model);
    let tied = project.engine_raw("generate", &model.folder, &lines, &flags);
    let head = |shift: usize| {
        model.edit_tensors(|tensors| {
            let mut head = tensors["model.embed_tokens.weight"].clone();
            let row = head.data.len() / head.shape[0];
            head.data.rotate_left(shift * row);
            tensors.insert("lm_head.weight".into(), head);
        });
    };
    let stderr = |tie: bool| {
        model.set("tie_word_embeddings", json!(tie));
        project.write_lines("in.jsonl", &lines);
        let args = crate::project::engine_args("generate", &model.folder, &flags);
        project.karat(args.iter().map(String::as_str).chain(["-q"])).code(0).stderr
    };
    // The same values: as before, without a word.
    head(0);
    assert!(!stderr(true).contains("lm_head"));
    assert_eq!(project.read("out.jsonl").lines().collect::<Vec<_>>(), tied);
    head(1);
    assert!(stderr(true).contains(told));
    let separate = project.read("out.jsonl");
    assert_ne!(separate.lines().collect::<Vec<_>>(), tied);
    // As a configuration that does not tie them.
    assert!(!stderr(false).contains("lm_head"));
    assert_eq!(project.read("out.jsonl"), separate);
    model.set("tie_word_embeddings", json!(true));
    suite(project, "./model");
    let run = project.karat(["run", "suite.yaml"]).code(0);
    assert!(run.stderr.contains("lm_head.weight differs from the tied embedding"), "{run}");
    // Another type with the same values is no other head.
    model.edit_tensors(|tensors| {
        let table = tensors["model.embed_tokens.weight"].clone();
        let wide = table.data.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32());
        let data = wide.flat_map(f32::to_le_bytes).collect();
        tensors.insert("lm_head.weight".into(), Tensor { dtype: Dtype::F32, data, ..table });
    });
    assert!(!stderr(true).contains("lm_head"));
    assert_eq!(project.read("out.jsonl").lines().collect::<Vec<_>>(), tied);
    // Not tied and no head: there is nothing to answer with, and nothing is guessed.
    model.edit_tensors(|tensors| drop(tensors.remove("lm_head.weight")));
    model.set("tie_word_embeddings", json!(false));
    project
        .karat(["generate", "./model", "--in", "in.jsonl", "--out", "x.jsonl"])
        .code(2)
        .complains(&["lm_head.weight"]);
}
