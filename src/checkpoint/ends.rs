//! The tokens that begin and end what a model writes.
use super::gguf::{GgufFile, Value};
use super::safetensors_dir::SafetensorsDir;
use super::special::SpecialTokens;
use super::{CheckpointError, Tokenizer};

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
    let n_tokens = gguf.array("tokenizer.ggml.tokens").map_or(0, <[_]>::len);
    let is_end = |id: &usize| token_text(gguf, *id).is_some_and(|t| END_TEXTS.contains(&t));
    let by_text = (0..n_tokens).filter(is_end);
    distinct(named.chain(by_text).map(|id| id as u32))
}

/// The text of a token; `None` where there is none of this id.
pub(super) fn token_text(gguf: &GgufFile, id: usize) -> Option<&str> {
    match gguf.array("tokenizer.ggml.tokens")?.get(id)? {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// The id that every text begins with; `None` if texts begin with none.
pub(super) fn bos_of_gguf(gguf: &GgufFile) -> Option<u32> {
    if !gguf.bool("tokenizer.ggml.add_bos_token").unwrap_or(false) {
        return None;
    }
    u32::try_from(gguf.size("tokenizer.ggml.bos_token_id")?).ok()
}

/// Every id that ends a text: those of generation_config.json, else config.json, and the
/// tokenizer's own `eos_token`, which a chat model ends its turns with where both
/// configurations are still the base model's.
///
/// `vocab` is the number of logit rows, V.
pub(super) fn eos_of_dir(dir: &SafetensorsDir, vocab: usize) -> Result<Vec<u32>, CheckpointError> {
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
    let tokens = SpecialTokens::of_dir(dir)?;
    let own = match tokens.text("eos_token") {
        Some(text) => id_of(dir, text, vocab)?,
        None => None,
    };
    Ok(distinct(ids.into_iter().flatten().chain(own)))
}

/// The id of a named token; `None` without a tokenizer.json.
fn id_of(dir: &SafetensorsDir, text: &str, vocab: usize) -> Result<Option<u32>, CheckpointError> {
    let Some(json) = dir.json("tokenizer.json")? else {
        return Ok(None);
    };
    let mut added = json["added_tokens"].as_array().into_iter().flatten();
    let added = added.find(|token| token["content"] == text);
    let id = added.map_or(&json["model"]["vocab"][text], |token| &token["id"]);
    match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
        Some(id) => Ok(Some(id)),
        // Files beside tokenizer.json add it, and number it.
        None => Ok(Tokenizer::of_dir(dir, vocab)?.added_id(text)),
    }
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
