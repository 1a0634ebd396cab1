//! What a chat template gets to see and what stops at special tokens: stop strings, prefilled turns, template arguments, keys
//! that are null, and prompts that look wrong. All with karat-mini, a small chat model of the repository.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::project::{Project, Run, repository};

fn mini() -> PathBuf {
    repository("models/karat-mini/2")
}

/// karat-mini with other files; `None` takes one away.
fn changed(project: &Project, name: &str, files: &[(&str, Option<Value>)]) -> PathBuf {
    for entry in std::fs::read_dir(mini()).expect("the model").flatten() {
        project.write(
            &format!("{name}/{}", entry.file_name().to_string_lossy()),
            std::fs::read(entry.path()).expect("read"),
        );
    }
    for (file, content) in files {
        let path = project.path(name).join(file);
        match content {
            Some(Value::String(text)) => std::fs::write(path, text).expect("written"),
            Some(json) => std::fs::write(path, json.to_string()).expect("written"),
            None => std::fs::remove_file(path).expect("removed"),
        }
    }
    project.path(name)
}

/// A model whose end token is no end token, so that it would go on.
fn endless(project: &Project) -> PathBuf {
    let read =
        |file: &str| serde_json::from_slice::<Value>(&std::fs::read(mini().join(file)).expect("read")).expect("JSON");
    let with = |file: &str| {
        let mut value = read(file);
        value["eos_token_id"] = json!(0);
        value
    };
    let files = ["config.json", "generation_config.json"].map(|file| (file, Some(with(file))));
    changed(project, "endless", &files)
}

fn pay() -> Value {
    json!([{"role": "user", "content": "How can I pay?"}])
}

fn render(project: &Project, model: &Path, lines: &[Value], flags: &[&str]) -> Run {
    let input = project.write_lines("in.jsonl", lines);
    let mut args: Vec<String> =
        vec!["render".into(), model.display().to_string(), "--in".into(), input.display().to_string()];
    args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    project.karat(args)
}

fn texts(run: &Run) -> Vec<String> {
    let line =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["text"].as_str().expect("a text").to_owned();
    run.stdout.lines().map(line).collect()
}

#[test]
fn a_stop_string_may_be_a_special_token() {
    let project = Project::new();
    let (model, line) = (endless(&project), json!({"id": 1, "messages": pay()}));
    let run = |stop: &[&str], flags: &[&str]| {
        let mut line = line.clone();
        if !stop.is_empty() {
            line["stop"] = json!(stop);
        }
        let all = [&["--max-new-tokens", "40"], flags].concat();
        project.engine("generate", &model, &[line.clone(), line], &all)
    };
    let free = &run(&[], &[])[0];
    let ids: Vec<u64> = free["ids"].as_array().expect("ids").iter().filter_map(Value::as_u64).collect();
    let end = ids.iter().position(|id| *id == 1).expect("the end token is among the answer's");
    let text = "You can pay by card, bank transfer or invoice.";
    for stop in ["<|end|>", "|end|", "invoice.<|end|>"] {
        let lines = run(&[stop], &[]);
        let kept = if stop.starts_with("inv") { "You can pay by card, bank transfer or " } else { text };
        assert_eq!((&lines[0]["text"], &lines[0]["finish"]), (&json!(kept), &json!("stop")), "{stop}");
        let own: Vec<u64> = lines[0]["ids"].as_array().expect("ids").iter().filter_map(Value::as_u64).collect();
        assert!(ids.starts_with(&own) && own.len() <= end && (kept != text || own.len() == end), "{stop}: {own:?}");
        for flags in [&["--no-drafts"][..], &["--batch-tokens", "2"], &["--max-seqs", "1"], &["--threads", "1"]] {
            assert_eq!(run(&[stop], flags), lines, "{stop} {flags:?}");
        }
        assert_eq!(run(&[], &["--stop", stop]), lines, "the flag says the same");
        let mut drafted = line.clone();
        (drafted["stop"], drafted["draft_ids"]) = (json!(stop), free["ids"].clone());
        assert_eq!(project.engine("generate", &model, &[drafted], &["--max-new-tokens", "40"])[0], lines[0], "drafted");
    }
    let suite = |stop: &str| {
        format!(
            "version: 1\nname: s\nmodels: {{generator: {{model: {}}}}}\ndatasets: [{{name: g, kind: golden, file: g.jsonl, scorers: [exact_match]}}]\n\
         generation: {{max_new_tokens: 40, stop: [\"{stop}\"]}}\nscorers: [exact_match]\n",
            model.display()
        )
    };
    project.write("g.jsonl", format!("{}\n", json!({"id": "a", "input": "How can I pay?", "target": text})));
    project.write("s.yaml", suite("<|end|>"));
    project.karat(["run", "s.yaml", "-q"]).code(0);
    let results = std::fs::read_to_string(project.runs("s")[0].join("results.jsonl")).expect("results");
    let result: Value = serde_json::from_str(&results).expect("a line");
    assert_eq!((&result["output"], &result["finish"]), (&json!(text), &json!("stop")));
}

#[test]
fn a_last_message_of_the_assistant_goes_on() {
    let project = Project::new();
    let messages =
        json!([{"role": "user", "content": "How can I pay?"}, {"role": "assistant", "content": "You can pay by"}]);
    let open = "<|user|>How can I pay?<|end|><|assistant|>You can pay by";
    let lines = [
        json!({"id": 1, "messages": messages}),
        json!({"id": 2, "messages": messages, "continue_final_message": true}),
        json!({"id": 3, "messages": messages, "add_generation_prompt": false}),
        json!({"id": 4, "messages": messages, "add_generation_prompt": false, "continue_final_message": "content"}),
    ];
    let opened = format!("{open}<|end|><|assistant|>");
    let closed = format!("{open}<|end|>");
    let run = render(&project, &mini(), &lines, &[]).code(0);
    assert_eq!(texts(&run), [opened.as_str(), open, closed.as_str(), open]);
    let run = render(&project, &mini(), &lines, &["--continue-final-message"]).code(0);
    assert_eq!(texts(&run), [open, open, open, open]);
    let both = json!({"id": 1, "messages": messages, "continue_final_message": true, "add_generation_prompt": true});
    render(&project, &mini(), &[both], &[])
        .code(2)
        .complains(&["`continue_final_message` and `add_generation_prompt` exclude each other"]);
    for (key, value) in [
        ("continue_final_message", json!(true)),
        ("add_generation_prompt", json!(false)),
        ("chat_template_kwargs", json!({})),
    ] {
        let told = format!("`{key}` needs `messages`");
        render(&project, &mini(), &[json!({"id": 1, "prompt": "x", key: value})], &[]).code(2).complains(&[&told]);
    }
    let silent = json!({"id": 1, "messages": [{"role": "assistant", "content": null}], "continue_final_message": true});
    let run = render(&project, &mini(), &[silent], &[]).code(3);
    assert!(run.stdout.contains("it has no `content`"), "{}", run.stdout);
    let line = json!({"id": 1, "messages": messages, "continue_final_message": true});
    let answer = &project.engine("generate", &mini(), &[line], &["--max-new-tokens", "30"])[0];
    assert_eq!(answer["text"], " card, bank transfer or invoice.");
}

#[test]
fn template_arguments_come_from_line_flag_and_suite() {
    let project = Project::new();
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}|{{ a|default('-') }}{{ b|default('-') }}{{ c|default('-') }}";
    let model = changed(&project, "m", &[("chat_template.jinja", Some(json!(template)))]);
    let lines = [
        json!({"id": 1, "messages": pay()}),
        json!({"id": 2, "messages": pay(), "chat_template_kwargs": {"b": 2, "c": null}}),
    ];
    assert_eq!(texts(&render(&project, &model, &lines, &[]).code(0)), ["How can I pay?|---", "How can I pay?|-2None"]);
    let run = render(&project, &model, &lines, &["--chat-template-kwargs", r#"{"a": 1, "b": 1, "z": 0}"#]).code(0);
    assert_eq!(texts(&run), ["How can I pay?|11-", "How can I pay?|12None"]);
    assert_eq!(run.stderr.matches("the chat template never looks at `z`").count(), 1, "{}", run.stderr);
    for wrong in ["[]", "{", r#"{"messages": []}"#] {
        render(&project, &model, &lines, &["--chat-template-kwargs", wrong])
            .code(2)
            .complains(&["chat-template-kwargs", "messages"]);
    }
    let own = json!({"id": 1, "messages": pay(), "chat_template_kwargs": {"add_generation_prompt": true}});
    render(&project, &model, &[own], &[]).code(2).complains(&["`add_generation_prompt` is no argument"]);

    project.write("g.jsonl", format!("{}\n", json!({"id": "a", "input": "How can I pay?", "target": "x"})));
    let suite = |prompt: &str| {
        format!(
            "version: 1\nname: s\nmodels: {{generator: {{model: m}}}}\ndatasets: [{{name: g, kind: golden, file: g.jsonl, scorers: [exact_match]}}]\n\
         generation: {{max_new_tokens: 2}}\nscorers: [exact_match]\n{prompt}"
        )
    };
    let hash = |flags: &[&str]| {
        let before = project.runs("s").len();
        project.karat([&["run", "s.yaml", "-q"], flags].concat()).code(0);
        let runs = project.runs("s");
        assert_eq!(runs.len(), before + 1);
        let json = |file: &str| {
            let newest = runs
                .iter()
                .max_by_key(|run| std::fs::metadata(run.join("manifest.json")).and_then(|m| m.modified()).ok());
            let text = std::fs::read_to_string(newest.expect("a run").join(file)).expect("read");
            serde_json::from_str::<Value>(text.lines().next().filter(|_| file.ends_with("jsonl")).unwrap_or(&text))
                .expect("JSON")
        };
        (json("results.jsonl")["prompt_hash"].clone(), json("manifest.json")["plan"]["prompt"].clone())
    };
    project.write("s.yaml", suite(""));
    let (plain, plan) = hash(&[]);
    assert!(plan.get("chat_template_kwargs").is_none() && plan.get("continue_final_message").is_none(), "{plan}");
    project.write("s.yaml", suite("prompt: {chat_template_kwargs: {a: 1, b: [x]}}\n"));
    let (told, plan) = hash(&[]);
    assert_eq!(plan["chat_template_kwargs"], json!({"a": 1, "b": ["x"]}));
    let (flagged, plan) = hash(&["--chat-template-kwargs", r#"{"b": 3}"#]);
    assert_eq!(plan["chat_template_kwargs"], json!({"a": 1, "b": 3}), "the flag wins by name");
    let (set, plan) = hash(&["--set", "prompt.chat_template_kwargs.b=3"]);
    assert_eq!(plan["chat_template_kwargs"], json!({"a": 1, "b": 3}));
    assert!(plain != told && told != flagged && flagged == set, "arguments are in the prompt's hash");
}

#[test]
fn keys_that_are_null_are_not_there() {
    let project = Project::new();
    let template = "{% for m in messages %}[{{ m.role }}:{% if m.content is defined %}{{ m.content }}{% endif %}{% if m.tool_calls is defined %}{{ m.tool_calls|tojson }}{% endif %}]{% endfor %}";
    let model = changed(&project, "m", &[("chat_template.jinja", Some(json!(template)))]);
    let call = json!([{"id": null, "function": {"name": "f", "arguments": {"x": null}}}]);
    let lines = [
        json!({"id": 1, "messages": [{"role": "assistant", "content": null, "tool_calls": call}]}),
        json!({"id": 2, "messages": [{"role": "assistant", "content": "A", "tool_calls": null}]}),
    ];
    let run = render(&project, &model, &lines, &[]).code(0);
    let first = r#"[assistant:[{"id": null, "function": {"name": "f", "arguments": {"x": null}}}]]"#;
    assert_eq!(texts(&run), [first, "[assistant:A]"], "null within a call stays");
    let empty = json!({"id": 1, "messages": []});
    assert!(render(&project, &model, &[empty], &[]).code(3).stdout.contains("has no messages"));
}

#[test]
fn odd_prompts_are_told_once() {
    let project = Project::new();
    let tokenizer: Value =
        serde_json::from_slice(&std::fs::read(mini().join("tokenizer.json")).expect("read")).expect("JSON");
    let mut begins = tokenizer;
    begins["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|system|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|system|>": {"id": "<|system|>", "ids": [begin(&begins)], "tokens": ["<|system|>"]}}});
    let config =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "bos_token": "<|system|>"});
    let model = changed(&project, "m", &[("tokenizer.json", Some(begins)), ("tokenizer_config.json", Some(config))]);
    let parts = json!([{"role": "user", "content": [{"type": "text", "text": "How can I pay?"}]}]);
    let lines = [
        json!({"id": 1, "prompt": "<|system|>a"}),
        json!({"id": 2, "prompt": "<|system|>b"}),
        json!({"id": 3, "prompt": "c"}),
        json!({"id": 4, "messages": parts}),
    ];
    let run = render(&project, &model, &lines, &[]).code(0);
    assert_eq!(run.stderr.matches("2 prompts with two begin tokens `<|system|>`").count(), 1, "{}", run.stderr);
    assert_eq!(
        run.stderr.matches("1 prompt with a message's list of parts printed as it is").count(),
        1,
        "{}",
        run.stderr
    );
    assert!(texts(&run)[3].contains("[{'type': 'text'"), "as transformers prints it");
    let quiet = render(&project, &mini(), &[json!({"id": 1, "messages": pay()})], &[]).code(0);
    assert_eq!(quiet.stderr, "");
}

fn begin(tokenizer: &Value) -> Value {
    let added = tokenizer["added_tokens"].as_array().expect("a list");
    added.iter().find(|token| token["content"] == "<|system|>").expect("a token")["id"].clone()
}

#[test]
fn a_suite_says_whether_a_turn_goes_on_and_lint_sees_odd_prompts() {
    let project = Project::new();
    let messages =
        json!([{"role": "user", "content": "How can I pay?"}, {"role": "assistant", "content": "You can pay by"}]);
    let parts = json!([{"role": "user", "content": [{"type": "text", "text": "How can I pay?"}]}]);
    let lines = [
        json!({"id": "a", "input": messages, "target": "x"}),
        json!({"id": "b", "input": [{"role": "user", "content": "Hi"}], "target": "x"}),
    ];
    project.write_lines("g.jsonl", &lines);
    let suite = |prompt: &str| {
        format!(
            "version: 1\nname: s\nmodels: {{generator: {{model: {}}}}}\ndatasets: [{{name: g, kind: golden, file: g.jsonl, scorers: [exact_match]}}]\n\
         generation: {{max_new_tokens: 20}}\nscorers: [exact_match]\n{prompt}",
            mini().display()
        )
    };
    let outputs = |prompt: &str| {
        project.write("s.yaml", suite(prompt));
        let run = project.karat(["run", "s.yaml", "--progress", "lines"]).code(0);
        let newest = project
            .runs("s")
            .into_iter()
            .max_by_key(|run| std::fs::metadata(run.join("manifest.json")).and_then(|m| m.modified()).ok());
        let results = std::fs::read_to_string(newest.expect("a run").join("results.jsonl")).expect("results");
        let output = |line: &str| {
            serde_json::from_str::<Value>(line).expect("JSON")["output"].as_str().expect("a text").to_owned()
        };
        (results.lines().map(output).collect::<Vec<_>>(), run.stderr)
    };
    let (unsaid, told) = outputs("");
    assert!(told.contains("1 case ends with a message of the assistant"), "{told}");
    let (closed, told) = outputs("prompt: {continue_final_message: false}\n");
    assert!(unsaid == closed && !told.contains("message of the assistant"), "{told}");
    let (open, told) = outputs("prompt: {continue_final_message: true}\n");
    assert_eq!(open[0], " card, bank transfer or invoice.");
    assert!(open[1] == closed[1] && open[0] != closed[0] && !told.contains("message of the assistant"), "{told}");

    project.write("s.yaml", suite(""));
    let lint = project.karat(["lint", "s.yaml"]).code(0);
    assert!(lint.stderr.contains("the case `a` ends with a message of the assistant"), "{}", lint.stderr);
    project.write_lines("g.jsonl", &[json!({"id": "a", "input": parts, "target": "x"})]);
    project.write("s.yaml", suite("prompt: {chat_template_kwargs: {enable_thinkin: false}}\n"));
    let lint = project.karat(["lint", "s.yaml"]).code(0);
    assert!(lint.stderr.contains("list of parts printed as it is"), "{}", lint.stderr);
    assert!(lint.stderr.contains("never looks at `enable_thinkin`"), "{}", lint.stderr);
    project.write("s.yaml", suite("prompt: {chat_template_kwargs: {messages: []}}\n"));
    project.karat(["lint", "s.yaml"]).code(2).complains(&["`messages` is no argument"]);
}

#[test]
fn a_message_says_something() {
    let project = Project::new();
    for (message, told) in [
        (json!({"role": "user"}), "message 2 has no `content`"),
        (json!({"role": "assistant", "tool_calls": []}), "message 2 has no `content`"),
        (json!({"role": "user", "content": 5}), "message 2 has a `content` that is not text"),
        (json!({"content": "a"}), "message 2 has no `role`"),
        (json!({"role": 1, "content": "a"}), "message 2 has a `role` that is not text"),
    ] {
        let line = json!({"id": 1, "messages": [{"role": "user", "content": "a"}, message]});
        render(&project, &mini(), &[line], &[]).code(2).complains(&[told]).complains(&["in.jsonl:1"]);
        project.write_lines(
            "golden.jsonl",
            &[json!({"id": 1, "input": [{"role": "user", "content": "a"}, message], "target": "x"})],
        );
        project.write("s.yaml", ROLES);
        let told = told.replace("message 2", "message 2 of `input`");
        project.karat(["lint", "s.yaml"]).code(2).complains(&[&told]).complains(&["golden.jsonl:1"]);
    }
    // As in transformers: the key goes, and the template decides. It is said.
    let model = changed(
        &project,
        "m",
        &[("chat_template.jinja", Some(json!("{% for m in messages %}<{{ m.content }}>{% endfor %}")))],
    );
    let null = json!({"id": 1, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]});
    let run = render(&project, &model, &[null], &[]).code(0);
    assert_eq!(texts(&run), ["<a><>"]);
    run.complains(&["1 prompt with a message that says nothing"]);
    let calls = json!([{"type": "function", "function": {"name": "f", "arguments": {}}}]);
    let null = json!({"id": 1, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": calls}]});
    let run = render(&project, &model, &[null], &[]).code(0);
    assert!(!run.stderr.contains("says nothing"), "{run}");
}

const ROLES: &str = "version: 1\nname: s\nmodels: {generator: {model: ./m}}\ndatasets: [{name: golden, kind: golden, file: golden.jsonl, \
                     scorers: [exact_match]}]\nscorers: [exact_match]\n";

#[test]
fn roles_that_no_template_knows_are_warned_of() {
    let project = Project::new();
    let template =
        "{% for m in messages %}{% if m.role in ['user', 'narrator'] %}{{ m.content }}{% endif %}{% endfor %}|";
    let model = changed(&project, "m", &[("chat_template.jinja", Some(json!(template)))]);
    let messages = |role: &str| json!([{"role": role, "content": "b"}, {"role": "user", "content": "a"}]);
    let told = |role: &str| {
        let run = render(&project, &model, &[json!({"id": 1, "messages": messages(role)})], &[]).code(0);
        project.write("s.yaml", ROLES);
        project.write_lines("golden.jsonl", &[json!({"id": 1, "input": messages(role), "target": "x"})]);
        (run.stderr, project.karat(["lint", "s.yaml"]).code(0).stderr)
    };
    let (render, lint) = told("assisstant");
    assert!(
        render.contains("the role `assisstant` is none that the chat template knows: did you mean `assistant`?"),
        "{render}"
    );
    assert!(
        lint.contains(
            "warning: the case `1` has a message whose role `assisstant` is none that the chat template knows"
        ),
        "{lint}"
    );
    assert!(lint.contains("golden.jsonl:1") && lint.contains("hint: did you mean `assistant`?"), "{lint}");
    let (render, lint) = told("human");
    assert!(render.contains("did you mean `user`?") && lint.contains("did you mean `user`?"), "{render}{lint}");
    for role in ["user", "narrator", "assistant"] {
        let (render, lint) = told(role);
        assert!(!render.contains("role") && !lint.contains("role"), "{render}{lint}");
    }
    // A role that is usual, and that this template leaves out.
    let (render, lint) = told("developer");
    let dropped = "1 prompt without the text of a message of the role `developer`";
    assert!(render.contains(dropped) && lint.contains(dropped), "{render}{lint}");
}
