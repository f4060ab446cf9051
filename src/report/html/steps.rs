//! Every step, by branch: a row each, which opens to all that is known of it.
use super::super::figures::{action, count, percent, thousands, two, went_wrong};
use super::super::sentence::{branch_end, branch_origin};
use super::super::view::{BranchView, RunView, chosen, signal_nats};
use super::entropy::{coloured, heat};
use super::markup::Markup;
use crate::base::ToolEntropy;
use crate::record::{Candidate, StepFinished};

/// With more steps than this, only the winner's branch is open at first.
const OPEN_STEPS_MAX: usize = 60;
const ACTION_CHARS_MAX: usize = 110;

pub fn steps(out: &mut Markup, view: &RunView) {
    out.raw("<section id=\"steps\" aria-labelledby=\"steps-h\">\n<h2 id=\"steps-h\">Steps</h2>\n");
    if view.steps.is_empty() {
        out.raw("<p class=\"empty\">No step has finished.</p>\n");
    }
    for at in &view.branches {
        branch(out, view, at);
    }
    out.raw("</section>\n");
}

fn branch(out: &mut Markup, view: &RunView, branch: &BranchView) {
    let open = view.is_winner(branch.id) || view.steps.len() <= OPEN_STEPS_MAX;
    out.raw(if view.is_winner(branch.id) {
        "<details class=\"branch winning\""
    } else {
        "<details class=\"branch\""
    })
    .raw(if open { " open>" } else { ">" })
    .raw("<summary><span class=\"name\">Branch ")
    .text(branch.id)
    .raw("</span><span class=\"end\">")
    .text(branch_end(view, branch))
    .raw("</span><span class=\"from\">")
    .text(branch_origin(branch))
    .raw(", ")
    .text(count(branch.own_steps.len(), "step"))
    .raw("</span></summary>\n");
    if !branch.reason.is_empty() {
        out.raw("<p class=\"note\">")
            .text(&branch.reason)
            .raw("</p>\n");
    }
    for &at in &branch.own_steps {
        step(out, at, &view.steps[at]);
    }
    out.raw("</details>\n");
}

fn step(out: &mut Markup, at: usize, step: &StepFinished) {
    let signal = signal_nats(step);
    let (tool, rest) = chosen(step).map_or_else(Default::default, |c| action(c, ACTION_CHARS_MAX));
    out.raw("<details class=\"step\" id=\"s")
        .text(at)
        .raw("\"><summary><span class=\"id\">")
        .text(step.step)
        .raw("</span><span class=\"heat ")
        .raw(heat(signal))
        .raw("\">")
        .text(two(signal))
        .raw("</span><span class=\"action\"><code class=\"tool\">")
        .text(tool)
        .raw("</code> <code>")
        .text(rest)
        .raw("</code></span><span class=\"rolled\">");
    if step.decision.branch {
        out.text(count(step.candidates.len(), "candidate"));
    }
    out.raw(if went_wrong(step.outcome) {
        "</span><span class=\"result bad\">"
    } else {
        "</span><span class=\"result\">"
    })
    .raw(step.outcome.clause())
    .raw("</span></summary>\n<div class=\"body\">\n");
    decision(out, step);
    if step.candidates.iter().any(|c| c.judge.is_some()) {
        judged(out, step);
    }
    for (nth, one) in step.candidates.iter().enumerate() {
        candidate(out, step, nth, one);
    }
    let mut tools = step
        .candidates
        .iter()
        .filter_map(|c| c.entropy.tool.as_ref());
    if let Some(tool) = tools.next() {
        tool_table(out, tool);
    }
    out.raw("<h4>Observation</h4><pre class=\"observation\">")
        .text(&step.observation)
        .raw("</pre>\n<p class=\"note\">");
    let total = step.usage.total();
    out.text(format_args!(
        "Spent since the step before in the record: {} decoded, {} computed, {} reused, {}, {} copied.",
        count(total.decoded_tokens as usize, "token"),
        thousands(total.computed_tokens),
        thousands(total.reused_tokens),
        count(total.forks as usize, "fork"),
        count(total.blocks_copied as usize, "block"),
    ));
    out.raw("</p>\n</div></details>\n");
}

fn decision(out: &mut Markup, step: &StepFinished) {
    let verdict = if step.decision.branch {
        "Rolled out"
    } else {
        "Went on"
    };
    out.raw("<p class=\"decision\"><strong>")
        .raw(verdict)
        .raw("</strong> ")
        .text(&step.decision.reason)
        .raw("</p>\n");
}

fn judged(out: &mut Markup, step: &StepFinished) {
    let scored = step.candidates.iter().filter_map(|c| c.judge.as_ref());
    let Some(first) = scored.clone().max_by_key(|score| score.dimensions.len()) else {
        return;
    };
    out.raw("<h4>Judge</h4><div class=\"wide\"><table><thead><tr><th>Candidate</th>");
    for (name, _) in &first.dimensions {
        out.raw("<th class=\"n\">")
            .text(name.replace('_', " "))
            .raw("</th>");
    }
    out.raw("<th class=\"n\">Score</th><th></th></tr></thead><tbody>");
    for (nth, candidate) in step.candidates.iter().enumerate() {
        out.raw(if nth == step.chosen {
            "<tr class=\"taken\">"
        } else {
            "<tr>"
        });
        out.figure(nth + 1);
        let judge = candidate.judge.as_ref();
        for (name, _) in &first.dimensions {
            let found = judge.and_then(|judge| judge.dimensions.iter().find(|(n, _)| n == name));
            out.figure(two(found.map(|(_, value)| *value)));
        }
        out.figure(two(judge.map(|judge| judge.score)));
        out.cell(if nth == step.chosen { "taken" } else { "" });
        out.raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
}

fn candidate(out: &mut Markup, step: &StepFinished, nth: usize, candidate: &Candidate) {
    let taken = nth == step.chosen;
    out.raw(if taken {
        "<details class=\"candidate taken\" open><summary>"
    } else {
        "<details class=\"candidate\"><summary>"
    });
    if step.candidates.len() == 1 {
        out.raw("<strong>Action</strong>");
    } else {
        out.raw("<strong>Candidate ").text(nth + 1).raw(if taken {
            "</strong> taken"
        } else {
            "</strong>"
        });
    }
    let entropy = &candidate.entropy;
    out.raw("<span class=\"figures\">").text(format_args!(
        "tool {} · arguments mean {}, max {} nats · {}, {} free",
        two(entropy.tool.as_ref().map(|tool| tool.entropy_nats)),
        two(entropy.args_mean_nats),
        two(entropy.args_max_nats),
        count(entropy.n_tokens, "token"),
        entropy.n_free_tokens,
    ));
    if let Some(vote) = entropy.vote_nats {
        out.text(format_args!(" · vote {vote:.2} nats"));
    }
    if candidate.merged > 1 {
        out.text(format_args!(" · decoded {} times", candidate.merged));
    }
    out.raw("</span></summary><pre class=\"tokens\">");
    coloured(out, candidate);
    out.raw("</pre></details>\n");
}

fn tool_table(out: &mut Markup, tool: &ToolEntropy) {
    out.raw("<h4>Tool distribution</h4><div class=\"wide\"><table class=\"tools\"><tbody>");
    let mut rows: Vec<(&str, f32)> = tool.probs.iter().map(|(n, p)| (n.as_str(), *p)).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (name, share) in rows {
        out.raw("<tr><td><code>").text(name).raw("</code></td>");
        out.figure(percent(share));
        bar(out, "bar", share);
        out.raw("</tr>");
    }
    out.raw("<tr class=\"outside\"><td>outside the tools</td>");
    out.figure(percent(tool.outside_mass));
    bar(out, "bar", tool.outside_mass);
    out.raw("</tr></tbody></table></div>\n");
}

/// A cell with a bar of a share in `0..=1`.
fn bar(out: &mut Markup, class: &'static str, share: f32) {
    out.raw("<td><svg class=\"")
        .raw(class)
        .raw("\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"")
        .text(format_args!("{:.1}", share.clamp(0.0, 1.0) * 100.0))
        .raw("\" height=\"6\"/></svg></td>");
}
