//! The report as one HTML page: no framework, nothing fetched, light and dark.
mod candidates;
mod entropy;
mod header;
mod highlight;
mod histogram;
pub(super) mod markup;
mod patch;
mod selection;
mod steps;
mod tests_matrix;
mod tokens;
mod tree;

use super::figures::issue_title;
use super::view::RunView;
use markup::Markup;
use sha2::{Digest, Sha256};
use std::fmt::{Display, Write};

/// Renders the page of a run.
pub fn html(view: &RunView) -> String {
    let mut body = Markup::default();
    header::header(&mut body, view);
    body.raw("<main>\n");
    tree::tree(&mut body, view);
    histogram::histogram(&mut body, view);
    steps::steps(&mut body, view);
    if let Some(suite) = view.suite() {
        tests_matrix::tests(&mut body, view, suite);
    }
    selection::selection(&mut body, view);
    tokens::tokens(&mut body, view);
    patch::patch(&mut body, view);
    body.raw("</main>\n");
    page(
        issue_title(&view.start.issue),
        body,
        Some(include_str!("script.js")),
    )
}

/// A page around what its body holds.
///
/// Everything from a record is escaped, and a content security policy forbids any
/// script or style but the page's own, and any request: the nonce is the body's
/// hash, which no text within the body can know.
pub(super) fn page(title: impl Display, held: Markup, script: Option<&'static str>) -> String {
    let mut body = Markup::default();
    body.raw("<body>\n").append(held);
    let nonce = hex(&Sha256::digest(body.as_str()));
    let mut page = Markup::default();
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'nonce-")
        .text(&nonce)
        .raw("'; script-src 'nonce-")
        .text(&nonce)
        .raw("'; base-uri 'none'; form-action 'none'\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .text(title)
        .raw(" · egss</title>\n<style nonce=\"")
        .text(&nonce)
        .raw("\">\n")
        .raw(include_str!("style.css"))
        .raw("</style>\n</head>\n")
        .append(body);
    if let Some(script) = script {
        page.raw("<script nonce=\"")
            .text(&nonce)
            .raw("\">\n")
            .raw(script)
            .raw("</script>\n");
    }
    page.raw("</body>\n</html>\n");
    page.into_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string");
        out
    })
}
