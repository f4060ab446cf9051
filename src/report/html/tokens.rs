//! What was spent, by purpose.
use super::super::baseline::{Cost, comparison};
use super::super::decoding::decoding;
use super::super::figures::{duration, thousands, times};
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
        share(out, usage[purpose].into(), whole);
        out.raw("</tr>");
    }
    out.raw("</tbody><tfoot><tr>").cell("total");
    row(out, &total);
    out.raw("<td class=\"legend\"><span class=\"key decoded\">decoded</span><span class=\"key computed\">computed</span></td></tr></tfoot></table></div>\n");
    if let Some(decoding) = decoding(&total) {
        out.raw("<p class=\"note\">").text(decoding).raw(".</p>\n");
    }
    baselines(out, view);
    out.raw("</section>\n");
}

/// The run beside what its branches would have cost on their own.
fn baselines(out: &mut Markup, view: &RunView) {
    let found = comparison(view);
    out.raw("<h3>Against the same branches without forks</h3>\n<p class=\"hint\">Arithmetic over this record, no measured run: the same branches, with the same candidates and the same judge’s and voters’ questions at the same cost. Without forks a branch decodes the actions that it inherited and computes their observations itself, once, in a session of its own; <em>naive</em> starts each from an empty cache, <em>shared prompt</em> computes the prompt once for all. Through an API without a cache each sibling and each question would pay its whole context besides, which is not counted here.</p>\n<div class=\"wide\"><table><thead><tr><th></th><th class=\"n\">Decoded</th><th class=\"n\">Computed</th><th class=\"n\">Spent</th><th class=\"n\">To this run</th><th class=\"share\">Spent</th></tr></thead><tbody>");
    let rows = [
        ("this run", found.run),
        ("shared prompt", found.shared_prompt),
        ("naive", found.naive),
    ];
    let whole = rows.iter().map(|(_, cost)| cost.spent_tokens()).max();
    let whole = whole.unwrap_or(0).max(1) as f64;
    for (nth, (name, cost)) in rows.into_iter().enumerate() {
        out.raw(if nth == 0 {
            "<tr class=\"taken\">"
        } else {
            "<tr>"
        })
        .cell(name)
        .figure(thousands(cost.decoded_tokens))
        .figure(thousands(cost.computed_tokens))
        .figure(thousands(cost.spent_tokens()));
        out.figure(times(cost.spent_tokens(), found.run.spent_tokens()));
        share(out, cost, whole);
        out.raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
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

fn share(out: &mut Markup, cost: Cost, whole: f64) {
    let decoded = cost.decoded_tokens as f64 / whole * 100.0;
    let computed = cost.computed_tokens as f64 / whole * 100.0;
    out.raw("<td class=\"share\"><svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"decoded\" width=\"")
        .text(format_args!("{decoded:.2}"))
        .raw("\" height=\"6\"/><rect class=\"computed\" x=\"")
        .text(format_args!("{decoded:.2}"))
        .raw("\" width=\"")
        .text(format_args!("{computed:.2}"))
        .raw("\" height=\"6\"/></svg></td>");
}
