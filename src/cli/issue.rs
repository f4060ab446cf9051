//! The text of an issue, from a file or from standard input.
use super::out;
use anyhow::{Context, bail};
use std::io::Read;
use std::path::Path;

/// Reads an issue; `-` is standard input. UTF-16 with a byte order mark is read as such, and
/// bytes that are no UTF-8 as Latin-1, which a note says.
///
/// Errors: no such file, an empty issue.
pub fn read_issue(path: &Path) -> anyhow::Result<String> {
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("standard input cannot be read")?;
            bytes
        }
        false => std::fs::read(path).map_err(|error| {
            let named = path.to_string_lossy();
            match error.kind() {
                // A text in the place of its file's name.
                _ if named.contains(char::is_whitespace) && !path.exists() => anyhow::anyhow!(
                    "--issue takes a file, and there is none called {:?}; give the text itself to \
                     standard input, with --issue -",
                    shortened(&named)
                ),
                _ => anyhow::anyhow!("cannot read the issue {}: {error}", path.display()),
            }
        })?,
    };
    let (text, is_guess) = decode(&bytes);
    if is_guess {
        out::note("the issue is no UTF-8 text; it is read as Latin-1");
    }
    if text.trim().is_empty() {
        bail!("the issue is empty; say in a sentence or two what is wrong");
    }
    Ok(text)
}

/// Characters of a text that was taken for a name.
const NAME_CHARS_MAX: usize = 40;

fn shortened(text: &str) -> String {
    match text.chars().count() > NAME_CHARS_MAX {
        true => text.chars().take(NAME_CHARS_MAX).collect::<String>() + "...",
        false => text.to_owned(),
    }
}

/// The text, and true where its encoding is a guess. NULs, which no model is shown, go.
fn decode(bytes: &[u8]) -> (String, bool) {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text = char::decode_utf16(units);
        text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    let (text, is_guess) = match bytes {
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes), false),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes), false),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => (text.to_owned(), false),
                Err(_) => (bytes.iter().map(|&byte| char::from(byte)).collect(), true),
            }
        }
    };
    (text.replace('\0', "").replace("\r\n", "\n"), is_guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// qwen-code#1936, mini-swe-agent#945: texts as other systems save them.
    #[test]
    fn an_issue_is_read_in_the_encoding_that_it_has() {
        let wide = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let units = "größer 🦀\r\n".encode_utf16().flat_map(bytes);
            mark.into_iter().chain(units).collect()
        };
        for (bytes, is_guess) in [
            ("größer 🦀\n".as_bytes().to_vec(), false),
            ("\u{feff}größer 🦀\n".as_bytes().to_vec(), false),
            (wide([0xff, 0xfe], u16::to_le_bytes), false),
            (wide([0xfe, 0xff], u16::to_be_bytes), false),
        ] {
            assert_eq!(decode(&bytes), ("größer 🦀\n".to_owned(), is_guess));
        }
        assert_eq!(decode(b"gr\xf6\xdfer\n"), ("größer\n".to_owned(), true));
    }

    #[test]
    fn a_text_in_the_place_of_a_file_is_told_how_to_be_given() {
        let text = "`total` forgets the first price.\nIt should not, for no list at all.";
        let error = read_issue(Path::new(text)).unwrap_err().to_string();
        assert!(
            error.contains("--issue -") && !error.contains('\n'),
            "{error}"
        );
        let error = read_issue(Path::new("no/such.md")).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read the issue no/such.md"),
            "{error}"
        );
    }
}
