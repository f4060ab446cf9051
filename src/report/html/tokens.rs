//! What was spent, by purpose.
use super::super::figures::{duration, thousands};
use super::super::view::RunView;
use super::markup::Markup;
use crate::base::{Purpose, Usage};

pub fn tokens(out: &mut Markup, view: &RunView) {
    let usage = view.usage();
    let total = usage.total();
    out.raw("<section id=\"tokens\" aria-labelledby=\"tok-h\">\n<h2 id=\"tok-h\">Tokens by purpose</h2>\n<p class=\"hint\">Spent is decoded + computed. Reused prompt tokens came from a fork or the prefix cache and cost nothing.");
    if view.ended.is_none() {
        out.raw(" Summed over the record so far.");
    }
    out.raw("</p>\n<div class=\"wide\"><table><thead><tr><th>Purpose</th><th class=\"n\">Decoded</th><th class=\"n\">Computed</th><th class=\"n\">Spent</th><th class=\"n\">Reused</th><th class=\"n\">Forks</th><th class=\"n\">Blocks copied</th><th class=\"n\">Wall time</th><th class=\"share\">Share of spent</th></tr></thead><tbody>");
    let whole = total.spent_tokens().max(1) as f64;
    for purpose in Purpose::ALL {
        out.raw("<tr>").cell(purpose.name());
        row(out, &usage[purpose]);
        share(out, &usage[purpose], whole);
        out.raw("</tr>");
    }
    out.raw("</tbody><tfoot><tr>").cell("total");
    row(out, &total);
    out.raw("<td class=\"legend\"><span class=\"key decoded\">decoded</span><span class=\"key computed\">computed</span></td></tr></tfoot></table></div>\n</section>\n");
}

fn row(out: &mut Markup, usage: &Usage) {
    out.figure(thousands(usage.decoded_tokens))
        .figure(thousands(usage.computed_tokens))
        .figure(thousands(usage.spent_tokens()))
        .figure(thousands(usage.reused_tokens))
        .figure(thousands(usage.forks))
        .figure(thousands(usage.blocks_copied))
        .figure(duration(usage.wall_ms));
}

fn share(out: &mut Markup, usage: &Usage, whole: f64) {
    let decoded = usage.decoded_tokens as f64 / whole * 100.0;
    let computed = usage.computed_tokens as f64 / whole * 100.0;
    out.raw("<td class=\"share\"><svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"decoded\" width=\"")
        .text(format_args!("{decoded:.2}"))
        .raw("\" height=\"6\"/><rect class=\"computed\" x=\"")
        .text(format_args!("{decoded:.2}"))
        .raw("\" width=\"")
        .text(format_args!("{computed:.2}"))
        .raw("\" height=\"6\"/></svg></td>");
}
