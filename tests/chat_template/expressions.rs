//! Expressions that templates may take from Python, against jinja2 itself
//! (`scripts/dump-expressions`).
use egss::checkpoint::ChatTemplate;

#[derive(serde::Deserialize)]
struct Expressions {
    v: serde_json::Value,
    /// An expression and its text; none where jinja2 refuses it.
    pairs: Vec<(String, Option<String>)>,
}

/// minijinja#815, #488, minja#64, llama.cpp#12231: `rsplit`, `partition`, `removeprefix`,
/// `'%s' % x`, `joiner()`, `x is callable` were refused.
#[test]
fn expressions_are_rendered_as_by_jinja2() {
    let all: Expressions = serde_json::from_str(include_str!("expressions.json")).unwrap();
    assert!(all.pairs.len() > 100);
    let mut wrong = Vec::new();
    for (expression, expected) in &all.pairs {
        let rendered = ChatTemplate::new(expression, "", "")
            .and_then(|template| template.with_variable("v", &all.v).render(&[], &[], false));
        match (rendered, expected) {
            (Ok(text), Some(expected)) if text == *expected => {}
            (Err(_), None) => {}
            (Ok(text), _) => wrong.push(format!("{expression}\n  {text:?}\n  {expected:?}")),
            (Err(error), _) => wrong.push(format!("{expression}\n  {error}\n  {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
