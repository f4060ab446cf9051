//! JSON as Python's `json.dumps` writes it and as templates read it.
use super::text;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// How `json.dumps` is asked to write.
struct Style {
    ensure_ascii: bool,
    indent: Option<usize>,
    sort_keys: bool,
    item_separator: String,
    key_separator: String,
}

/// The filter `tojson` of `transformers`: `json.dumps(value, ensure_ascii=False)`
/// with what the template asks for. Nothing is escaped for HTML.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let [item_separator, key_separator] = match separators {
        None if indent.is_some() => [",".into(), ": ".into()],
        None => [", ".into(), ": ".into()],
        Some(two) => <[String; 2]>::try_from(two).map_err(|other| {
            let text = format!("separators are two strings, not {}", other.len());
            Error::new(ErrorKind::InvalidOperation, text)
        })?,
    };
    let flag = |name| Ok::<_, Error>(options.get::<Option<bool>>(name)?.unwrap_or(false));
    let style = Style {
        ensure_ascii: flag("ensure_ascii")?,
        indent,
        sort_keys: flag("sort_keys")?,
        item_separator,
        key_separator,
    };
    options.assert_all_used()?;
    let mut out = String::new();
    style.write(&mut out, value, 1)?;
    Ok(out)
}

impl Style {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&text::number(value)),
            ValueKind::String => self.write_string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.collect::<Vec<_>>();
                self.write_items(out, '[', ']', &items, depth, |out, item| {
                    self.write(out, item, depth + 1)
                })?;
            }
            ValueKind::Map => {
                let mut keys = value.try_iter()?.collect::<Vec<_>>();
                if self.sort_keys {
                    keys.sort();
                }
                self.write_items(out, '{', '}', &keys, depth, |out, key| {
                    self.write_string(out, &text::str_of(key));
                    out.push_str(&self.key_separator);
                    self.write(out, &value.get_item(key)?, depth + 1)
                })?;
            }
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("a value of kind {other} has no JSON form"),
                ));
            }
        }
        Ok(())
    }

    fn write_items(
        &self,
        out: &mut String,
        open: char,
        close: char,
        items: &[Value],
        depth: usize,
        mut write: impl FnMut(&mut String, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |depth: usize| match self.indent {
            Some(indent) if !items.is_empty() => format!("\n{:1$}", "", indent * depth),
            _ => String::new(),
        };
        out.push(open);
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                out.push_str(&self.item_separator);
            }
            out.push_str(&line(depth));
            write(out, item)?;
        }
        out.push_str(&line(depth - 1));
        out.push(close);
        Ok(())
    }

    fn write_string(&self, out: &mut String, text: &str) {
        let json = serde_json::Value::from(text).to_string();
        if !self.ensure_ascii {
            out.push_str(&json);
            return;
        }
        for c in json.chars() {
            if matches!(c, ' '..='~') {
                out.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}

/// A JSON value as a template sees it; keys keep their order.
pub(in crate::checkpoint::template) fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(v) => Value::from(*v),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(v), _) => Value::from(v),
            (None, Some(v)) => Value::from(v),
            (None, None) => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(k, v)| (k.as_str(), from_json(v)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rendered;

    #[test]
    fn tojson_is_that_of_python_with_its_spacing_and_no_ascii_escapes() {
        // json.dumps(v, ensure_ascii=False) and the same with the options shown.
        assert_eq!(
            rendered("{{ v | tojson }}"),
            r#"{"name": "a<b>&'c'", "n": [1, 2.5, -3], "e": {}, "é": "中\n", "t": true, "z": null}"#
        );
        assert_eq!(
            rendered("{{ {'n': v.n, 'e': v.e} | tojson(indent=2) }}"),
            "{\n  \"n\": [\n    1,\n    2.5,\n    -3\n  ],\n  \"e\": {}\n}"
        );
        assert_eq!(
            rendered(
                "{{ {'b': '🎉\u{7f}é', 'a': 1e16} | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}"
            ),
            r#"{"a":1e+16,"b":"\ud83c\udf89\u007f\u00e9"}"#
        );
    }
}
