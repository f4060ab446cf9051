//! Text of bytes that come piece by piece.

/// Makes text of UTF-8 that arrives in pieces cut anywhere.
///
/// A tokenizer's tokens are bytes, and a character may be spread over several of them.
/// Bytes that may still become a character are held back, three at most; bytes that
/// cannot become U+FFFD as with [`String::from_utf8_lossy`], and all pieces together are
/// the text that it gives of all bytes.
#[derive(Clone, Debug, Default)]
pub struct Utf8Decoder {
    /// The beginning of a character.
    held: Vec<u8>,
}

impl Utf8Decoder {
    /// The text that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest: &[u8] = &self.held;
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => error,
            };
            let (valid, behind) = rest.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(valid).expect("valid so far"));
            match error.error_len() {
                Some(n) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[n..];
                }
                None => {
                    rest = behind;
                    break;
                }
            }
        }
        self.held = rest.to_vec();
        text
    }

    /// The end: U+FFFD for a character that never became whole, else nothing.
    #[must_use]
    pub fn finish(self) -> &'static str {
        match self.held.is_empty() {
            true => "",
            false => "\u{FFFD}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Utf8Decoder::default();
        let mut texts: Vec<String> = pieces.iter().map(|piece| decoder.push(piece)).collect();
        texts.push(decoder.finish().to_owned());
        texts
    }

    /// llama-cpp-python#372, #57, java-llama.cpp#3.
    #[test]
    fn a_character_that_spans_pieces_comes_whole_with_its_last() {
        let crab = "🦀".as_bytes();
        let pieces = in_pieces(&[b"a", &crab[..1], &crab[1..3], &crab[3..], b"z"]);
        assert_eq!(pieces, ["a", "", "", "🦀", "z", ""]);
        // The end of one and the beginning of the next in one piece, over and over.
        let text = "漢字かな🚀⭐";
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(2).collect();
        assert_eq!(in_pieces(&bytes).concat(), text);
    }

    #[test]
    fn bytes_that_are_no_character_are_replaced_as_soon_as_that_is_known() {
        assert_eq!(in_pieces(&[b"\xff", b"a"]), ["\u{FFFD}", "a", ""]);
        assert_eq!(in_pieces(&[b"\xf0\x9f", b"a"]), ["", "\u{FFFD}a", ""]);
        assert_eq!(in_pieces(&[b"a\xf0\x9f\x98"]), ["a", "\u{FFFD}"]);
        // A character that a model wrote itself is not held back.
        assert_eq!(in_pieces(&["\u{FFFD}".as_bytes()]), ["\u{FFFD}", ""]);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text_of_the_whole(
            whole in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "\\PC{0,20}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(1usize..5, 0..40),
        ) {
            let mut rest = &whole[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            prop_assert_eq!(in_pieces(&pieces).concat(), String::from_utf8_lossy(&whole));
        }
    }
}
