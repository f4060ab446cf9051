//! GPT-2's printable alphabet for bytes (Radford et al. 2019, `encoder.py`):
//! printable Latin-1 bytes stand for themselves, the other 68 for the
//! characters from U+0100 on, in order.

/// The bytes that a token's text stands for; `None` if it has a character
/// outside the alphabet.
pub(super) fn to_bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(to_byte).collect()
}

fn to_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..=0xFF => {
            let byte = code as u8;
            is_printable(byte).then_some(byte)
        }
        code => {
            let rank = usize::try_from(code - 0x100).ok()?;
            (0..=0xFF).filter(|&byte| !is_printable(byte)).nth(rank)
        }
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_one_character_for_each_byte() {
        let mut bytes: Vec<u8> = (0..0x200)
            .filter_map(char::from_u32)
            .filter_map(to_byte)
            .collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=0xFF).collect::<Vec<u8>>());
    }

    #[test]
    fn space_and_newline_are_the_well_known_characters() {
        assert_eq!(to_bytes("Ġdef").unwrap(), b" def");
        assert_eq!(to_bytes("Ċ").unwrap(), b"\n");
        assert_eq!(to_bytes(" "), None);
    }
}
