//! The files of a folder, one by one: which are read, for what, and which are not.
use super::{base, json};
use egss::checkpoint::{Checkpoint, Message};
use serde_json::Value;
use std::path::Path;

/// A file, and what it is read for; nothing where it is not read at all.
const FILES: [(&str, Option<&str>); 24] = [
    ("config.json", Some("the shape of the model; needed")),
    ("model.safetensors", Some("the weights")),
    (
        "model.safetensors.index.json",
        Some("the shards' names, without model.safetensors"),
    ),
    (
        "tokenizer.json",
        Some("vocabulary, merges, added tokens; needed for text"),
    ),
    (
        "tokenizer_config.json",
        Some("names of tokens, added_tokens_decoder, chat_template"),
    ),
    (
        "special_tokens_map.json",
        Some("names of tokens, without added_tokens_decoder"),
    ),
    (
        "added_tokens.json",
        Some("added tokens, without added_tokens_decoder"),
    ),
    (
        "generation_config.json",
        Some("the tokens that end a text, before config.json's"),
    ),
    (
        "chat_template.jinja",
        Some("the chat template, before tokenizer_config.json's"),
    ),
    (
        "additional_chat_templates/tool_use.jinja",
        Some("the chat template where there are tools"),
    ),
    (
        "chat_template.json",
        Some("the chat template where nothing else has one"),
    ),
    ("model-00001-of-00002.safetensors", None),
    ("consolidated.safetensors", None),
    ("adapter_model.safetensors", None),
    ("adapter_config.json", None),
    ("pytorch_model.bin", None),
    ("model.gguf", None),
    ("vocab.json", None),
    ("merges.txt", None),
    ("tokenizer.model", None),
    ("preprocessor_config.json", None),
    ("training_args.bin", None),
    ("README.md", None),
    (".gitattributes", None),
];

/// Of the files that are not read, those that hold weights or change some are said.
const SAID: [&str; 6] = [
    "model-00001-of-00002.safetensors",
    "consolidated.safetensors",
    "adapter_model.safetensors",
    "adapter_config.json",
    "pytorch_model.bin",
    "model.gguf",
];

fn whole(dir: &Path) {
    for entry in std::fs::read_dir(base()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "model.gguf" && entry.file_name() != "reference.safetensors" {
            std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
        }
    }
}

/// Opens all that a checkpoint has; the first thing that is wrong.
fn read(dir: &Path) -> Result<Vec<String>, String> {
    let checkpoint = Checkpoint::open(dir).map_err(|e| e.to_string())?;
    checkpoint.tokenizer().map_err(|e| e.to_string())?;
    checkpoint.eos_token_ids().map_err(|e| e.to_string())?;
    let template = checkpoint.chat_template().map_err(|e| e.to_string())?;
    let tool = serde_json::json!({"type": "function"});
    for tools in [vec![], vec![tool]] {
        let messages = [Message::new("user", "add")];
        template
            .render(&messages, &tools, true)
            .map_err(|e| e.to_string())?;
    }
    Ok(checkpoint.notes().to_vec())
}

/// A file that is read is missed when it is broken; one that is not may hold anything.
#[test]
fn each_file_is_read_or_not_as_listed() {
    const BROKEN: &str = "{% broken";
    for (name, role) in FILES {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        whole(dir);
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Files that go before it and would hide it.
        match name {
            "model.safetensors.index.json" => {
                std::fs::remove_file(dir.join("model.safetensors")).unwrap();
            }
            "chat_template.json" => {
                let mut config = json(&dir.join("tokenizer_config.json"));
                config["chat_template"] = Value::Null;
                std::fs::write(dir.join("tokenizer_config.json"), config.to_string()).unwrap();
            }
            "additional_chat_templates/tool_use.jinja" => {
                std::fs::write(dir.join("chat_template.jinja"), "x").unwrap();
            }
            _ => {}
        }
        let before = read(dir);
        std::fs::write(&path, BROKEN).unwrap();
        match (role, read(dir)) {
            (Some(_), Err(_)) => {}
            (Some(role), Ok(_)) => panic!("{name} is not read for {role}"),
            (None, Err(error)) => panic!("{name} is read: {error}"),
            (None, Ok(notes)) => {
                let is_said = notes.len() > before.unwrap().len();
                assert_eq!(is_said, SAID.contains(&name), "{name}: {notes:?}");
            }
        }
        println!("{name}: {}", role.unwrap_or("not read"));
    }
}

/// LLMart#72, lm-evaluation-harness#1578: text without a conversation needs no template.
#[test]
fn without_a_chat_template_or_with_a_broken_one_text_is_still_generated() {
    use egss::engine::{EngineSettings, open};
    for (template, said) in [
        (Value::Null, "the checkpoint has none"),
        (Value::from("{% broken"), "syntax error"),
        (
            serde_json::json!([{"name": "rag", "template": "x"}]),
            "none of them is \"default\"",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        whole(dir.path());
        let path = dir.path().join("tokenizer_config.json");
        let mut config = json(&path);
        config["chat_template"] = template;
        std::fs::write(&path, config.to_string()).unwrap();
        let settings = EngineSettings {
            context_max: 32,
            kv_bytes_max: 1 << 20,
            engines_max: 1,
        };
        let opened = open(dir.path(), &settings, &mut |_| {}).unwrap();
        let rendered = opened
            .template
            .render(&[Message::new("user", "a")], &[], true);
        let message = rendered.unwrap_err().to_string();
        assert!(
            message.starts_with("the chat template cannot be used: "),
            "{message}"
        );
        assert!(message.contains(said), "{message}");
        let generate = |raw: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_egss"));
            command.args(["generate", "--model"]).arg(dir.path());
            command.args(["--ctx", "32", "-n", "3", "--threads", "1"]);
            command.args(raw).arg("def").output().unwrap()
        };
        let raw = generate(&["--raw"]);
        let said_of_raw = String::from_utf8_lossy(&raw.stderr);
        assert!(raw.status.success(), "{said_of_raw}");
        assert!(!raw.stdout.is_empty());
        let chat = generate(&[]);
        let said_of_chat = String::from_utf8_lossy(&chat.stderr);
        assert!(
            !chat.status.success() && said_of_chat.contains(said),
            "{said_of_chat}"
        );
        // Before anything large was read.
        assert!(!said_of_chat.contains("memory: weights"), "{said_of_chat}");
    }
}

/// Every part of a checkpoint that is not taken is printed, a line a sentence.
#[test]
fn notes_are_said_where_a_model_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    std::fs::write(dir.path().join("pytorch_model.bin"), "none").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_egss"));
    command.args(["generate", "--model"]).arg(dir.path());
    command.args(["--ctx", "32", "-n", "1", "--threads", "1", "--raw", "def"]);
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let notes: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("note: "))
        .collect();
    assert_eq!(
        notes,
        ["note: not read: pytorch_model.bin; the model is model.safetensors"]
    );
}
