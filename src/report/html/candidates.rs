//! The candidates of a step: what the judge gave each, and each in full.
use super::super::figures::{action, count, two, went_wrong};
use super::super::view::chosen;
use super::entropy::{answer, profile};
use super::markup::Markup;
use crate::base::GateSignal;
use crate::record::{Candidate, JudgeScore, StepFinished};

const ACTION_CHARS_MAX: usize = 70;

/// The executed candidate, in full. `gate_nats` is the gate where it looks at
/// single tokens.
pub fn taken(out: &mut Markup, step: &StepFinished, gate_nats: Option<f32>) {
    if let Some(candidate) = chosen(step) {
        body(out, candidate, gate_nats);
    }
}

/// What else was decoded: the judge's scores of all, then each that was not taken.
pub fn siblings(out: &mut Markup, step: &StepFinished, gate_nats: Option<f32>) {
    if step.candidates.iter().any(|c| c.judge.is_some()) {
        judged(out, step);
    } else if step.candidates.len() > 1 {
        out.raw("<h4>Siblings</h4>");
    }
    for (nth, candidate) in step.candidates.iter().enumerate() {
        if nth == step.chosen {
            continue;
        }
        out.raw("<details class=\"candidate\"><summary><strong>Candidate ")
            .text(nth + 1)
            .raw("</strong> ");
        named(out, candidate, ACTION_CHARS_MAX).raw("</summary><div>\n");
        body(out, candidate, gate_nats);
        if let Some(tried) = &candidate.tried {
            out.raw("<h5>Carried out to be judged: <span class=\"result")
                .raw(if went_wrong(tried.outcome) {
                    " bad"
                } else {
                    ""
                })
                .raw("\">")
                .raw(tried.outcome.clause())
                .raw("</span></h5><pre class=\"observation\">")
                .text(&tried.observation)
                .raw("</pre>");
        }
        out.raw("</div></details>\n");
    }
}

fn judged(out: &mut Markup, step: &StepFinished) {
    let scored = step.candidates.iter().filter_map(|c| c.judge.as_ref());
    let Some(first) = scored.max_by_key(|score| score.dimensions.len()) else {
        return;
    };
    out.raw("<h4>Siblings, as the judge scored them</h4><div class=\"wide\"><table><thead><tr><th class=\"n\">Candidate</th><th>Action</th>");
    for (name, _) in &first.dimensions {
        out.raw("<th class=\"n\">")
            .text(name.replace('_', " "))
            .raw("</th>");
    }
    out.raw("<th class=\"n\">Score</th><th></th></tr></thead><tbody>");
    for (nth, candidate) in step.candidates.iter().enumerate() {
        let taken = nth == step.chosen;
        out.raw(if taken {
            "<tr class=\"taken\">"
        } else {
            "<tr>"
        });
        out.figure(nth + 1);
        named(out.raw("<td class=\"action\">"), candidate, 40).raw("</td>");
        let judge = candidate.judge.as_ref();
        for (name, _) in &first.dimensions {
            let found = judge.and_then(|judge| judge.dimensions.iter().find(|(n, _)| n == name));
            out.figure(two(found.map(|(_, value)| *value)));
        }
        out.figure(two(judge.map(|judge| judge.score)));
        out.cell(if taken { "taken" } else { "" });
        out.raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
}

fn named<'a>(out: &'a mut Markup, candidate: &Candidate, chars_max: usize) -> &'a mut Markup {
    let (tool, rest) = action(candidate, chars_max);
    out.raw("<code class=\"tool\">")
        .text(tool)
        .raw("</code> <code>")
        .text(rest)
        .raw("</code>")
}

fn body(out: &mut Markup, candidate: &Candidate, gate_nats: Option<f32>) {
    answer(out, candidate);
    profile(out, candidate, gate_nats);
    out.raw("<p class=\"figures\">");
    figures(out, candidate);
    out.raw("</p>");
    if let Some(judge) = &candidate.judge {
        rationale(out, judge);
    }
}

fn figures(out: &mut Markup, candidate: &Candidate) {
    let entropy = &candidate.entropy;
    let measured = GateSignal::ALL.into_iter().filter_map(|signal| {
        let nats = signal.of(entropy)?;
        Some(format!("{} {nats:.2}", signal.label()))
    });
    let mut parts = vec![match measured.collect::<Vec<_>>() {
        none if none.is_empty() => "no entropy measured".to_owned(),
        measured => format!("{} nats", measured.join(", ")),
    }];
    parts.push(format!(
        "{}, {} free",
        count(entropy.n_tokens, "token"),
        entropy.n_free_tokens
    ));
    if entropy.n_reasoning_tokens > 0 {
        let n = count(entropy.n_reasoning_tokens, "token");
        parts.push(format!("reasoned first: {n}"));
    }
    parts.push(format!("T = {}", candidate.temperature));
    if candidate.forked_at > 0 {
        parts.push(format!(
            "left the first action behind its {}",
            count(candidate.forked_at, "token")
        ));
    }
    if candidate.merged > 1 {
        parts.push(format!("decoded {} times", candidate.merged));
    }
    out.text(parts.join(" · "));
}

/// What a judge wrote before its digits, if it was asked to.
pub fn rationale(out: &mut Markup, judge: &JudgeScore) {
    if let Some(text) = &judge.rationale {
        out.raw("<h5>The judge’s rationale</h5><blockquote>")
            .text(text.trim())
            .raw("</blockquote>");
    }
}
