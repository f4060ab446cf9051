//! A text file: its text, and all of its bytes that are not text.
//!
//! The encoding is that of a byte order mark, else the one that the language finds declared
//! (`Language::declared_encoding`), else UTF-8. An edit gives a [`Merged`], a text that says
//! of each of its lines which line of the old text it is. [`TextFile::encode`] then writes
//! unchanged lines byte for byte.
use super::encoding::Encoding;
use super::{Merged, of_path};
use std::path::Path;

/// The text of a file, and what it takes to write a changed text back so that every byte that
/// no change named stays: the encoding, a byte order mark, each line's own end, a missing end of
/// the last line.
#[derive(Clone, Debug)]
pub struct TextFile {
    path: String,
    text: String,
    bytes: Vec<u8>,
    encoding: Encoding,
    /// The name by which the text declares its encoding.
    declared: Option<String>,
    /// Bytes of the byte order mark.
    mark_bytes: usize,
    lines: Vec<Line>,
}

/// A line's bytes.
#[derive(Clone, Debug)]
struct Line {
    /// Behind the byte order mark, from 0.
    start: usize,
    end: usize,
    line_end: LineEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Lf,
    CrLf,
    /// The end of every line of a file without a line feed.
    Cr,
    /// A last line that has none.
    None,
}

impl LineEnd {
    fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
            Self::None => "",
        }
    }
}

impl TextFile {
    /// Reads `bytes`, the content of the file `path`: by its byte order mark, else by the encoding
    /// that it declares as its language has it, else as UTF-8.
    ///
    /// Errors: one sentence on a binary file, or one of another or an unknown encoding.
    pub fn decode(path: &str, bytes: Vec<u8>) -> Result<Self, String> {
        let (marked, mark_bytes) = match Encoding::of_mark(&bytes) {
            Some((encoding, mark_bytes)) => (Some(encoding), mark_bytes),
            None => (None, 0),
        };
        let body = &bytes[mark_bytes..];
        let declared = match marked {
            Some(_) => None,
            None => of_path(path).declared_encoding(body),
        };
        if marked.is_none() && body.contains(&0) {
            return Err(format!("{path} is a binary file."));
        }
        let encoding = match (marked, &declared) {
            (Some(encoding), _) => encoding,
            (None, Some(name)) => named(path, name)?,
            (None, None) => Encoding::Utf8,
        };
        let text = encoding.decode(body);
        let text = text.ok_or_else(|| match (marked, &declared) {
            (None, None) => format!(
                "{path} is not UTF-8 text, and no byte order mark or declaration names another encoding."
            ),
            _ => format!("{path} is not {} text, as it says.", encoding.name()),
        })?;
        if text.contains('\0') {
            return Err(format!("{path} is a binary file."));
        }
        let is_cr = is_cr(&text);
        let lines = lines(body, encoding, is_cr);
        let text = match is_cr {
            true => text.replace('\r', "\n"),
            false => text.replace("\r\n", "\n"),
        };
        Ok(Self {
            path: path.to_owned(),
            text,
            encoding,
            declared,
            mark_bytes,
            lines,
            bytes,
        })
    }

    /// A file that is not there yet.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: String::new(),
            bytes: Vec::new(),
            encoding: Encoding::Utf8,
            declared: None,
            mark_bytes: 0,
            lines: Vec::new(),
        }
    }

    /// Reads the file `path` below `dir`; `None` where it cannot be read as text.
    pub fn read(dir: &Path, path: &str) -> Option<Self> {
        let bytes = std::fs::read(dir.join(path)).ok()?;
        Self::decode(path, bytes).ok()
    }

    /// The text, a line feed at each line's end, without the byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// The file as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The file's bytes with `new` in the place of its text. A line that stays keeps its bytes. A
    /// new one ends as the lines on both sides of it do, or where these differ as most lines do;
    /// the last one has an end if the last one had. A declaration that is new holds for the whole
    /// file.
    ///
    /// Errors: one sentence on a character that the encoding does not have, or a declared encoding
    /// that is not known.
    pub fn encode(&self, new: &Merged) -> Result<Vec<u8>, String> {
        let encoding = self.encoding_of(&new.text)?;
        let encoded = |text: &str| {
            encoding.encode(text).map_err(|foreign| {
                format!(
                    "{} is {} text, which has no character {foreign:?} (U+{:04X}): write it without that character.",
                    self.path,
                    encoding.name(),
                    u32::from(foreign)
                )
            })
        };
        let mut bytes = self.bytes[..self.mark_bytes].to_vec();
        if self.lines.is_empty() {
            bytes.extend(encoded(&new.text)?);
            return Ok(bytes);
        }
        let text = match self.mark_bytes {
            0 => new.text.as_str(),
            // A mark that stands there already is not written again.
            _ => new.text.trim_start_matches('\u{feff}'),
        };
        let n_lines = new.origins.len();
        let new_ends = self.new_ends(&new.origins);
        for (at, (line, &origin)) in text.lines().zip(&new.origins).enumerate() {
            let is_last = at + 1 == n_lines;
            let old = origin.map(|origin| &self.lines[origin]);
            match old {
                Some(old) if encoding == self.encoding => {
                    let body = &self.bytes[self.mark_bytes..];
                    bytes.extend_from_slice(&body[old.start..old.end]);
                }
                _ => bytes.extend(encoded(line)?),
            }
            let line_end = match old.map(|old| old.line_end) {
                Some(LineEnd::None) if is_last => LineEnd::None,
                Some(LineEnd::None) | None => match is_last && self.lacks_last_end() {
                    true => LineEnd::None,
                    false => new_ends[at],
                },
                Some(own) => own,
            };
            bytes.extend(encoded(line_end.text())?);
        }
        Ok(bytes)
    }

    fn encoding_of(&self, new: &str) -> Result<Encoding, String> {
        if self.mark_bytes > 0 {
            return Ok(self.encoding);
        }
        match of_path(&self.path).declared_encoding(new.as_bytes()) {
            now if now == self.declared => Ok(self.encoding),
            Some(name) => named(&self.path, &name),
            None => Ok(Encoding::Utf8),
        }
    }

    fn lacks_last_end(&self) -> bool {
        let last = self.lines.last();
        last.is_some_and(|last| last.line_end == LineEnd::None)
    }

    /// The end of each line if it were new: as the lines that stay on both sides of it have it, or
    /// where these differ as most lines do.
    fn new_ends(&self, origins: &[Option<usize>]) -> Vec<LineEnd> {
        let own = |origin: &Option<usize>| {
            let line_end = self.lines[(*origin)?].line_end;
            (line_end != LineEnd::None).then_some(line_end)
        };
        let mut behind = vec![None; origins.len() + 1];
        for at in (0..origins.len()).rev() {
            behind[at] = own(&origins[at]).or(behind[at + 1]);
        }
        let most = self.most_line_ends();
        let mut before = None;
        let mut ends = Vec::with_capacity(origins.len());
        for (at, origin) in origins.iter().enumerate() {
            let behind = behind[at + 1];
            ends.push(match (before, most) {
                (Some(before), _) if Some(before) == behind => before,
                (_, Some(most)) => most,
                (_, None) => before.or(behind).unwrap_or(LineEnd::Lf),
            });
            before = own(origin).or(before);
        }
        ends
    }

    /// The end of most lines; `None` where there is no such end.
    fn most_line_ends(&self) -> Option<LineEnd> {
        let count = |wanted: LineEnd| {
            let ends = self.lines.iter().map(|line| line.line_end);
            ends.filter(|line_end| *line_end == wanted).count()
        };
        let (lf, crlf) = (count(LineEnd::Lf), count(LineEnd::CrLf));
        match count(LineEnd::Cr) {
            0 if lf > crlf => Some(LineEnd::Lf),
            0 if lf < crlf => Some(LineEnd::CrLf),
            0 => None,
            _ => Some(LineEnd::Cr),
        }
    }
}

fn named(path: &str, name: &str) -> Result<Encoding, String> {
    Encoding::named(name)
        .ok_or_else(|| format!("{path} declares the encoding {name}, which is not known."))
}

/// True for a text whose lines end in carriage returns alone. Beside line feeds a carriage return
/// is a character like others: git ends no line there.
fn is_cr(text: &str) -> bool {
    text.contains('\r') && !text.contains('\n')
}

fn lines(body: &[u8], encoding: Encoding, is_cr: bool) -> Vec<Line> {
    let unit = encoding.unit_bytes();
    let is = |at: usize, wanted: u8| match encoding {
        Encoding::Utf16Le => body[at..at + unit] == [wanted, 0],
        Encoding::Utf16Be => body[at..at + unit] == [0, wanted],
        _ => body[at] == wanted,
    };
    let mut lines = Vec::new();
    let mut start = 0;
    for at in (0..body.len()).step_by(unit) {
        let line_end = match (is_cr, is(at, b'\n'), is(at, b'\r')) {
            (true, _, true) => LineEnd::Cr,
            (false, true, _) if at > start && is(at - unit, b'\r') => LineEnd::CrLf,
            (false, true, _) => LineEnd::Lf,
            _ => continue,
        };
        let end = match line_end {
            LineEnd::CrLf => at - unit,
            _ => at,
        };
        lines.push(Line {
            start,
            end,
            line_end,
        });
        start = at + unit;
    }
    if start < body.len() {
        lines.push(Line {
            start,
            end: body.len(),
            line_end: LineEnd::None,
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: &[u8]) -> TextFile {
        TextFile::decode(path, bytes.to_vec()).unwrap()
    }

    /// The bytes of a file with a range of its lines replaced.
    fn changed(path: &str, bytes: &[u8], range: std::ops::Range<usize>, new: &[&str]) -> Vec<u8> {
        let file = file(path, bytes);
        let mut merged = Merged::unchanged(file.text());
        merged.splice(range, new);
        file.encode(&merged).unwrap()
    }

    #[test]
    fn lines_that_stay_keep_their_bytes_and_new_ones_follow_their_neighbours() {
        for (old, range, new, expected) in [
            ("a\r\nb\nc\r\n", 2..2, &["x"][..], "a\r\nb\nx\r\nc\r\n"),
            ("a\nb\nc\r\n", 1..2, &["x"], "a\nx\nc\r\n"),
            // The one that is left is the one that was not named.
            ("a\r\na\na\r\n", 1..2, &[], "a\r\na\r\n"),
            ("a\na\r\na\n", 0..1, &[], "a\r\na\n"),
            // A last line without an end.
            ("a\r\nb", 0..1, &["x"], "x\r\nb"),
            ("a\nb", 1..2, &["x"], "a\nx"),
            ("a\nb", 1..2, &[], "a\n"),
            ("a\r\nb", 2..2, &["x"], "a\r\nb\r\nx"),
            ("a", 0..1, &["x", "y"], "x\ny"),
            ("a\nb\nc", 0..3, &["x", "b"], "x\nb"),
            // Half of a file on Windows.
            ("a\r\nb\r\nc\nd\n", 1..1, &["x"], "a\r\nx\r\nb\r\nc\nd\n"),
            // Lines of an old Mac, and carriage returns within lines.
            ("a\rb\r", 1..2, &["x", "y"], "a\rx\ry\r"),
            ("a\rb\nc\n", 1..2, &["x"], "a\rb\nx\n"),
            ("a\r\r\nb\r\n", 1..2, &["x"], "a\r\r\nx\r\n"),
            ("a\u{c}\u{2028}b\nc\n", 1..2, &["x"], "a\u{c}\u{2028}b\nx\n"),
            ("\u{feff}a\r\nb\r\n", 0..1, &["x"], "\u{feff}x\r\nb\r\n"),
            ("a\n", 0..1, &[], ""),
        ] {
            let seen = changed("a.txt", old.as_bytes(), range, new);
            assert_eq!(String::from_utf8(seen).unwrap(), expected, "{old:?}");
        }
        let empty = TextFile::new("a.txt");
        let new = |text: &str| Merged::rewritten("", text.to_owned());
        assert_eq!(empty.encode(&new("x\r\ny")).unwrap(), b"x\r\ny");
    }

    #[test]
    fn the_byte_order_mark_is_no_part_of_the_text() {
        let marked = file("a.py", "\u{feff}def f():\r\n    pass\r\n".as_bytes());
        assert_eq!(marked.text(), "def f():\n    pass\n");
        // A model that writes the mark writes it once.
        let again = Merged::rewritten(marked.text(), "\u{feff}x = 1\n".to_owned());
        let bytes = marked.encode(&again).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "\u{feff}x = 1\r\n");
        assert_eq!(file("a.py", b"\xef\xbb\xbf").text(), "");
    }

    /// aider#305, aider#3666, SWE-agent#683.
    #[test]
    fn a_declared_encoding_is_read_and_written() {
        let latin = b"# -*- coding: latin-1 -*-\nx = '\xfc\x80'\ny = 1\n";
        assert_eq!(
            file("a.py", latin).text(),
            "# -*- coding: latin-1 -*-\nx = 'ü\u{80}'\ny = 1\n"
        );
        assert_eq!(
            changed("a.py", latin, 2..3, &["y = 'é'"]),
            b"# -*- coding: latin-1 -*-\nx = '\xfc\x80'\ny = '\xe9'\n"
        );
        // A file of another language declares nothing.
        let error = TextFile::decode("a.txt", latin.to_vec()).unwrap_err();
        assert!(error.contains("not UTF-8"), "{error}");
        let second = b"#!/usr/bin/python\r# vim: set fileencoding=cp1252 :\rx = '\x80'\r";
        assert!(file("a.py", second).text().ends_with("x = '€'\n"));
        let third = b"x = 1\n# coding: latin-1\ny = '\xfc'\n";
        assert!(TextFile::decode("a.py", third.to_vec()).is_err());
        let unknown = b"# coding: klingon\n".to_vec();
        let error = TextFile::decode("a.py", unknown).unwrap_err();
        assert_eq!(
            error,
            "a.py declares the encoding klingon, which is not known."
        );
    }

    #[test]
    fn utf_16_is_read_by_its_mark() {
        let units =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let old = units("\u{feff}ü ਊ\r\nb\nc");
        assert_eq!(file("a.txt", &old).text(), "ü ਊ\nb\nc");
        let seen = changed("a.txt", &old, 1..2, &["😀"]);
        assert_eq!(seen, units("\u{feff}ü ਊ\r\n😀\r\nc"));
        for binary in [&b"a\0b"[..], b"\xff\xfe\0\0a\0\0\0", b"\xff\xfea\0\0\0"] {
            let error = TextFile::decode("a.txt", binary.to_vec()).unwrap_err();
            assert!(error.contains("binary"), "{error}");
        }
    }

    #[test]
    fn a_new_declaration_holds_for_the_whole_file() {
        let latin = b"# coding: latin-1\nx = '\xfc'\n";
        assert_eq!(
            changed("a.py", latin, 0..1, &["# coding: utf-8"]),
            "# coding: utf-8\nx = 'ü'\n".as_bytes()
        );
        assert_eq!(changed("a.py", latin, 0..1, &[]), "x = 'ü'\n".as_bytes());
        let utf8 = "x = 'ü'\n".as_bytes();
        assert_eq!(changed("a.py", utf8, 0..0, &["# coding: latin-1"]), latin);
    }

    #[test]
    fn a_character_that_the_encoding_lacks_is_named() {
        let latin = file("a.py", b"# coding: latin-1\nx = 1\n");
        let mut merged = Merged::unchanged(latin.text());
        merged.splice(1..2, &["x = '€'"]);
        let error = latin.encode(&merged).unwrap_err();
        assert!(
            error.contains("iso-8859-1") && error.contains("'€' (U+20AC)"),
            "{error}"
        );
    }
}
