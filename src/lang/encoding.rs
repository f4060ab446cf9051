//! Encodings of source files, by the names that the files give them.
use encoding_rs::Encoding as Table;

/// How a file's text is written as bytes. A line feed and a carriage return are never part of
/// another character, so that a file can be cut into lines before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Ascii,
    Utf16Le,
    Utf16Be,
    /// One of the Encoding Standard.
    Standard(&'static Table),
    /// An ISO encoding for which the Encoding Standard has Microsoft's extension of it: bytes
    /// 0x80 to 0x9f are control characters, as Python reads them.
    Iso(&'static str, &'static Table),
}

/// Emacs' endings of a name, which say how lines end.
const LINE_END_SUFFIXES: [&str; 3] = ["-unix", "-dos", "-mac"];

impl Encoding {
    /// The encoding of that name, as Python or the Encoding Standard spell it.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        let mut name = name.as_str();
        for suffix in LINE_END_SUFFIXES {
            name = name.strip_suffix(suffix).unwrap_or(name);
        }
        Some(match name {
            "utf-8" | "utf8" | "u8" | "utf" | "cp65001" | "utf-8-sig" => Self::Utf8,
            "ascii" | "us-ascii" | "646" => Self::Ascii,
            "utf-16le" | "utf-16-le" => Self::Utf16Le,
            "utf-16be" | "utf-16-be" => Self::Utf16Be,
            "iso-8859-1" | "iso8859-1" | "latin-1" | "latin1" | "l1" | "iso-latin-1" | "8859"
            | "cp819" => Self::Iso("iso-8859-1", encoding_rs::WINDOWS_1252),
            "iso-8859-9" | "iso8859-9" | "latin-5" | "latin5" | "l5" => {
                Self::Iso("iso-8859-9", encoding_rs::WINDOWS_1254)
            }
            "iso-8859-11" | "iso8859-11" | "thai" => {
                Self::Iso("iso-8859-11", encoding_rs::WINDOWS_874)
            }
            _ => {
                let table = Table::for_label_no_replacement(standard_label(name).as_bytes())?;
                // Else a byte of a line end may be half a character, or shift what follows.
                return table.is_ascii_compatible().then_some(Self::Standard(table));
            }
        })
    }

    /// A name that [`Self::named`] takes, in small letters: `iso-8859-1`.
    pub fn name(self) -> String {
        match self {
            Self::Utf8 => "utf-8".to_owned(),
            Self::Ascii => "ascii".to_owned(),
            Self::Utf16Le => "utf-16le".to_owned(),
            Self::Utf16Be => "utf-16be".to_owned(),
            Self::Standard(table) => table.name().to_ascii_lowercase(),
            Self::Iso(name, _) => name.to_owned(),
        }
    }

    /// The text of `bytes`, which begin with no byte order mark; `None` where they are none of
    /// this encoding.
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Self::Ascii => bytes
                .is_ascii()
                .then(|| String::from_utf8_lossy(bytes).into_owned()),
            Self::Utf16Le => from_utf16(bytes, u16::from_le_bytes),
            Self::Utf16Be => from_utf16(bytes, u16::from_be_bytes),
            Self::Standard(table) => table
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(Into::into),
            Self::Iso(_, table) => bytes.iter().map(|&byte| iso_char(table, byte)).collect(),
        }
    }

    /// The bytes of `text`. Errors: the first character that the encoding does not have.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, char> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Ascii => match text.chars().find(|c| !c.is_ascii()) {
                Some(foreign) => Err(foreign),
                None => Ok(text.as_bytes().to_vec()),
            },
            Self::Utf16Le => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            Self::Utf16Be => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Self::Standard(table) => {
                let mut bytes = Vec::with_capacity(text.len());
                for c in text.chars() {
                    let mut utf8 = [0; 4];
                    let (encoded, _, is_foreign) = table.encode(c.encode_utf8(&mut utf8));
                    if is_foreign {
                        return Err(c);
                    }
                    bytes.extend_from_slice(&encoded);
                }
                Ok(bytes)
            }
            Self::Iso(_, table) => {
                let byte_of = |c| (0..=u8::MAX).find(|&byte| iso_char(table, byte) == Some(c));
                text.chars().map(|c| byte_of(c).ok_or(c)).collect()
            }
        }
    }

    /// Bytes of a line feed or a carriage return: 1, in UTF-16 2.
    pub(super) fn unit_bytes(self) -> usize {
        match self {
            Self::Utf16Le | Self::Utf16Be => 2,
            _ => 1,
        }
    }

    /// The encoding that a byte order mark at the start of a file says, and the bytes of the mark.
    pub(super) fn of_mark(bytes: &[u8]) -> Option<(Self, usize)> {
        match bytes {
            [0xef, 0xbb, 0xbf, ..] => Some((Self::Utf8, 3)),
            // With two zero bytes behind it, UTF-32's.
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some((Self::Utf16Le, 2)),
            [0xfe, 0xff, ..] => Some((Self::Utf16Be, 2)),
            _ => None,
        }
    }
}

/// Python's spellings as the Encoding Standard has them.
fn standard_label(name: &str) -> String {
    if let Some(page) = name.strip_prefix("cp") {
        return match page {
            "866" => "ibm866".to_owned(),
            "932" => "shift_jis".to_owned(),
            "936" => "gbk".to_owned(),
            "949" => "euc-kr".to_owned(),
            "950" => "big5".to_owned(),
            _ => format!("windows-{page}"),
        };
    }
    let joined = name.replacen("latin-", "latin", 1);
    match joined.as_str() {
        "latin7" | "l7" => "iso-8859-13",
        "latin8" | "l8" => "iso-8859-14",
        "latin9" | "l9" => "iso-8859-15",
        "latin10" | "l10" => "iso-8859-16",
        "eucjp" | "ujis" => "euc-jp",
        "euckr" => "euc-kr",
        "shift-jis" | "shiftjis" => "shift_jis",
        "mac-roman" | "macroman" => "macintosh",
        "mac-cyrillic" => "x-mac-cyrillic",
        other => other,
    }
    .to_owned()
}

fn iso_char(table: &'static Table, byte: u8) -> Option<char> {
    if byte < 0xa0 {
        return Some(char::from(byte));
    }
    let bytes = [byte];
    let text = table.decode_without_bom_handling_and_without_replacement(&bytes)?;
    text.chars().next()
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Encoding {
        Encoding::named(name).unwrap_or_else(|| panic!("{name} is known"))
    }

    #[test]
    fn names_are_taken_as_python_spells_them() {
        for (spelt, name) in [
            ("Latin-1", "iso-8859-1"),
            ("latin_1", "iso-8859-1"),
            ("iso-8859-1-unix", "iso-8859-1"),
            ("utf_8", "utf-8"),
            ("utf-8-sig", "utf-8"),
            ("cp1252", "windows-1252"),
            ("latin-2", "iso-8859-2"),
            ("iso-8859-15", "iso-8859-15"),
            ("latin9", "iso-8859-15"),
            ("koi8-r", "koi8-r"),
            ("cp932", "shift_jis"),
            ("euc_jp", "euc-jp"),
            ("gb2312", "gbk"),
        ] {
            assert_eq!(named(spelt).name(), name, "{spelt}");
            assert_eq!(named(name), named(spelt), "{spelt}");
        }
        for unknown in ["klingon", "utf-7", "iso-2022-jp", "cp437", "utf-16", ""] {
            assert_eq!(Encoding::named(unknown), None, "{unknown}");
        }
    }

    /// Latin-1 has control characters where windows-1252 has letters and marks.
    #[test]
    fn every_byte_of_an_iso_encoding_comes_back() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for name in ["iso-8859-1", "iso-8859-9"] {
            let text = named(name).decode(&all).unwrap();
            assert_eq!(named(name).encode(&text).unwrap(), all, "{name}");
            assert!(text.contains('\u{80}') && text.contains('\u{9f}'), "{name}");
        }
        assert_eq!(named("latin-1").encode("aß€"), Err('€'));
        assert_eq!(named("cp1252").encode("a€").unwrap(), b"a\x80");
        assert_eq!(named("ascii").encode("é"), Err('é'));
        assert_eq!(named("ascii").decode(b"\xe9"), None);
    }

    #[test]
    fn bytes_of_another_encoding_are_refused() {
        assert_eq!(Encoding::Utf8.decode(b"\xe9"), None);
        assert_eq!(Encoding::Utf16Le.decode(b"a"), None);
        assert_eq!(Encoding::Utf16Le.decode(b"\x00\xd8a\x00"), None);
        assert_eq!(Encoding::Utf16Be.decode(b"\0a").as_deref(), Some("a"));
        assert_eq!(named("shift_jis").decode(b"\x81"), None);
    }
}
