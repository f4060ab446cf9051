//! The files that a checkpoint's folder may hold, and which of several fields and files holds:
//! variants of one tiny folder beside what transformers 5.24 makes of each
//! (`scripts/dump_folders.py`), and those that are refused by their words.
mod files;

use candle_core::{Device, Tensor};
use egss::base::Purpose;
use egss::checkpoint::{Checkpoint, Message};
use egss::engine::{Engine, EngineSettings, LocalEngine, PrefixCache, open_checkpoint};
use egss::ops::Backend;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Two f32 forwards in other orders of summation, on logits of up to 9, and the values'
/// rounding to five places.
const TOLERANCE_LOGITS: f32 = 1e-4;

/// Every so many of the logits are in the file.
const EVERY: usize = 20;

/// See `scripts/dump_folders.py`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    /// The public reports whose input this is.
    #[serde(default)]
    #[allow(dead_code)]
    report: String,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    tensors: Vec<TensorFile>,
    #[serde(default)]
    write: Map<String, Value>,
    #[serde(default)]
    tokens: bool,
    #[serde(default = "usual_text")]
    text: String,
    refused: Option<String>,
    /// Parts of the sentences on what is not taken.
    #[serde(default)]
    notes: Vec<String>,
    /// Tokens that a sequence may have, where that is looked at.
    context: Option<usize>,
    /// Tokens that end a text, where that is looked at.
    ends: Option<Vec<u32>>,
    #[serde(default)]
    logits: Vec<f32>,
    #[serde(default)]
    ids: Vec<u32>,
    #[serde(default)]
    chat: String,
    #[serde(default)]
    chat_with_tools: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorFile {
    file: String,
    #[serde(default)]
    only: String,
    without: Option<String>,
    #[serde(default)]
    strip: String,
    scale: Option<f64>,
    #[serde(default)]
    copy: HashMap<String, String>,
}

fn usual_text() -> String {
    "def add<|im_end|>".into()
}

fn variants() -> Vec<Variant> {
    serde_json::from_str(include_str!("variants.json")).unwrap()
}

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/qwen2-tiny")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The variant's folder.
fn make(variant: &Variant, tensors: &HashMap<String, Tensor>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    for name in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(base().join(name), out.join(name)).unwrap();
    }
    let mut config = json(&out.join("config.json"));
    for (field, value) in &variant.config {
        match value {
            Value::Null => config.as_object_mut().unwrap().remove(field),
            value => config
                .as_object_mut()
                .unwrap()
                .insert(field.clone(), value.clone()),
        };
    }
    std::fs::write(out.join("config.json"), config.to_string()).unwrap();
    for name in &variant.remove {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    for file in &variant.tensors {
        let mut made = HashMap::new();
        for (name, tensor) in tensors {
            let is_without = file
                .without
                .as_ref()
                .is_some_and(|part| name.contains(part));
            if !name.contains(&file.only) || is_without {
                continue;
            }
            let scale = match name == "lm_head.weight" || !file.only.is_empty() {
                true => file.scale.unwrap_or(1.0),
                false => 1.0,
            };
            let bare = name.strip_prefix(&file.strip).unwrap_or(name);
            made.insert(bare.to_owned(), (tensor * scale).unwrap());
        }
        for (name, other) in &file.copy {
            made.insert(name.clone(), tensors[other].clone());
        }
        candle_core::safetensors::save(&made, out.join(&file.file)).unwrap();
    }
    for (name, content) in &variant.write {
        let path = out.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = content.as_str().map(str::to_owned);
        std::fs::write(path, text.unwrap_or_else(|| content.to_string())).unwrap();
    }
    dir
}

fn logits(checkpoint: &Checkpoint) -> Vec<f32> {
    let settings = EngineSettings {
        context_max: 112,
        kv_bytes_max: 1 << 20,
        engines_max: 1,
    };
    let opened = open_checkpoint(checkpoint, &settings, &Backend::cpu(), &mut |_| {}).unwrap();
    let mut engine: LocalEngine = opened.engine;
    let prompt: Vec<u32> = (0..100).map(|i| 3 + i * 37 % 300).collect();
    let seq = engine.new_sequence(PrefixCache::Bypass);
    engine.append(seq, &prompt, Purpose::Agent).unwrap();
    engine.compute(&[seq], Purpose::Agent, &mut |_| {}).unwrap();
    let row = engine.logits(seq).expect("the sequence is computed");
    row.iter().copied().step_by(EVERY).collect()
}

/// The differences from the expected values.
fn faults(variant: &Variant, dir: &Path) -> Vec<String> {
    let checkpoint = match (Checkpoint::open(dir), &variant.refused) {
        (Ok(_), Some(refused)) => return vec![format!("is taken, not refused: {refused:?}")],
        (Err(error), None) => return vec![format!("is refused: {error}")],
        (Err(error), Some(refused)) => {
            let message = error.to_string();
            let is_right = message.contains(refused) && !message.contains('\n');
            return match is_right {
                true => vec![],
                false => vec![format!("{message:?} lacks {refused:?}")],
            };
        }
        (Ok(checkpoint), None) => checkpoint,
    };
    let mut faults = Vec::new();
    let notes = checkpoint.notes();
    for part in &variant.notes {
        if notes.iter().filter(|note| note.contains(part)).count() != 1 {
            faults.push(format!("{part:?} is not said once: {notes:?}"));
        }
    }
    if variant.notes.is_empty() && !notes.is_empty() {
        faults.push(format!("says {notes:?}"));
    }
    if let Some(context) = variant.context
        && checkpoint.config().context_max != context
    {
        faults.push(format!("context {}", checkpoint.config().context_max));
    }
    let found = logits(&checkpoint);
    let pairs = found.iter().zip(&variant.logits);
    let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE_LOGITS;
    if found.len() != variant.logits.len() || !pairs.clone().all(is_near) {
        faults.push(format!("logits {found:?}\n    for {:?}", variant.logits));
    }
    if let Some(ends) = &variant.ends
        && checkpoint.eos_token_ids().unwrap() != *ends
    {
        faults.push(format!("ends {:?}", checkpoint.eos_token_ids()));
    }
    if variant.tokens {
        let ids = checkpoint
            .tokenizer()
            .unwrap()
            .encode_special(&variant.text);
        if ids != variant.ids {
            faults.push(format!("ids {ids:?} for {:?}", variant.ids));
        }
        let template = checkpoint.chat_template().unwrap();
        let messages = [Message::new("user", "add")];
        let tool = serde_json::json!({"type": "function", "function": {"name": "view"}});
        for (tools, expected) in [
            (vec![], &variant.chat),
            (vec![tool], &variant.chat_with_tools),
        ] {
            let chat = template.render(&messages, &tools, true).unwrap();
            if chat != *expected {
                faults.push(format!("chat {chat:?} for {expected:?}"));
            }
        }
    }
    faults
}

#[test]
fn of_several_fields_and_files_the_one_holds_that_holds_in_transformers() {
    let path = base().join("model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let variants = variants();
    let n_refused = variants.iter().filter(|v| v.refused.is_some()).count();
    assert!(variants.len() - n_refused >= 40 && n_refused >= 10);
    let mut wrong = Vec::new();
    for variant in &variants {
        let dir = make(variant, &tensors);
        for fault in faults(variant, dir.path()) {
            wrong.push(format!("{}: {fault}", variant.name));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
