//! The tokens that begin and end what a model writes.
use super::CheckpointError;
use super::gguf::{GgufFile, Value};
use super::safetensors_dir::SafetensorsDir;

/// Texts of tokens that end a turn or a document in the known families. GGUF
/// metadata names one end only, yet a chat model may write the others (the
/// same list, in llama.cpp, is of "end of generation" tokens).
const END_TEXTS: [&str; 6] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
];

/// Every id that ends a text, the checkpoint's main one first.
pub(super) fn eos_of_gguf(gguf: &GgufFile) -> Vec<u32> {
    let named = ["eos", "eot", "eom"]
        .iter()
        .filter_map(|end| gguf.size(&format!("tokenizer.ggml.{end}_token_id")));
    let tokens = gguf.array("tokenizer.ggml.tokens").unwrap_or_default();
    let by_text = tokens.iter().enumerate().filter_map(|(id, token)| {
        let Value::String(text) = token else {
            return None;
        };
        END_TEXTS.contains(&text.as_str()).then_some(id)
    });
    distinct(named.chain(by_text).map(|id| id as u32))
}

/// The id that every text begins with; `None` if texts begin with none.
pub(super) fn bos_of_gguf(gguf: &GgufFile) -> Option<u32> {
    if !gguf.bool("tokenizer.ggml.add_bos_token").unwrap_or(false) {
        return None;
    }
    u32::try_from(gguf.size("tokenizer.ggml.bos_token_id")?).ok()
}

/// Every id that ends a text, from generation_config.json, else config.json.
pub(super) fn eos_of_dir(dir: &SafetensorsDir) -> Result<Vec<u32>, CheckpointError> {
    let generation = dir.json("generation_config.json")?.unwrap_or_default();
    let ids = [&generation, dir.config_json()]
        .map(|config| {
            let eos = &config["eos_token_id"];
            let many = eos.as_array().into_iter().flatten();
            distinct(
                many.chain([eos])
                    .filter_map(|id| u32::try_from(id.as_u64()?).ok()),
            )
        })
        .into_iter()
        .find(|ids| !ids.is_empty());
    Ok(ids.unwrap_or_default())
}

/// The id that every text begins with; `None` if texts begin with none.
pub(super) fn bos_of_dir(dir: &SafetensorsDir) -> Result<Option<u32>, CheckpointError> {
    let tokenizer = dir.json("tokenizer_config.json")?.unwrap_or_default();
    if tokenizer["add_bos_token"] != true {
        return Ok(None);
    }
    let id = dir.config_json()["bos_token_id"].as_u64();
    Ok(id.and_then(|id| u32::try_from(id).ok()))
}

fn distinct(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}
