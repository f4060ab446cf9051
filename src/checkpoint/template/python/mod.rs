//! What chat templates take from Python, as the `transformers` package gives
//! it to them: `tojson`, `raise_exception`, `strftime_now`, methods of strings
//! and maps, and values printed as `str()` prints them.
//!
//! Methods that change a list are not there: the sandbox of `transformers`
//! refuses them too. The operator `~` joins values in Jinja's own form, which is
//! Python's for strings and whole numbers only.
mod globals;
mod json;
mod methods;
mod percent;
mod text;

pub(super) use json::from_json;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use regex::Regex;
use std::sync::LazyLock;

/// The day that `strftime_now` gives, so that a prompt is the same each day
/// and a run can be repeated: Wednesday, 1 January 2025, midnight.
const FIXED_CLOCK: [(&str, &str); 14] = [
    ("%Y", "2025"),
    ("%y", "25"),
    ("%m", "01"),
    ("%-m", "1"),
    ("%d", "01"),
    ("%-d", "1"),
    ("%B", "January"),
    ("%b", "Jan"),
    ("%A", "Wednesday"),
    ("%a", "Wed"),
    ("%j", "001"),
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
    env.set_unknown_method_callback(methods::call);
    env.set_formatter(|out, _, value| Ok(out.write_str(&text::str_of(value))?));
    env.add_test("iterable", is_iterable);
    env.add_test("sequence", is_sequence);
    env.add_function(percent::NAME, percent::percent);
    globals::add_to(&mut env);
    env.add_filter("string", text::str_of);
    env.add_filter("tojson", json::to_json);
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

/// Python iterates over strings, and not over `None`.
fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || value.kind() == ValueKind::Iterable
}

/// What has a length and items, to Jinja: a map and a string too.
fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), String | Seq | Map | Undefined)
}

/// A template's source as the engine takes it: see [`without_generation_tags`] and
/// [`percent::without_operator`].
pub(super) fn prepared(source: &str) -> String {
    percent::without_operator(&without_generation_tags(source))
}

/// The template without `transformers`' own tag `generation`, which marks what
/// a model is trained on and prints its body. Like it, `with` keeps what is set
/// inside from being seen outside.
fn without_generation_tags(source: &str) -> String {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})").expect("the pattern is valid")
    });
    TAG.replace_all(source, "${1}${2}with${3}").into_owned()
}

/// A template's text with a value of many kinds as `v`.
#[cfg(test)]
fn rendered(template: &str) -> String {
    let value = serde_json::json!({"name": "a<b>&'c'", "n": [1, 2.5, -3], "e": {}, "é": "中\n", "t": true, "z": null});
    let context = Value::from_pairs([("v", from_json(&value))]);
    environment()
        .render_str(&prepared(template), context)
        .unwrap_or_else(|e| panic!("{e:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_still_and_exceptions_are_errors() {
        assert_eq!(rendered("{{ strftime_now('%d %b %Y') }}"), "01 Jan 2025");
        let error = environment()
            .render_str("{{ raise_exception('no system role') }}", ())
            .unwrap_err();
        assert!(error.to_string().contains("no system role"), "{error}");
    }

    #[test]
    fn values_are_printed_as_by_jinja() {
        assert_eq!(
            rendered("{{ v.t }} {{ v.z | string }} {{ v.n }} {{ nowhere }}."),
            "True None [1, 2.5, -3] ."
        );
    }

    #[test]
    fn kinds_are_told_apart_as_by_jinja() {
        for (test, answers) in [
            ("iterable", "True True True False True False True"),
            ("sequence", "True True True False True False False"),
        ] {
            let values = ["'a'", "{}", "[]", "none", "nowhere", "1", "{}.items()"];
            let template = values.map(|value| format!("{{{{ {value} is {test} }}}}"));
            assert_eq!(rendered(&template.join(" ")), answers, "{test}");
        }
    }

    #[test]
    fn a_generation_tag_prints_its_body_in_a_scope_of_its_own() {
        let template = "{% set x = 1 %}a\n  {%- generation -%}\n {% set x = 2 %}{{ x }}\n{% endgeneration %}\n{{ x }}";
        assert_eq!(rendered(template), "a2\n1");
    }
}
