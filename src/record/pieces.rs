//! The text of each token, for display beside its entropy.

/// A character of UTF-8 takes at most four bytes, so at most four byte tokens.
const TOKENS_PER_CHARACTER_MAX: usize = 4;

/// Splits decoded tokens into one piece of text each.
///
/// A character whose bytes are spread over several tokens belongs to the last
/// of them; the others get an empty piece. `decode` turns a few tokens into
/// text and writes U+FFFD for bytes that are no whole character. Cost: one
/// `decode` of at most four tokens a token.
pub fn token_pieces(tokens: &[u32], decode: impl Fn(&[u32]) -> String) -> Vec<String> {
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut start = 0;
    for end in 1..=tokens.len() {
        let text = decode(&tokens[start..end]);
        let incomplete = text.ends_with(char::REPLACEMENT_CHARACTER);
        let may_wait = end < tokens.len() && end - start < TOKENS_PER_CHARACTER_MAX;
        if incomplete && may_wait {
            pieces.push(String::new());
        } else {
            pieces.push(text);
            start = end;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte a token, as in a byte-fallback vocabulary.
    fn bytes(tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().map(|&t| t as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_character_of_several_tokens_belongs_to_its_last() {
        let tokens: Vec<u32> = "aé€b".bytes().map(u32::from).collect();
        let pieces = token_pieces(&tokens, bytes);
        assert_eq!(pieces, ["a", "", "é", "", "", "€", "b"]);
    }

    #[test]
    fn broken_bytes_are_shown_and_never_swallow_what_follows() {
        let pieces = token_pieces(&[0xff, 0x61, 0xc3], bytes);
        assert_eq!(pieces.concat(), bytes(&[0xff, 0x61, 0xc3]));
        assert_eq!(pieces.len(), 3);
    }
}
