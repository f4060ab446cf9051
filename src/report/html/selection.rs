//! The selector's ranking and its voters' scores.
use super::super::figures::{known, rate, two};
use super::super::view::RunView;
use super::markup::Markup;
use crate::base::BranchId;

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
    }
    let ranked = view.selected.as_ref().filter(|s| !s.ranking.is_empty());
    if let Some(selected) = ranked {
        out.raw("<div class=\"wide\"><table><thead><tr><th class=\"n\">Rank</th><th class=\"n\">Branch</th><th class=\"n\">Pass rate</th><th class=\"n\">Agreeing</th><th class=\"n\">Score</th><th class=\"n\">Votes</th><th class=\"n\">Patch lines</th><th></th></tr></thead><tbody>");
        for (rank, row) in selected.ranking.iter().enumerate() {
            let is_selected = selected.branch == Some(row.branch);
            out.raw(match (is_selected, row.dropped.is_empty()) {
                (true, _) => "<tr class=\"taken\">",
                (false, true) => "<tr>",
                (false, false) => "<tr class=\"dropped\">",
            });
            out.figure(rank + 1).figure(row.branch);
            out.figure(rate(row)).figure(known(row.agreeing));
            out.figure(two(row.score));
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

/// A row a voter, a column a branch, in the ranking's order.
fn votes(out: &mut Markup, view: &RunView) {
    if view.votes.is_empty() {
        return;
    }
    let ranked = view.selected.iter().flat_map(|selected| &selected.ranking);
    let voted = || view.votes.iter().map(|vote| vote.branch);
    let ranked = ranked.map(|row| row.branch);
    let branches = distinct(ranked.filter(|&id| voted().any(|v| v == id)).chain(voted()));
    let voters = distinct(view.votes.iter().map(|vote| vote.voter.as_str()));
    out.raw("<h3>Votes</h3>\n<p class=\"hint\">Each voter’s total of six dimensions, 0 to 3 each, by branch.</p>\n<div class=\"wide\"><table><thead><tr><th>Voter</th>");
    for &branch in &branches {
        out.raw(if view.is_winner(branch) {
            "<th class=\"n taken\">branch "
        } else {
            "<th class=\"n\">branch "
        })
        .text(branch)
        .raw("</th>");
    }
    out.raw("</tr></thead><tbody>");
    for &voter in &voters {
        out.raw("<tr>").cell(voter);
        for &branch in &branches {
            vote(out, view, voter, branch);
        }
        out.raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
    out.raw("<details class=\"prose\"><summary>Each vote by dimension</summary>\n");
    dimensions(out, view);
    out.raw("</details>\n");
}

/// A voter's newest total for a branch; the best of its row stands out.
fn vote(out: &mut Markup, view: &RunView, voter: &str, branch: BranchId) {
    let by_voter = || view.votes.iter().filter(|vote| vote.voter == voter);
    let best = by_voter().map(|vote| vote.total).fold(f32::MIN, f32::max);
    match by_voter().rfind(|vote| vote.branch == branch) {
        None => out.figure("–"),
        Some(vote) => out
            .raw(if vote.total >= best {
                "<td class=\"n best\">"
            } else {
                "<td class=\"n\">"
            })
            .text(two(Some(vote.total)))
            .raw(if vote.gated {
                " <small>gated</small>"
            } else {
                ""
            })
            .raw("</td>"),
    };
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn dimensions(out: &mut Markup, view: &RunView) {
    let Some(first) = view.votes.iter().max_by_key(|vote| vote.dimensions.len()) else {
        return;
    };
    out.raw("<div class=\"wide\"><table><thead><tr><th>Voter</th><th class=\"n\">Branch</th>");
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
