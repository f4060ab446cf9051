//! Which of several chat templates a checkpoint's is, as transformers 5.24 decides.
use super::gguf::GgufFile;
use super::safetensors_dir::SafetensorsDir;
use super::special::SpecialTokens;
use super::{ChatTemplate, CheckpointError};
use serde_json::Value;
use std::collections::BTreeMap;

const DEFAULT: &str = "default";
/// Taken where a conversation has tools.
const TOOL_USE: &str = "tool_use";

/// Templates by name.
type Named = BTreeMap<String, String>;

/// The template of a folder: chat_template.jinja and those of additional_chat_templates
/// where there is one, else tokenizer_config.json's, else chat_template.json's, which
/// transformers reads for processors only.
pub(super) fn of_dir(dir: &SafetensorsDir) -> Result<ChatTemplate, CheckpointError> {
    let tokens = SpecialTokens::of_dir(dir)?;
    let mut named = files(dir)?;
    if named.is_empty() {
        named = tokens.get("chat_template").map(of_json).unwrap_or_default();
    }
    if named.is_empty() {
        let legacy = dir.json("chat_template.json")?.unwrap_or_default();
        named = of_json(&legacy["chat_template"]);
    }
    let text = |name| tokens.text(name).unwrap_or_default();
    chosen(&named, text("bos_token"), text("eos_token"))
}

/// The template of a GGUF file, whose keys have those that are not the default's behind
/// its own.
pub(super) fn of_gguf(gguf: &GgufFile) -> Result<ChatTemplate, CheckpointError> {
    const KEY: &str = "tokenizer.chat_template";
    let mut named = Named::new();
    for key in gguf.keys() {
        let name = match key.strip_prefix(KEY) {
            Some("") => DEFAULT,
            Some(behind) if behind.starts_with('.') => &behind[1..],
            _ => continue,
        };
        if let Some(source) = gguf.str(key) {
            named.insert(name.to_owned(), source.to_owned());
        }
    }
    let text = |token: &str| {
        let id = gguf.size(&format!("tokenizer.ggml.{token}_token_id"))?;
        super::ends::token_text(gguf, id)
    };
    let [bos, eos] = ["bos", "eos"].map(|token| text(token).unwrap_or_default());
    chosen(&named, bos, eos)
}

/// chat_template.jinja, and the files of additional_chat_templates by their names.
fn files(dir: &SafetensorsDir) -> Result<Named, CheckpointError> {
    let mut named = Named::new();
    let mut take = |name: &str, path: std::path::PathBuf| match std::fs::read_to_string(&path) {
        Ok(source) => {
            named.insert(name.to_owned(), source);
            Ok(())
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CheckpointError::Io {
            what: "read",
            path,
            source,
        }),
    };
    take(DEFAULT, dir.path().join("chat_template.jinja"))?;
    let entries = std::fs::read_dir(dir.path().join("additional_chat_templates"));
    for path in entries.into_iter().flatten().flatten().map(|e| e.path()) {
        if path.extension().is_some_and(|ending| ending == "jinja") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = name.into_owned();
            take(&name, path)?;
        }
    }
    Ok(named)
}

/// A template as a string, a list of `{"name", "template"}`, or an object of them.
fn of_json(json: &Value) -> Named {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match json {
        Value::String(source) => Named::from([(DEFAULT.to_owned(), source.clone())]),
        Value::Array(items) => items
            .iter()
            .filter_map(|item| Some((text(&item["name"])?, text(&item["template"])?)))
            .collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, source)| Some((name.clone(), text(source)?)))
            .collect(),
        _ => Named::new(),
    }
}

fn chosen(named: &Named, bos: &str, eos: &str) -> Result<ChatTemplate, CheckpointError> {
    let Some(source) = named.get(DEFAULT) else {
        return Err(CheckpointError::Template(if named.is_empty() {
            "the checkpoint has none; `egss generate --raw` needs none".into()
        } else {
            let names: Vec<&str> = named.keys().map(String::as_str).collect();
            format!(
                "the checkpoint has several ({}) and none of them is {DEFAULT:?}",
                names.join(", ")
            )
        }));
    };
    let template = ChatTemplate::new(source, bos, eos)?;
    match named.get(TOOL_USE) {
        None => Ok(template),
        Some(source) => template.with_tool_use(source),
    }
}
