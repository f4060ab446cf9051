//! The operator `%` between a string and values, as Python formats by it. The engine has
//! it for numbers alone, so the template's source calls a function in its place.
use super::text;
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// The function that stands for the operator.
pub(super) const NAME: &str = "__percent";

/// Tokens that end an operand of `%` beside the operators of its own rank: those that bind
/// less, and what parts expressions.
const LOOSER: [&str; 13] = [
    "+", "-", "~", "==", "!=", "<", ">", "<=", ">=", ",", ":", "=", ";",
];
const KEYWORDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "else", "elif"];
/// Operators of the rank of `%`, which are applied from the left.
const SAME: [&str; 4] = ["*", "/", "//", "%"];

/// The source with `a % b` as a call of [`NAME`]; as it is where it cannot be read, for
/// the engine to say what is wrong.
pub(super) fn without_operator(source: &str) -> String {
    rewritten(source).unwrap_or_else(|| source.to_owned())
}

fn rewritten(source: &str) -> Option<String> {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let opening = rest.get(at..at + 2).unwrap_or_default();
        let (close, is_statement) = match opening {
            "{#" => {
                let end = at + rest[at..].find("#}")? + 2;
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            "{{" => ("}}", false),
            "{%" => ("%}", true),
            _ => {
                out.push_str(&rest[..at + 1]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        out.push_str(&rest[..at + 2]);
        rest = &rest[at + 2..];
        let mut reader = Reader { rest, close };
        let nodes = reader.nodes(None)?;
        let body = &rest[..rest.len() - reader.rest.len()];
        rest = reader.rest;
        let has_operator = nodes.iter().any(Node::has_operator);
        match has_operator {
            true => out.push_str(&joined(&nodes, is_statement)),
            false => out.push_str(body),
        }
        let tag = nodes.first().map_or("", |node| node.text.trim());
        if is_statement && tag == "raw" {
            let end = end_of_raw(rest)?;
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Where the tag begins that ends a raw text.
fn end_of_raw(text: &str) -> Option<usize> {
    let tags = text.match_indices("{%").map(|(at, _)| at);
    tags.into_iter().find(|&at| {
        let tag = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        tag.starts_with("endraw")
    })
}

/// A token with the space before it, or a bracket with all that is in it.
struct Node<'a> {
    text: &'a str,
    /// Of a bracket: what is in it, and what closes it.
    within: Option<(Vec<Node<'a>>, &'a str)>,
}

impl Node<'_> {
    fn has_operator(&self) -> bool {
        let within = self.within.iter().flat_map(|(nodes, _)| nodes);
        self.text.trim_start() == "%" || within.into_iter().any(Node::has_operator)
    }
}

/// Reads an expression's or a statement's tokens up to what closes it.
struct Reader<'a> {
    rest: &'a str,
    close: &'static str,
}

impl<'a> Reader<'a> {
    /// Tokens up to the bracket that closes, or, outside of brackets, up to the end of the
    /// block; `None` where that does not come. What ends them is left.
    fn nodes(&mut self, bracket: Option<char>) -> Option<Vec<Node<'a>>> {
        let mut nodes = Vec::new();
        loop {
            let inner = self.rest.trim_start();
            let space = self.rest.len() - inner.len();
            let first = inner.chars().next()?;
            if bracket == Some(first) {
                return Some(nodes);
            } else if bracket.is_none() {
                let bare = inner.strip_prefix(['-', '+']).unwrap_or(inner);
                if inner.starts_with(self.close) || bare.starts_with(self.close) {
                    return Some(nodes);
                }
            }
            let closing = match first {
                '(' => ')',
                '[' => ']',
                '{' => '}',
                ')' | ']' | '}' => return None,
                _ => {
                    let end = space + token_bytes(inner)?;
                    nodes.push(Node {
                        text: &self.rest[..end],
                        within: None,
                    });
                    self.rest = &self.rest[end..];
                    continue;
                }
            };
            let text = &self.rest[..space + 1];
            self.rest = &self.rest[space + 1..];
            let within = self.nodes(Some(closing))?;
            // With the space before it.
            let inner = self.rest.trim_start();
            let end = self.rest.len() - inner.len() + 1;
            let close = &self.rest[..end];
            self.rest = &self.rest[end..];
            nodes.push(Node {
                text,
                within: Some((within, close)),
            });
        }
    }
}

/// Bytes of the token that a text begins with.
fn token_bytes(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if first == '"' || first == '\'' {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == first => return Some(at + 1),
                _ => {}
            }
        }
        return None;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if is_word(first) {
        let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
        return Some(end);
    }
    let two = text.get(..2).unwrap_or_default();
    Some(match ["**", "//", "==", "!=", "<=", ">="].contains(&two) {
        true => 2,
        false => first.len_utf8(),
    })
}

/// The text of tokens, with calls in place of the operator.
fn joined(nodes: &[Node<'_>], is_statement: bool) -> String {
    let mut done = String::new();
    // The operand that a `%` would have on its left, so far.
    let mut chain = String::new();
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        let token = node.text.trim_start();
        let is_member = at > 0 && nodes[at - 1].text.trim_start() == ".";
        let is_tag = is_statement && at == 0;
        let is_sign = matches!(token, "-" | "+") && chain.trim().is_empty();
        let parts = LOOSER.contains(&token) && !is_sign
            || (KEYWORDS.contains(&token) && !is_member && node.within.is_none());
        if token == "%" {
            let end = operand_end(nodes, at + 1);
            let right = joined(&nodes[at + 1..end], false);
            chain = format!(" {NAME}({},{right})", chain.trim_start());
            at = end;
            continue;
        }
        chain.push_str(&node_text(node));
        if parts || is_tag {
            done.push_str(&chain);
            chain.clear();
        }
        at += 1;
    }
    done + &chain
}

fn node_text(node: &Node<'_>) -> String {
    match &node.within {
        None => node.text.to_owned(),
        Some((within, close)) => format!("{}{}{close}", node.text, joined(within, false)),
    }
}

/// Where the operand that begins at a token ends.
fn operand_end(nodes: &[Node<'_>], from: usize) -> usize {
    let mut at = from;
    while let Some(node) = nodes.get(at) {
        let token = node.text.trim_start();
        let is_sign = matches!(token, "-" | "+") && at == from;
        let is_member = at > from && nodes[at - 1].text.trim_start() == ".";
        let is_word = KEYWORDS.contains(&token) && !is_member;
        if node.within.is_none()
            && !is_sign
            && (is_word || LOOSER.contains(&token) || SAME.contains(&token))
        {
            break;
        }
        at += 1;
    }
    at
}

/// `left % right`: formatting of a string, else the remainder, which has the divisor's
/// sign.
pub(super) fn percent(left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        return formatted(format, right).map(Value::from);
    }
    let wrong = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    let is_whole = |value: &Value| value.is_integer() || value.kind() == ValueKind::Bool;
    if is_whole(left) && is_whole(right) {
        let whole = |value: &Value| match value.kind() {
            ValueKind::Bool => Ok(i128::from(value.is_true())),
            _ => i128::try_from(value.clone()),
        };
        let (a, b) = (whole(left)?, whole(right)?);
        let rest = a.checked_rem(b);
        let rest = rest.ok_or_else(|| wrong("integer modulo by zero".into()))?;
        let rest = if rest != 0 && (rest < 0) != (b < 0) {
            rest + b
        } else {
            rest
        };
        return Ok(Value::from(rest));
    }
    let real = |value: &Value| {
        f64::try_from(value.clone())
            .map_err(|_| wrong(format!("a {} has no remainder", value.kind())))
    };
    let (a, b) = (real(left)?, real(right)?);
    if b == 0.0 {
        return Err(wrong("float modulo by zero".into()));
    }
    let rest = a % b;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }))
}

/// Widths and precisions above this are mistakes, or meant to exhaust memory.
const WIDTH_MAX: usize = 10_000;

/// Flags, width and precision between `%` and the letter of a conversion.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    hash: bool,
    width: usize,
    precision: Option<usize>,
}

/// Python's printf-style formatting (Library Reference, "printf-style String Formatting").
fn formatted(format: &str, values: &Value) -> Result<String, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::InvalidOperation, what.to_owned());
    let tuple = values.downcast_object_ref::<Tuple>();
    let mut args = match tuple {
        Some(tuple) => tuple.iter().cloned().collect::<Vec<_>>(),
        None => vec![values.clone()],
    }
    .into_iter();
    let mut used_key = false;
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut keyed = None;
        if chars.next_if_eq(&'(').is_some() {
            let mut key = String::new();
            let mut depth = 1;
            loop {
                let c = chars.next().ok_or_else(|| wrong("incomplete format key"))?;
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    break;
                }
                key.push(c);
            }
            if values.kind() != ValueKind::Map {
                return Err(wrong("format requires a mapping"));
            }
            used_key = true;
            let value = values.get_item(&Value::from(key.as_str()))?;
            if value.is_undefined() {
                return Err(wrong(&format!("the mapping has no {key:?}")));
            }
            keyed = Some(value);
        }
        let mut next = || {
            let value = args.next();
            value.ok_or_else(|| wrong("not enough arguments for format string"))
        };
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => spec.hash = true,
            }
        }
        let mut number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            if chars.next_if_eq(&'*').is_some() {
                return i64::try_from(next()?);
            }
            let mut number = 0i64;
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                let digit = i64::from(digit as u8 - b'0');
                number = number.saturating_mul(10).saturating_add(digit);
            }
            Ok(number)
        };
        let width = number(&mut chars)?;
        spec.minus |= width < 0;
        spec.width = width.unsigned_abs() as usize;
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(usize::try_from(number(&mut chars)?).unwrap_or(0));
        }
        if spec.width.max(spec.precision.unwrap_or(0)) > WIDTH_MAX {
            return Err(wrong("a format's width or precision is too large"));
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
        let kind = chars.next().ok_or_else(|| wrong("incomplete format"))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match keyed {
            Some(value) => value,
            None => next()?,
        };
        out.push_str(&spec.converted(kind, &value)?);
    }
    let is_mapping = values.kind() == ValueKind::Map;
    if args.next().is_some() && !used_key && !is_mapping {
        return Err(wrong(
            "not all arguments converted during string formatting",
        ));
    }
    Ok(out)
}

impl Spec {
    fn converted(&self, kind: char, value: &Value) -> Result<String, Error> {
        let wrong = |what: String| Error::new(ErrorKind::InvalidOperation, what);
        let cut = |text: String| match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        };
        let is_number = matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
        let real = || match value.kind() {
            ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
            ValueKind::Number => f64::try_from(value.clone()),
            other => Err(wrong(format!("must be a real number, not a {other}"))),
        };
        match kind {
            's' => return Ok(self.padded("", &cut(text::str_of(value)), false)),
            'r' | 'a' => return Ok(self.padded("", &cut(text::repr_of(value)), false)),
            'c' => {
                let text = match value.as_str() {
                    Some(text) => text.to_owned(),
                    None => u32::try_from(value.clone())
                        .ok()
                        .and_then(char::from_u32)
                        .map(String::from)
                        .unwrap_or_default(),
                };
                return match text.chars().count() {
                    1 => Ok(self.padded("", &text, false)),
                    _ => Err(wrong("%c requires a character".into())),
                };
            }
            _ => {}
        }
        if !is_number {
            return Err(wrong(format!(
                "%{kind} format: a number is required, not a {}",
                value.kind()
            )));
        }
        let (negative, prefix, digits) = match kind {
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
                let whole = match value.is_integer() {
                    true => i128::try_from(value.clone())?,
                    false if "diu".contains(kind) || value.kind() == ValueKind::Bool => {
                        real()?.trunc() as i128
                    }
                    false => return Err(wrong(format!("%{kind} format: an integer is required"))),
                };
                let size = whole.unsigned_abs();
                let (prefix, digits) = match kind {
                    'o' => ("0o", format!("{size:o}")),
                    'x' => ("0x", format!("{size:x}")),
                    'X' => ("0X", format!("{size:X}")),
                    _ => ("", size.to_string()),
                };
                let prefix = if self.hash { prefix } else { "" };
                let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len());
                (whole < 0, prefix, "0".repeat(zeros) + &digits)
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let number = real()?;
                let digits = match number.is_finite() {
                    true => self.real_digits(kind, number.abs()),
                    false if number.is_nan() => "nan".into(),
                    false => "inf".into(),
                };
                let digits = match kind.is_ascii_uppercase() {
                    true => digits.to_uppercase(),
                    false => digits,
                };
                (number.is_sign_negative() && !number.is_nan(), "", digits)
            }
            other => return Err(wrong(format!("unsupported format character {other:?}"))),
        };
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        Ok(self.padded(&format!("{sign}{prefix}"), &digits, true))
    }

    fn real_digits(&self, kind: char, number: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        let scientific = |precision: usize| {
            let text = format!("{number:.precision$e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            (digits.to_owned(), exponent)
        };
        let with_exponent = |digits: &str, exponent: i32| {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        };
        match kind.to_ascii_lowercase() {
            'f' => format!("{number:.precision$}"),
            'e' => {
                let (digits, exponent) = scientific(precision);
                with_exponent(&digits, exponent)
            }
            _ => {
                let significant = precision.max(1);
                let (digits, exponent) = scientific(significant - 1);
                let stripped = |text: String| match text.contains('.') && !self.hash {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text,
                };
                if (-4..significant as i32).contains(&exponent) {
                    let decimals = (significant as i32 - 1 - exponent) as usize;
                    stripped(format!("{number:.decimals$}"))
                } else {
                    with_exponent(&stripped(digits), exponent)
                }
            }
        }
    }

    /// The text at the width, `prefix` before zeros.
    fn padded(&self, prefix: &str, text: &str, is_number: bool) -> String {
        let length = prefix.chars().count() + text.chars().count();
        let missing = self.width.saturating_sub(length);
        if self.minus {
            format!("{prefix}{text}{}", " ".repeat(missing))
        } else if self.zero && is_number {
            format!("{prefix}{}{text}", "0".repeat(missing))
        } else {
            format!("{}{prefix}{text}", " ".repeat(missing))
        }
    }
}
