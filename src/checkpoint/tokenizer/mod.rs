//! Text to token ids and back, exactly as the model was trained.
mod byte_level;
mod source;
mod split;

use super::CheckpointError;
use super::gguf::GgufFile;
use super::safetensors_dir::SafetensorsDir;
use super::special::SpecialTokens;
use regex::Regex;
use source::{AddedToken, Parts};
use std::collections::HashMap;
use std::path::Path;

/// A byte-level BPE tokenizer with its added tokens held apart.
///
/// The added tokens (`<|im_end|>`, `<tool_call>`) are not in the BPE's own
/// vocabulary and are recognised by [`Tokenizer::encode_special`] alone, so
/// that no text that a user's file holds can forge one.
pub struct Tokenizer {
    /// Normaliser, pre-tokenizer and BPE; knows no added token.
    bpe: tokenizers::Tokenizer,
    /// Matches any added token's text, the longest first; `None` if there is none.
    added_pattern: Option<Regex>,
    added_ids: HashMap<String, u32>,
    /// All tokens' bytes, one after the other; token `id` ends at `ends[id]`.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    special: Vec<bool>,
}

impl Tokenizer {
    /// From a GGUF file's metadata; `size` is the number of logit rows, V.
    pub(super) fn from_gguf(gguf: &GgufFile, size: usize) -> Result<Self, CheckpointError> {
        Self::from_parts(source::from_gguf(gguf), gguf.path(), size)
    }

    /// From a tokenizer.json; `size` is the number of logit rows, V.
    pub fn from_file(path: &Path, size: usize) -> Result<Self, CheckpointError> {
        Self::from_parts(source::from_file(path), path, size)
    }

    /// A sentence where a GGUF file does not say how its text is cut.
    pub(super) fn note_of_gguf(gguf: &GgufFile) -> Option<String> {
        let names_pre = gguf
            .str("tokenizer.ggml.pre")
            .is_some_and(|pre| !pre.is_empty());
        let is_bpe = gguf.str("tokenizer.ggml.model") == Some("gpt2");
        (is_bpe && !names_pre).then(|| {
            "the file has no tokenizer.ggml.pre, so text is cut as llama.cpp's \"default\" does, \
             which may not be as the model was trained; a newer conversion names it"
                .to_owned()
        })
    }

    /// From a folder's tokenizer.json and the files beside it; `size` is the number of
    /// logit rows, V.
    pub(super) fn of_dir(dir: &SafetensorsDir, size: usize) -> Result<Self, CheckpointError> {
        let path = dir.path().join("tokenizer.json");
        if !path.exists() {
            return Err(CheckpointError::Tokenizer {
                path,
                reason: "it is not there, and vocab.json, merges.txt and *.model are not read in its place; save it with transformers' AutoTokenizer".into(),
            });
        }
        let side = SpecialTokens::of_dir(dir)?;
        let parts = source::from_file(&path);
        let parts = parts.and_then(|parts| source::with_side_tokens(parts, &side.added));
        Self::from_parts(parts, &path, size)
    }

    /// What ends a text of [`Tokenizer::of_bytes`].
    pub(super) const END_OF_BYTES: &str = "<|end|>";

    /// A token a byte, and one that ends a text, for weights that were never trained;
    /// `size` is the number of logit rows, V. `name` is for messages.
    pub(super) fn of_bytes(name: &Path, size: usize) -> Result<Self, CheckpointError> {
        Self::from_parts(source::of_bytes(Self::END_OF_BYTES), name, size)
    }

    fn from_parts(
        parts: Result<Parts, String>,
        path: &Path,
        size: usize,
    ) -> Result<Self, CheckpointError> {
        parts
            .and_then(|parts| Self::build(parts, size))
            .map_err(|reason| CheckpointError::Tokenizer {
                path: path.to_owned(),
                reason,
            })
    }

    fn build(parts: Parts, size: usize) -> Result<Self, String> {
        // Rows beyond the vocabulary (padding) have no bytes and are special,
        // so that nothing decodes or samples them as text.
        let mut by_id: Vec<(Vec<u8>, bool)> = vec![(Vec::new(), true); size];
        let mut place = |id: u32, bytes: Vec<u8>, special: bool| match by_id.get_mut(id as usize) {
            Some(slot) => {
                *slot = (bytes, special);
                Ok(())
            }
            None => Err(format!(
                "token {id} lies beyond the {size} rows of the logits"
            )),
        };
        for (text, id) in parts.bpe.get_vocab(false) {
            let bytes = byte_level::to_bytes(&text).ok_or_else(|| {
                format!("token {id} ({text:?}) is not written in byte-level characters")
            })?;
            place(id, bytes, false)?;
        }
        for AddedToken { id, text, special } in &parts.added {
            place(*id, text.clone().into_bytes(), *special)?;
        }
        let mut ends = Vec::with_capacity(size);
        let mut bytes = Vec::new();
        for (token, _) in &by_id {
            bytes.extend_from_slice(token);
            ends.push(bytes.len());
        }
        Ok(Self {
            added_pattern: pattern(&parts.added)?,
            added_ids: parts.added.into_iter().map(|a| (a.text, a.id)).collect(),
            bpe: parts.bpe,
            bytes,
            ends,
            special: by_id.into_iter().map(|(_, special)| special).collect(),
        })
    }

    /// Tokens of plain text; text that looks like an added token stays text.
    ///
    /// Where the model's normaliser is NFC (Qwen2), text that is not in that
    /// form does not come back the same from [`Tokenizer::decode`].
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.bpe
            .encode_fast(text, false)
            .expect("byte-level BPE has a token for every byte")
            .get_ids()
            .to_vec()
    }

    /// Tokens of template text; added tokens become their ids.
    pub fn encode_special(&self, text: &str) -> Vec<u32> {
        let Some(pattern) = &self.added_pattern else {
            return self.encode(text);
        };
        let mut tokens = Vec::new();
        let mut plain_from = 0;
        for found in pattern.find_iter(text) {
            tokens.extend(self.encode(&text[plain_from..found.start()]));
            tokens.push(self.added_ids[found.as_str()]);
            plain_from = found.end();
        }
        tokens.extend(self.encode(&text[plain_from..]));
        tokens
    }

    /// Text of tokens, added tokens spelled out; invalid UTF-8 becomes U+FFFD.
    /// Ids beyond the vocabulary are nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&id| self.token_bytes(id))
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The raw bytes of a token: an added token's text, nothing for an id that
    /// the vocabulary does not use.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return &[];
        };
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    /// True for control tokens (`<|im_end|>`) and for ids that the vocabulary
    /// does not use; false for text and for added tokens that stand for text
    /// (`<tool_call>`).
    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(true)
    }

    /// The id of an added token by its text.
    pub fn added_id(&self, text: &str) -> Option<u32> {
        self.added_ids.get(text).copied()
    }

    /// Number of rows in the logits, V; may exceed the vocabulary.
    pub fn size(&self) -> usize {
        self.ends.len()
    }
}

/// A pattern that matches every added token, the longest where one begins another.
fn pattern(added: &[AddedToken]) -> Result<Option<Regex>, String> {
    let mut texts: Vec<&str> = added.iter().map(|token| token.text.as_str()).collect();
    texts.retain(|text| !text.is_empty());
    if texts.is_empty() {
        return Ok(None);
    }
    // Of alternatives that match at one place the first is taken.
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let alternatives: Vec<String> = texts.into_iter().map(regex::escape).collect();
    Regex::new(&alternatives.join("|"))
        .map(Some)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer.json of five tokens of text, two added ones and a post-processor.
    fn json() -> serde_json::Value {
        serde_json::json!({
            "version": "1.0",
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "model": {
                "type": "BPE",
                "vocab": {"<": 0, "e": 1, ">": 2, "Ġ": 3, "<e": 4, "<e>": 5},
                "merges": [["<", "e"]],
            },
            "added_tokens": [
                {"id": 5, "content": "<e>", "special": true},
                {"id": 6, "content": "<e>>", "special": false},
            ],
        })
    }

    fn load(json: &serde_json::Value, size: usize) -> Result<Tokenizer, CheckpointError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json.to_string()).unwrap();
        Tokenizer::from_file(file.path(), size)
    }

    #[test]
    fn a_tokenizer_json_is_read_with_its_added_tokens_held_apart() {
        let tokenizer = load(&json(), 8).unwrap();
        // "<" and "e" merge; the added token that the vocabulary also lists is not reached.
        assert_eq!(tokenizer.encode("e <e>"), [1, 3, 4, 2]);
        // The longest added token wins, as in the crate's own matcher.
        assert_eq!(tokenizer.encode_special("e<e><e>>>"), [1, 5, 6, 2]);
        assert_eq!(tokenizer.decode(&[3, 5, 6, 7, 99]), " <e><e>>");
        assert_eq!(tokenizer.added_id("<e>>"), Some(6));
        let special: Vec<u32> = (0..8).filter(|&id| tokenizer.is_special(id)).collect();
        assert_eq!(special, [5, 7]);
        assert_eq!(tokenizer.size(), 8);
    }

    #[test]
    fn a_tokenizer_json_that_this_program_would_read_wrongly_is_refused() {
        let refusal = |change: &dyn Fn(&mut serde_json::Value), size| {
            let mut json = json();
            change(&mut json);
            load(&json, size).err().expect("a refusal").to_string()
        };
        let unigram = refusal(&|json| json["model"]["type"] = "Unigram".into(), 8);
        assert!(unigram.contains("\"Unigram\""), "{unigram}");
        let strip = refusal(&|json| json["added_tokens"][0]["lstrip"] = true.into(), 8);
        assert!(strip.contains("\"lstrip\""), "{strip}");
        let small = refusal(&|_| (), 6);
        assert!(small.contains("token 6 lies beyond the 6 rows"), "{small}");
    }
}
