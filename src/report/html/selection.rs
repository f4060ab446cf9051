//! The selector's ranking and its voters' scores.
use super::super::figures::two;
use super::super::view::RunView;
use super::markup::Markup;

pub fn selection(out: &mut Markup, view: &RunView) {
    if view.selected.is_none() && view.votes.is_empty() {
        return;
    }
    out.raw(
        "<section id=\"selection\" aria-labelledby=\"sel-h\">\n<h2 id=\"sel-h\">Selection</h2>\n",
    );
    if let Some(selected) = &view.selected {
        out.raw("<p class=\"why\">")
            .text(&selected.reason)
            .raw("</p>\n");
        out.raw("<div class=\"wide\"><table><thead><tr><th class=\"n\">Rank</th><th class=\"n\">Branch</th><th class=\"n\">Pass rate</th><th class=\"n\">Score</th><th class=\"n\">Votes</th><th class=\"n\">Patch lines</th><th></th></tr></thead><tbody>");
        for (rank, row) in selected.ranking.iter().enumerate() {
            let is_selected = selected.branch == Some(row.branch);
            out.raw(match (is_selected, row.dropped.is_empty()) {
                (true, _) => "<tr class=\"taken\">",
                (false, true) => "<tr>",
                (false, false) => "<tr class=\"dropped\">",
            });
            out.figure(rank + 1).figure(row.branch);
            out.figure(two(row.pass_rate)).figure(two(row.score));
            out.figure(two(row.vote_total)).figure(row.patch_lines);
            if is_selected {
                out.cell("selected");
            } else {
                out.cell(&row.dropped);
            }
            out.raw("</tr>");
        }
        out.raw("</tbody></table></div>\n");
    }
    votes(out, view);
    out.raw("</section>\n");
}

fn votes(out: &mut Markup, view: &RunView) {
    let Some(first) = view.votes.iter().max_by_key(|vote| vote.dimensions.len()) else {
        return;
    };
    out.raw("<h3>Votes</h3>\n<div class=\"wide\"><table><thead><tr><th>Voter</th><th class=\"n\">Branch</th>");
    for (name, _) in &first.dimensions {
        out.raw("<th class=\"n\">")
            .text(name.replace('_', " "))
            .raw("</th>");
    }
    out.raw("<th class=\"n\">Total</th><th></th></tr></thead><tbody>");
    for vote in &view.votes {
        out.raw(if view.is_winner(vote.branch) {
            "<tr class=\"taken\">"
        } else {
            "<tr>"
        });
        out.cell(&vote.voter).figure(vote.branch);
        for (name, _) in &first.dimensions {
            let found = vote.dimensions.iter().find(|(n, _)| n == name);
            out.figure(two(found.map(|(_, value)| *value)));
        }
        out.figure(two(Some(vote.total)));
        out.cell(if vote.gated {
            "gated: a counted test fails"
        } else {
            ""
        });
        out.raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
}
