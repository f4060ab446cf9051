//! The text of each token, for display beside its entropy.
use crate::base::Utf8Decoder;

/// Splits decoded tokens into one piece of text each; together they are the text of all.
///
/// A character whose bytes are spread over several tokens belongs to the last of them;
/// the others get what they complete, an empty piece most often. `bytes_of` gives a
/// token's bytes.
pub fn token_pieces<'a>(tokens: &[u32], bytes_of: impl Fn(u32) -> &'a [u8]) -> Vec<String> {
    let mut decoder = Utf8Decoder::default();
    let mut pieces: Vec<String> = tokens
        .iter()
        .map(|&token| decoder.push(bytes_of(token)))
        .collect();
    if let Some(last) = pieces.last_mut() {
        last.push_str(decoder.finish());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of a vocabulary whose tokens are these.
    fn pieces(tokens: &[&[u8]]) -> Vec<String> {
        let ids: Vec<u32> = (0..tokens.len() as u32).collect();
        token_pieces(&ids, |id| tokens[id as usize])
    }

    #[test]
    fn a_character_of_several_tokens_belongs_to_its_last() {
        let tokens: Vec<&[u8]> = "aé€b".as_bytes().chunks(1).collect();
        assert_eq!(pieces(&tokens), ["a", "", "é", "", "", "€", "b"]);
    }

    #[test]
    fn broken_bytes_are_shown_and_never_swallow_what_follows() {
        assert_eq!(
            pieces(&[b"\xff", b"a", b"\xc3"]),
            ["\u{FFFD}", "a", "\u{FFFD}"]
        );
    }

    /// llama-cpp-python#372: no token of a row of emoji need end where one of them does.
    #[test]
    fn characters_that_no_token_ends_with_are_whole_all_the_same() {
        let text = "🚀🦀🌟🎉";
        let bytes = text.as_bytes();
        let mut tokens = vec![&bytes[..1]];
        tokens.extend(bytes[1..].chunks(2));
        assert_eq!(pieces(&tokens).concat(), text);
    }
}
