//! Methods of Python's strings, lists and dicts that the engine's own Python layer
//! (`minijinja_contrib::pycompat`) does not have, or has for fewer arguments.
use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

/// Calls a method of a value that has none of its own of this name.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => of_string(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq => of_list(value, method, args)?,
        ValueKind::Map => of_dict(value, method, args)?,
        _ => None,
    };
    match own {
        Some(value) => Ok(value),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// `None` for a method that is not here.
fn of_string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let value = match method {
        "split" | "rsplit" => {
            let (separator, count) = split_args(args)?;
            let parts = split(text, separator.as_deref(), count, method == "rsplit")?;
            Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(wrong("empty separator"));
            }
            let last = method == "rpartition";
            let at = match last {
                true => text.rfind(separator),
                false => text.find(separator),
            };
            let three = match (at, last) {
                (Some(at), _) => [&text[..at], separator, &text[at + separator.len()..]],
                (None, false) => [text, "", ""],
                (None, true) => ["", "", text],
            };
            Value::from(Tuple::new(three.map(Value::from).to_vec()))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let (part, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let Some((offset, within)) = slice(text, start, end) else {
                return match method {
                    "index" | "rindex" => Err(wrong("substring not found")),
                    "count" => Ok(Some(Value::from(0))),
                    _ => Ok(Some(Value::from(-1))),
                };
            };
            let at = match method {
                "count" if part.is_empty() => {
                    return Ok(Some(Value::from(within.chars().count() + 1)));
                }
                "count" => return Ok(Some(Value::from(within.matches(part).count()))),
                "find" | "index" => within.find(part),
                _ => within.rfind(part),
            };
            match at {
                Some(at) => Value::from(offset + within[..at].chars().count()),
                None if method.ends_with("index") => return Err(wrong("substring not found")),
                None => Value::from(-1),
            }
        }
        "startswith" | "endswith" if args.len() > 1 => {
            let (parts, start, end): (&Value, Option<i64>, Option<i64>) = from_args(args)?;
            let parts: Vec<Value> = match parts.kind() {
                ValueKind::String => vec![parts.clone()],
                _ => parts.try_iter()?.collect(),
            };
            let within = slice(text, start, end).map(|(_, within)| within);
            let has = |part: &Value| {
                let (Some(within), Some(part)) = (within, part.as_str()) else {
                    return false;
                };
                match method {
                    "startswith" => within.starts_with(part),
                    _ => within.ends_with(part),
                }
            };
            Value::from(parts.iter().any(has))
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let zeros = missing(text, width)?;
            Value::from(format!("{sign}{}{digits}", "0".repeat(zeros)))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let fill = fill.unwrap_or(" ");
            if fill.chars().count() != 1 {
                return Err(wrong(
                    "the fill character must be exactly one character long",
                ));
            }
            Value::from(in_width(text, method, width, fill)?)
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = text.chars().flat_map(|c| match c.is_uppercase() {
                true => c.to_lowercase().collect::<Vec<_>>(),
                false => c.to_uppercase().collect(),
            });
            Value::from(swapped.collect::<String>())
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(text.to_lowercase().replace('ß', "ss"))
        }
        "title" => {
            let () = from_args(args)?;
            Value::from(title(text))
        }
        "istitle" => {
            let () = from_args(args)?;
            let has_case = text.chars().any(|c| c.is_uppercase() || c.is_lowercase());
            Value::from(has_case && title(text) == text)
        }
        "isdecimal" => {
            let () = from_args(args)?;
            Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))
        }
        "isidentifier" => {
            let () = from_args(args)?;
            let first = text.chars().next();
            let is_start = first.is_some_and(|c| c.is_alphabetic() || c == '_');
            Value::from(is_start && text.chars().all(|c| c.is_alphanumeric() || c == '_'))
        }
        "isprintable" => {
            let () = from_args(args)?;
            let is_blank = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
            Value::from(!text.chars().any(is_blank))
        }
        "expandtabs" => {
            let (size, kwargs): (Option<usize>, Kwargs) = from_args(args)?;
            let size = match size {
                Some(size) => size,
                None => kwargs.get::<Option<usize>>("tabsize")?.unwrap_or(8),
            };
            kwargs.assert_all_used()?;
            Value::from(with_spaces(text, size))
        }
        "splitlines" => {
            let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = match keep {
                Some(keep) => keep,
                None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
            };
            kwargs.assert_all_used()?;
            let lines = lines(text, keep).into_iter().map(Value::from);
            Value::from(lines.collect::<Vec<_>>())
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let value = match method {
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let at = list.try_iter()?.position(|item| item == *wanted);
            Value::from(at.ok_or_else(|| wrong("the value is not in the list"))?)
        }
        "copy" => {
            let () = from_args(args)?;
            list.clone()
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn of_dict(dict: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let is_copy = method == "copy" && dict.get_attr("copy")?.is_undefined();
    if !is_copy {
        return Ok(None);
    }
    let () = from_args(args)?;
    Ok(Some(dict.clone()))
}

/// `sep=None, maxsplit=-1`, by place or by name.
fn split_args(args: &[Value]) -> Result<(Option<String>, Option<usize>), Error> {
    let (separator, count, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        Some(separator) => separator,
        None => kwargs
            .get::<Option<Value>>("sep")?
            .unwrap_or(Value::from(())),
    };
    let count = match count {
        Some(count) => count,
        None => kwargs.get::<Option<i64>>("maxsplit")?.unwrap_or(-1),
    };
    kwargs.assert_all_used()?;
    let separator = match (separator.as_str(), separator.is_none()) {
        (Some(text), _) => Some(text.to_owned()),
        (None, true) => None,
        (None, false) => return Err(wrong("a separator must be a string or none")),
    };
    Ok((separator, usize::try_from(count).ok()))
}

/// Pieces of a text: at most `count` cuts, from the right if `from_right`. Without a
/// separator whitespace parts, and none is left at the ends that were reached.
fn split<'a>(
    text: &'a str,
    separator: Option<&str>,
    count: Option<usize>,
    from_right: bool,
) -> Result<Vec<&'a str>, Error> {
    let count = count.unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = Vec::new();
    match separator {
        Some("") => return Err(wrong("empty separator")),
        Some(separator) if from_right => {
            parts.extend(text.rsplitn(count.saturating_add(1), separator));
            parts.reverse();
        }
        Some(separator) => parts.extend(text.splitn(count.saturating_add(1), separator)),
        None if from_right => {
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                if parts.len() == count {
                    parts.push(rest);
                    break;
                }
                let at = rest.rfind(char::is_whitespace);
                let space = at.and_then(|at| Some(at + rest[at..].chars().next()?.len_utf8()));
                parts.push(&rest[space.unwrap_or(0)..]);
                rest = rest[..at.unwrap_or(0)].trim_end();
            }
            parts.reverse();
        }
        None => {
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                if parts.len() == count {
                    parts.push(rest);
                    break;
                }
                let at = rest.find(char::is_whitespace).unwrap_or(rest.len());
                parts.push(&rest[..at]);
                rest = rest[at..].trim_start();
            }
        }
    }
    Ok(parts)
}

/// The characters of `[start, end)`, which count from the end where they are negative, and
/// how many stand before them; `None` where the start lies behind the text.
fn slice(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(usize, &str)> {
    let n = text.chars().count();
    let place = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => n.saturating_sub(index.unsigned_abs() as usize),
    };
    let (start, end) = (start.map_or(0, place), end.map_or(n, place).min(n));
    if start > end {
        return None;
    }
    let byte = |index: usize| {
        let mut places = text.char_indices().map(|(at, _)| at);
        places.nth(index).unwrap_or(text.len())
    };
    Some((start, &text[byte(start)..byte(end)]))
}

/// Longest text that a width may ask for.
const WIDTH_MAX: usize = 100_000;

/// Characters that a text lacks of a width.
fn missing(text: &str, width: usize) -> Result<usize, Error> {
    if width > WIDTH_MAX {
        return Err(wrong("the width is too large"));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// A text within a width, at the side that a method's name says.
pub(super) fn in_width(
    text: &str,
    method: &str,
    width: usize,
    fill: &str,
) -> Result<String, Error> {
    let missing = missing(text, width)?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // As CPython rounds.
        _ => missing / 2 + (missing & width & 1),
    };
    let (left, right) = (fill.repeat(left), fill.repeat(missing - left));
    Ok(format!("{left}{text}{right}"))
}

/// Each run of letters begins with a capital and goes on without.
fn title(text: &str) -> String {
    let mut in_word = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match in_word {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        in_word = c.is_alphabetic();
    }
    out
}

fn with_spaces(text: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let n = size.checked_rem(size).map_or(0, |_| size - column % size);
                out.extend(std::iter::repeat_n(' ', n));
                column += n;
            }
            c => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') {
                    0
                } else {
                    column + 1
                };
            }
        }
    }
    out
}

/// Lines as Python ends them, with their ends if `keep`.
fn lines(text: &str, keep: bool) -> Vec<String> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(ENDS).unwrap_or(rest.len());
        let end = match rest[at..].chars().next() {
            Some('\r') if rest[at..].starts_with("\r\n") => at + 2,
            Some(end) => at + end.len_utf8(),
            None => at,
        };
        lines.push(rest[..if keep { end } else { at }].to_owned());
        rest = &rest[end..];
    }
    lines
}
