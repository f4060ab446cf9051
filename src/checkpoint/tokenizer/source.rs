//! Where a tokenizer comes from: GGUF metadata or a tokenizer.json.
use super::super::gguf::{GgufFile, Value};
use super::super::special::SideToken;
use super::split::Pipeline;
use std::path::Path;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};

/// GGUF's token types (llama.cpp's `llama_token_type`).
const TOKEN_NORMAL: usize = 1;
const TOKEN_CONTROL: usize = 3;
const TOKEN_USER_DEFINED: usize = 4;
const TOKEN_UNUSED: usize = 5;

/// A token outside the BPE.
pub(super) struct AddedToken {
    pub id: u32,
    pub text: String,
    /// A control token, never text.
    pub special: bool,
}

/// A tokenizer taken apart.
pub(super) struct Parts {
    /// Knows no added token.
    pub bpe: tokenizers::Tokenizer,
    pub added: Vec<AddedToken>,
    /// Tokens of the vocabulary, added ones that stand in it included.
    pub vocab_size: u32,
}

/// A token a byte, and `end` after them.
pub(super) fn of_bytes(end: &str) -> Result<Parts, String> {
    let mut vocab = Vocab::default();
    // Byte-level spelling goes through the first few hundred characters.
    for text in (0..400).filter_map(char::from_u32).map(String::from) {
        if let Some([byte]) = super::byte_level::to_bytes(&text).as_deref() {
            vocab.insert(text, u32::from(*byte));
        }
    }
    let bpe = BPE::builder().vocab_and_merges(vocab, vec![]).build();
    let mut bpe = tokenizers::Tokenizer::new(bpe.map_err(|error| error.to_string())?);
    bpe.with_pre_tokenizer(Some(ByteLevel::new(false, false, false)));
    Ok(Parts {
        bpe,
        added: vec![AddedToken {
            id: 256,
            text: end.to_owned(),
            special: true,
        }],
        vocab_size: 256,
    })
}

/// Reads `tokenizer.ggml.*`. Errors: a sentence's end.
pub(super) fn from_gguf(gguf: &GgufFile) -> Result<Parts, String> {
    let model = gguf.str("tokenizer.ggml.model").unwrap_or("none");
    // Without a name llama.cpp cuts as where it is "default".
    let pre = gguf.str("tokenizer.ggml.pre").filter(|pre| !pre.is_empty());
    let pre = pre.unwrap_or("default");
    let pipeline = Pipeline::find(pre).filter(|_| model == "gpt2");
    let pipeline = pipeline.ok_or_else(|| {
        format!(
            "it is of kind {model:?} with pre-tokenizer {pre:?}; this program reads \"gpt2\" with one of {}",
            Pipeline::names()
        )
    })?;
    let texts = strings(gguf, "tokenizer.ggml.tokens")?;
    let types = gguf
        .array("tokenizer.ggml.token_type")
        .ok_or("tokenizer.ggml.token_type is missing")?;
    if types.len() != texts.len() {
        return Err(format!("{} tokens have {} types", texts.len(), types.len()));
    }
    let mut vocab = Vocab::default();
    let mut added = Vec::new();
    for (id, (text, kind)) in texts.into_iter().zip(types).enumerate() {
        let id = id as u32;
        let text = text.to_owned();
        match integer(kind) {
            Some(TOKEN_NORMAL) => {
                vocab.insert(text, id);
            }
            Some(kind @ (TOKEN_CONTROL | TOKEN_USER_DEFINED)) => added.push(AddedToken {
                id,
                text,
                special: kind == TOKEN_CONTROL,
            }),
            Some(TOKEN_UNUSED) => {}
            _ => return Err(format!("token {id} is of an unknown type {kind:?}")),
        }
    }
    let merges = strings(gguf, "tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| {
            let (left, right) = merge.split_once(' ').ok_or(format!("merge {merge:?}"))?;
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect::<Result<_, String>>()?;
    Ok(Parts {
        vocab_size: vocab.len() as u32,
        bpe: pipeline.build(vocab, merges).map_err(|e| e.to_string())?,
        added,
    })
}

/// Reads a tokenizer.json whose model is a byte-level BPE. Errors: a sentence's end.
pub(super) fn from_file(path: &Path) -> Result<Parts, String> {
    let text = std::fs::read(path).map_err(|e| e.to_string())?;
    let mut json: serde_json::Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let (model, decoder) = (&json["model"]["type"], &json["decoder"]["type"]);
    if model != "BPE" || decoder != "ByteLevel" {
        return Err(format!(
            "its model is {model} with decoder {decoder}; this program reads \"BPE\" with \"ByteLevel\""
        ));
    }
    let mut added = Vec::new();
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let (Some(id), Some(text)) = (token["id"].as_u64(), token["content"].as_str()) else {
            return Err(format!("an added token has no id or text: {token}"));
        };
        // These would take in text around the token, which `encode_special`
        // does not; no supported family sets them.
        for flag in ["lstrip", "rstrip", "single_word"] {
            if token[flag] == true {
                return Err(format!("its added token {text:?} sets {flag:?}"));
            }
        }
        added.push(AddedToken {
            id: u32::try_from(id).map_err(|e| e.to_string())?,
            text: text.to_owned(),
            special: token["special"] == true,
        });
    }
    // What is left knows no added token, adds none, and cuts and pads nothing.
    json["added_tokens"] = serde_json::json!([]);
    for stage in ["post_processor", "truncation", "padding"] {
        json[stage] = serde_json::Value::Null;
    }
    let mut vocab_size = 0;
    if let Some(vocab) = json["model"]["vocab"].as_object_mut() {
        vocab_size = vocab.len() as u32;
        for token in &added {
            vocab.remove(&token.text);
        }
    }
    let bpe = tokenizers::Tokenizer::from_bytes(json.to_string()).map_err(|e| e.to_string())?;
    Ok(Parts {
        bpe,
        added,
        vocab_size,
    })
}

/// Adds the tokens of the files beside tokenizer.json that this does not have. One that the
/// vocabulary has keeps its id there; others are numbered on. Errors: a sentence's end.
pub(super) fn with_side_tokens(mut parts: Parts, side: &[SideToken]) -> Result<Parts, String> {
    let mut added = std::mem::take(&mut parts.added);
    // tokenizer.json lists some of them in its vocabulary as well, out of which they are.
    let n_vocab = parts.vocab_size;
    for token in side {
        if let Some(known) = added.iter_mut().find(|known| known.text == token.text) {
            known.special |= token.special;
            continue;
        }
        if let Some(flag) = token.taking {
            return Err(format!("its added token {:?} sets {flag:?}", token.text));
        }
        let next = added.iter().map(|added| added.id + 1).max().unwrap_or(0);
        added.push(AddedToken {
            id: match parts.bpe.token_to_id(&token.text) {
                Some(id) => id,
                None => next.max(n_vocab),
            },
            text: token.text.clone(),
            special: token.special,
        });
    }
    Ok(Parts { added, ..parts })
}

fn strings<'a>(gguf: &'a GgufFile, key: &str) -> Result<Vec<&'a str>, String> {
    gguf.array(key)
        .ok_or(format!("{key} is missing"))?
        .iter()
        .map(|value| match value {
            Value::String(text) => Ok(text.as_str()),
            other => Err(format!("{key} holds {other:?}")),
        })
        .collect()
}

fn integer(value: &Value) -> Option<usize> {
    value.to_size()
}
