//! A string of HTML into which text enters escaped, by type.
use super::super::drawing::Drawing;
use std::fmt::{Display, Write};

/// HTML under construction. Only `'static` literals and charts go in as they are;
/// all else passes through [`Markup::text`].
#[derive(Default)]
pub struct Markup(String);

impl Markup {
    /// Literal markup of this program.
    pub fn raw(&mut self, literal: &'static str) -> &mut Self {
        self.0.push_str(literal);
        self
    }

    /// Text for an element's content or a double-quoted attribute.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        write!(Escaping(&mut self.0), "{text}").expect("writing to a string");
        self
    }

    /// An attribute within an open tag.
    pub fn attr(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// A length or a place in a drawing, to a tenth of a pixel.
    pub fn px(&mut self, name: &'static str, value: f32) -> &mut Self {
        self.attr(name, (value * 10.0).round() / 10.0)
    }

    /// Markup made elsewhere.
    pub fn append(&mut self, other: Markup) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// A chart, whose text its backend has escaped.
    pub fn drawing(&mut self, drawing: &Drawing) -> &mut Self {
        self.0.push_str(drawing.svg());
        self
    }

    /// A table cell of a figure, set to the right.
    pub fn figure(&mut self, text: impl Display) -> &mut Self {
        self.raw("<td class=\"n\">").text(text).raw("</td>")
    }

    /// A table cell of words.
    pub fn cell(&mut self, text: impl Display) -> &mut Self {
        self.raw("<td>").text(text).raw("</td>")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Their pictures: HTML allows no control characters.
                '\0'..='\u{1f}' => {
                    let picture = char::from_u32(0x2400 + u32::from(c));
                    self.0.extend(picture);
                }
                '\u{7f}' => self.0.push('\u{2421}'),
                // Direction overrides would show code in an order it does not have.
                '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(self.0, "[U+{:04X}]", u32::from(c))?;
                }
                _ => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_leave_neither_an_element_nor_an_attribute() {
        let mut markup = Markup::default();
        markup.text("</script><img src=x onerror='a'>\" & \u{1b}[0m\u{202e}\0");
        assert_eq!(
            markup.as_str(),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39;&gt;&quot; &amp; ␛[0m[U+202E]␀"
        );
    }
}
