//! What Python's `str()` and `repr()` make of a value, as Jinja prints it:
//! `True`, `None`, `{'a': [1.0]}`.
use minijinja::value::{Tuple, Value, ValueKind};

/// `str(value)`; nothing for what is not defined.
pub(super) fn str_of(value: &Value) -> String {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => text.to_owned(),
        (None, ValueKind::Undefined) => String::new(),
        _ => repr_of(value),
    }
}

/// `repr(value)`.
pub(super) fn repr_of(value: &Value) -> String {
    let items = |value: &Value| value.try_iter().map(Iterator::collect::<Vec<_>>);
    match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let items = items(value).unwrap_or_default();
            let items: Vec<_> = items.iter().map(repr_of).collect();
            match (value.downcast_object_ref::<Tuple>(), &items[..]) {
                (None, _) => format!("[{}]", items.join(", ")),
                (Some(_), [one]) => format!("({one},)"),
                (Some(_), _) => format!("({})", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let keys = items(value).unwrap_or_default();
            let pairs = keys.iter().map(|key| {
                let item = value.get_item(key).unwrap_or_default();
                format!("{}: {}", repr_of(key), repr_of(&item))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// A number as Python writes it; in JSON too, if it is finite.
pub(super) fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// The shortest digits that read back as the same number, with an exponent
/// below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    } else if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) || number == 0.0 {
        let positional = format!("{number}");
        return if positional.contains('.') {
            positional
        } else {
            positional + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A string in Python's quotes. Characters without a glyph beyond Latin-1 are
/// left as they are, where Python escapes some.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::super::from_json;
    use super::*;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        let value = serde_json::json!({
            "a": [true, false, null, "it's", "\"'\n\u{7f}é"], "b": {}, "c": 1.0, "d": 18446744073709551615u64
        });
        assert_eq!(
            str_of(&from_json(&value)),
            r#"{'a': [True, False, None, "it's", '"\'\n\x7fé'], 'b': {}, 'c': 1.0, 'd': 18446744073709551615}"#
        );
        assert_eq!(str_of(&Value::from("it's")), "it's");
        assert_eq!(str_of(&Value::UNDEFINED), "");
    }

    #[test]
    fn floats_have_the_shortest_digits_and_pythons_exponents() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (2.5, "2.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123456789.25, "123456789.25"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-1.25e300, "-1.25e+300"),
            (f64::INFINITY, "inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }
}
