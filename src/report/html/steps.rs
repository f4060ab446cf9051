//! Every step, by branch: a row each, which opens to all that is known of it.
use super::super::figures::{action, count, percent, thousands, two, went_wrong};
use super::super::gate::ShownGate;
use super::super::limits;
use super::super::sentence::{branch_end, branch_origin, judge_sentence};
use super::super::view::{BranchView, RunView, chosen, signal_nats};
use super::candidates::{rationale, siblings, taken};
use super::entropy::heat;
use super::markup::Markup;
use crate::base::ChoiceEntropy;
use crate::record::StepFinished;

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
    .text(branch_origin(view, branch))
    .raw(", ")
    .text(count(branch.own_steps.len(), "step"))
    .raw("</span></summary>\n");
    if !branch.reason.is_empty() && branch.reason != branch_origin(view, branch) {
        out.raw("<p class=\"note\">")
            .text(&branch.reason)
            .raw("</p>\n");
    }
    if let Some(judge) = view.judged(branch.id) {
        out.raw("<p class=\"note\">Judged as a whole: ")
            .text(judge_sentence(judge))
            .raw("</p>\n");
        rationale(out, judge);
    }
    let gate = ShownGate::of(view);
    for &at in &branch.own_steps {
        let own = &view.steps[at];
        step(out, view, at, gate.and_then(|gate| gate.at(own)));
    }
    out.raw("</details>\n");
}

/// Choices of a distribution that are shown one by one: all tools, the likeliest locations.
const CHOICES_MAX: usize = 15;

fn step(out: &mut Markup, view: &RunView, at: usize, gate_nats: Option<f32>) {
    let step = &view.steps[at];
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
    taken(out, step, gate_nats);
    out.raw("<h5>Observation</h5><pre class=\"observation\">")
        .text(&step.observation)
        .raw("</pre>\n");
    for note in limits::notes(view, step) {
        out.raw("<p class=\"note\">").text(note).raw("</p>\n");
    }
    siblings(out, step, gate_nats);
    let mut tools = step
        .candidates
        .iter()
        .filter_map(|c| c.entropy.tool.as_ref());
    if let Some(tool) = tools.next() {
        choice_table(out, "Tool distribution", "outside the tools", tool);
    }
    let mut locations = step
        .candidates
        .iter()
        .filter_map(|c| c.entropy.location.as_ref());
    if let Some(location) = locations.next() {
        let title = "Location distribution";
        choice_table(out, title, "outside the locations", location);
    }
    out.raw("<p class=\"note\">");
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

/// The likeliest choices with their probabilities, and what is left of 1.
fn choice_table(out: &mut Markup, title: &str, rest: &'static str, choice: &ChoiceEntropy) {
    out.raw("<h4>")
        .text(title)
        .raw("</h4><div class=\"wide\"><table class=\"tools\"><tbody>");
    let mut rows: Vec<(&str, f32)> = choice.probs.iter().map(|(n, p)| (n.as_str(), *p)).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let n_more = rows.len().saturating_sub(CHOICES_MAX);
    let of_more: f32 = rows.iter().skip(CHOICES_MAX).map(|row| row.1).sum();
    rows.truncate(CHOICES_MAX);
    let more = format!("{n_more} more");
    if n_more > 0 {
        rows.push((&more, of_more));
    }
    for (name, share) in rows {
        out.raw("<tr><td><code>").text(name).raw("</code></td>");
        out.figure(percent(share));
        bar(out, "bar", share);
        out.raw("</tr>");
    }
    out.raw("<tr class=\"outside\"><td>")
        .text(rest)
        .raw("</td>");
    out.figure(percent(choice.outside_mass));
    bar(out, "bar", choice.outside_mass);
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
