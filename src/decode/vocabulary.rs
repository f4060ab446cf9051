//! The tokenizer's vocabulary as llguidance wants it: a trie of token bytes.
use super::DecodeError;
use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use std::sync::Arc;

/// Longest token that the trie's node format can hold, bytes.
const TOKEN_BYTES_MAX: usize = 1_000;

/// Tokens of plain text, as the model's tokenizer gives them, never special
/// ones. Called with valid UTF-8 only.
pub type Tokenize = Arc<dyn Fn(&[u8]) -> Vec<u32> + Send + Sync>;

/// A vocabulary and the tokenizer that goes with it.
pub(super) struct VocabularyEnv {
    trie: TokTrie,
    tokenize: Tokenize,
}

/// Checks that a grammar can be held to a vocabulary, by the bytes of each token: at once, while
/// making a [`super::GrammarFactory`] takes a while. Errors: `Vocabulary`.
pub fn check_vocabulary(
    token_bytes: impl ExactSizeIterator<Item = usize>,
    eos: u32,
) -> Result<(), DecodeError> {
    let wrong = |what: String| Err(DecodeError::Vocabulary(what));
    let n = token_bytes.len();
    if eos as usize >= n {
        return wrong(format!("eos token {eos} is not one of its {n} tokens"));
    }
    let too_long = token_bytes
        .enumerate()
        .find(|(_, len)| *len > TOKEN_BYTES_MAX);
    match too_long {
        Some((id, len)) => wrong(format!(
            "token {id} is {len} bytes long; {TOKEN_BYTES_MAX} is the limit"
        )),
        None => Ok(()),
    }
}

impl VocabularyEnv {
    /// Errors: `Vocabulary`.
    pub(super) fn new(
        token_bytes: Vec<Vec<u8>>,
        special: &[bool],
        eos: u32,
        tokenize: Tokenize,
    ) -> Result<Self, DecodeError> {
        let n = token_bytes.len();
        let wrong = |what: String| Err(DecodeError::Vocabulary(what));
        if n != special.len() {
            let flags = special.len();
            return wrong(format!("{n} tokens came with {flags} special flags"));
        }
        check_vocabulary(token_bytes.iter().map(Vec::len), eos)?;
        let is_added = |id: usize, bytes: &[u8]| {
            special[id] || is_bracketed(bytes) && tokenize(bytes) != [id as u32]
        };
        let words: Vec<Vec<u8>> = (token_bytes.into_iter().enumerate())
            .map(|(id, bytes)| {
                let added = is_added(id, &bytes);
                word(bytes, added)
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(n as u32, eos), &words);
        Ok(Self { trie, tokenize })
    }

    /// Plain text; greedy longest matches where the tokenizer's tokens do not
    /// spell it byte for byte (a normaliser changed it).
    fn tokenize_text(&self, text: &str) -> Vec<TokenId> {
        let tokens = (self.tokenize)(text.as_bytes());
        let spelled = tokens.iter().flat_map(|&token| self.trie.token(token));
        if spelled.eq(text.as_bytes()) {
            tokens
        } else {
            self.trie.greedy_tokenize(text.as_bytes())
        }
    }
}

/// `<...>`: what an added token that stands for text looks like (Qwen's
/// `<tool_call>` is not flagged special). A few hundred ordinary tokens do too
/// (`</div>`), but plain text encodes to those.
fn is_bracketed(bytes: &[u8]) -> bool {
    bytes.len() > 2 && bytes.starts_with(b"<") && bytes.ends_with(b">") && bytes.is_ascii()
}

/// A token's bytes in the trie: added ones behind a marker byte that no text
/// holds, which keeps text and added tokens apart. The ordinary token of
/// that one byte (never part of valid UTF-8) is left out for it.
fn word(bytes: Vec<u8>, added: bool) -> Vec<u8> {
    const MARKER: u8 = TokTrie::SPECIAL_TOKEN_MARKER;
    match (bytes.first(), added) {
        (None, _) => bytes,
        (Some(_), true) => [&[MARKER], bytes.as_slice()].concat(),
        (Some(&MARKER), false) => Vec::new(),
        (Some(_), false) => bytes,
    }
}

impl TokenizerEnv for VocabularyEnv {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie
            .tokenize_with_greedy_fallback(bytes, |text| self.tokenize_text(text))
    }
}
