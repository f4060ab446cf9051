//! A toy vocabulary: a token a byte, and a few special tokens.
use crate::engine::Vocabulary;

/// Tokens 0 to 255 are bytes; from 256 on, special tokens.
#[derive(Clone, Debug)]
pub struct ByteVocabulary {
    special: Vec<String>,
}

/// The special tokens of Qwen2.5 that an agent meets; the first ends a turn.
const CHAT_ML: [&str; 5] = [
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<tool_call>",
    "</tool_call>",
];

const FIRST_SPECIAL: u32 = 256;

/// Every byte at its own place.
const BYTES: [u8; FIRST_SPECIAL as usize] = {
    let mut bytes = [0; FIRST_SPECIAL as usize];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

impl ByteVocabulary {
    /// Bytes with ChatML's special tokens.
    pub fn chat_ml() -> Self {
        Self {
            special: CHAT_ML.map(String::from).to_vec(),
        }
    }

    /// The same with more special tokens; those that are there are passed over.
    #[must_use]
    pub fn with<'a>(mut self, special: impl IntoIterator<Item = &'a str>) -> Self {
        for text in special {
            if !self.special.iter().any(|known| known == text) {
                self.special.push(text.to_owned());
            }
        }
        self
    }

    /// The token that ends a turn.
    pub fn end_of_turn(&self) -> u32 {
        FIRST_SPECIAL
    }

    /// The special tokens' texts; the n-th is token `256 + n`.
    pub fn special(&self) -> &[String] {
        &self.special
    }
}

impl Vocabulary for ByteVocabulary {
    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn encode_special(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let special = self.special.iter().position(|s| rest.starts_with(s));
            match special {
                Some(index) => {
                    tokens.push(FIRST_SPECIAL + index as u32);
                    rest = &rest[self.special[index].len()..];
                }
                None => {
                    let step = rest.chars().next().map_or(1, char::len_utf8);
                    tokens.extend(rest[..step].bytes().map(u32::from));
                    rest = &rest[step..];
                }
            }
        }
        tokens
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let bytes = tokens.iter().flat_map(|&token| self.token_bytes(token));
        String::from_utf8_lossy(&bytes.copied().collect::<Vec<u8>>()).into_owned()
    }

    fn token_bytes(&self, token: u32) -> &[u8] {
        match token.checked_sub(FIRST_SPECIAL) {
            None => &BYTES[token as usize..][..1],
            Some(index) => self
                .special
                .get(index as usize)
                .map_or(&[], |s| s.as_bytes()),
        }
    }

    fn size(&self) -> usize {
        FIRST_SPECIAL as usize + self.special.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_special_stays_text_unless_asked() {
        let vocabulary = ByteVocabulary::chat_ml();
        let text = "é<|im_end|>x";
        assert_eq!(vocabulary.encode(text).len(), text.len());
        let special = vocabulary.encode_special(text);
        assert_eq!(special.len(), 4);
        assert_eq!(special[2], vocabulary.end_of_turn());
        assert_eq!(vocabulary.decode(&special), text);
        assert_eq!(vocabulary.decode(&vocabulary.encode(text)), text);
    }
}
