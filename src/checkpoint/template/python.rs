//! What chat templates take from Python, as the `transformers` package gives
//! it to them: `tojson`, `raise_exception`, `strftime_now`.
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

/// The day that `strftime_now` gives, so that a prompt is the same each day
/// and a run can be repeated: Wednesday, 1 January 2025, midnight.
const FIXED_CLOCK: [(&str, &str); 9] = [
    ("%Y", "2025"),
    ("%m", "01"),
    ("%d", "01"),
    ("%B", "January"),
    ("%b", "Jan"),
    ("%A", "Wednesday"),
    ("%H", "00"),
    ("%M", "00"),
    ("%S", "00"),
];

/// An environment set up as `transformers` sets up Jinja.
pub(super) fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    env.set_syntax(syntax.expect("the default delimiters are valid"));
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_filter("tojson", to_json);
    env.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    env.add_function("strftime_now", |format: String| {
        FIXED_CLOCK
            .iter()
            .fold(format, |text, (field, value)| text.replace(field, value))
    });
    env
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`: a space after each
/// separator, and nothing escaped for HTML.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    // `transformers` turns ASCII escapes off; a template may say so itself.
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let mut out = String::new();
    write_json(&mut out, value, indent, 1)?;
    Ok(out)
}

fn write_json(
    out: &mut String,
    value: &Value,
    indent: Option<usize>,
    depth: usize,
) -> Result<(), Error> {
    // What stands before an item, and before the closing bracket.
    let item_break = |first: bool| match (indent, first) {
        (None, true) => String::new(),
        (None, false) => ", ".to_owned(),
        (Some(n), true) => format!("\n{:1$}", "", n * depth),
        (Some(n), false) => format!(",\n{:1$}", "", n * depth),
    };
    let close_break = |empty: bool| match indent {
        Some(n) if !empty => format!("\n{:1$}", "", n * (depth - 1)),
        _ => String::new(),
    };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            out.push_str(&serde_json::Value::from(text).to_string());
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                out.push_str(&item_break(empty));
                empty = false;
                write_json(out, &item, indent, depth + 1)?;
            }
            out.push_str(&close_break(empty));
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            let mut empty = true;
            for key in value.try_iter()? {
                out.push_str(&item_break(empty));
                empty = false;
                out.push_str(&serde_json::Value::from(key.to_string()).to_string());
                out.push_str(": ");
                write_json(out, &value.get_item(&key)?, indent, depth + 1)?;
            }
            out.push_str(&close_break(empty));
            out.push('}');
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

/// A JSON value as a template sees it; keys keep their order.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
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
    use super::*;

    fn rendered(template: &str) -> String {
        let value = serde_json::json!({"name": "a<b>&'c'", "n": [1, 2.5, -3], "e": {}, "é": "中\n", "t": true, "z": null});
        let context = Value::from_pairs([("v", from_json(&value))]);
        environment()
            .render_str(template, context)
            .unwrap_or_else(|e| panic!("{e:#}"))
    }

    #[test]
    fn tojson_is_that_of_python_with_its_spacing_and_no_ascii_escapes() {
        // json.dumps(v, ensure_ascii=False) and the same with indent=2.
        assert_eq!(
            rendered("{{ v | tojson }}"),
            r#"{"name": "a<b>&'c'", "n": [1, 2.5, -3], "e": {}, "é": "中\n", "t": true, "z": null}"#
        );
        assert_eq!(
            rendered("{{ {'n': v.n, 'e': v.e} | tojson(indent=2) }}"),
            "{\n  \"n\": [\n    1,\n    2.5,\n    -3\n  ],\n  \"e\": {}\n}"
        );
    }

    #[test]
    fn the_clock_stands_still_and_exceptions_are_errors() {
        assert_eq!(rendered("{{ strftime_now('%d %b %Y') }}"), "01 Jan 2025");
        let error = environment()
            .render_str("{{ raise_exception('no system role') }}", ())
            .unwrap_err();
        assert!(error.to_string().contains("no system role"), "{error}");
    }
}
