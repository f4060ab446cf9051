//! Entropy as colour: seven steps, the same for tokens and for the tree.
use super::super::figures::one_line;
use super::markup::Markup;
use crate::agent::call_start;
use crate::base::TokenEntropy;
use crate::record::Candidate;
use std::ops::Range;

/// Lower bounds of heat 1 to 6, nats. The distribution is right-skewed, so
/// they widen; 0.69 nats is a fair coin, 2.08 a fair choice of eight.
pub const HEAT_NATS: [f32; 6] = [0.05, 0.25, 0.6, 1.2, 2.0, 3.0];

const CLASSES: [&str; 7] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6"];

/// The CSS class of an entropy; `hx` where there is no figure.
pub fn heat(nats: Option<f32>) -> &'static str {
    nats.map_or("hx", |nats| {
        CLASSES[HEAT_NATS.iter().filter(|&&bound| nats >= bound).count()]
    })
}

/// A candidate's text in its two parts, its tokens coloured where their text is
/// known: the thought, where there is one, then the call.
pub fn answer(out: &mut Markup, candidate: &Candidate) {
    let call_at = call_start(&candidate.text).unwrap_or(0);
    if !has_pieces(candidate) {
        let (thought, call) = candidate.text.split_at(call_at);
        part(out, "Thought", thought, |out| out.text(thought));
        part(out, "Action", call, |out| out.text(call));
        return;
    }
    // The token in which the call begins belongs to it.
    let (mut start, mut first) = (0, 0);
    for piece in &candidate.pieces {
        if start + piece.len() > call_at {
            break;
        }
        start += piece.len();
        first += 1;
    }
    let (thought, call) = candidate.text.split_at(start);
    let n = candidate.tokens.len();
    part(out, "Thought", thought, |out| {
        coloured(out, candidate, 0..first)
    });
    part(out, "Action", call, |out| {
        coloured(out, candidate, first..n)
    });
}

fn part(
    out: &mut Markup,
    name: &'static str,
    text: &str,
    write: impl FnOnce(&mut Markup) -> &mut Markup,
) {
    if text.trim().is_empty() {
        return;
    }
    out.raw("<h5>").raw(name).raw("</h5><pre class=\"tokens\">");
    write(out).raw("</pre>");
}

fn has_pieces(candidate: &Candidate) -> bool {
    let pieces = &candidate.pieces;
    pieces.len() == candidate.tokens.len()
        && pieces.iter().map(String::len).sum::<usize>() == candidate.text.len()
        && pieces.concat() == candidate.text
}

/// Some of a candidate's tokens; those that it shares with the action that it
/// left are set back, and a mark stands where it left.
fn coloured<'a>(
    out: &'a mut Markup,
    candidate: &Candidate,
    tokens: Range<usize>,
) -> &'a mut Markup {
    let kept = tokens.start..candidate.forked_at.clamp(tokens.start, tokens.end);
    if !kept.is_empty() {
        out.raw("<span class=\"kept\">");
        kept.clone().for_each(|at| token(out, candidate, at));
        out.raw("</span>");
    }
    for at in kept.end..tokens.end {
        if at > 0 && at == candidate.forked_at {
            out.raw("<span class=\"left\" title=\"here it left the action that was decoded first\">◆</span>");
        }
        token(out, candidate, at);
    }
    out
}

fn token(out: &mut Markup, candidate: &Candidate, at: usize) {
    let (token, piece) = (&candidate.tokens[at], &candidate.pieces[at]);
    let class = heat(Some(token.entropy_nats));
    if piece.is_empty() {
    } else if token.forced {
        out.raw("<i>").text(piece).raw("</i>");
    } else if class == "h0" {
        out.text(piece);
    } else {
        out.raw("<b class=\"")
            .raw(class)
            .raw("\" title=\"")
            .text(format_args!(
                "{}, p {:.2}",
                nats(token),
                token.logprob.exp()
            ))
            .raw("\">")
            .text(piece)
            .raw("</b>");
    }
}

/// A token's text with white space that can be seen.
fn visible(piece: &str) -> String {
    let mark = |c| match c {
        ' ' => '␣',
        '\n' => '⏎',
        '\t' => '⇥',
        c => c,
    };
    one_line(&piece.chars().map(mark).collect::<String>(), 24)
}

fn nats(token: &TokenEntropy) -> String {
    format!("{:.2} nats", token.entropy_nats)
}

/// Height of a profile, in its own units; its largest figure, nats.
const PROFILE_HEIGHT: f32 = 24.0;
const PROFILE_NATS_MAX: f32 = 4.0;
/// Below this a token's line would be shorter than a pixel.
const PROFILE_NATS_MIN: f32 = 0.1;
/// How many of the most uncertain tokens are named.
const NAMED_MAX: usize = 3;

/// Entropy by token as a strip of lines, with the gate where it looks at single
/// tokens, and the most uncertain tokens by name: what colours and titles say,
/// for those who see no colours and have no pointer.
pub fn profile(out: &mut Markup, candidate: &Candidate, gate_nats: Option<f32>) {
    let tokens = &candidate.tokens;
    let mut free: Vec<usize> = (0..tokens.len()).filter(|&at| !tokens[at].forced).collect();
    let entropy = |at: usize| tokens[at].entropy_nats;
    free.retain(|&at| entropy(at) >= PROFILE_NATS_MIN);
    if free.is_empty() {
        return;
    }
    let height = |nats: f32| nats.min(PROFILE_NATS_MAX) / PROFILE_NATS_MAX * PROFILE_HEIGHT;
    out.raw("<p class=\"profile\"><svg viewBox=\"0 0 ")
        .text(tokens.len())
        .raw(" ")
        .text(PROFILE_HEIGHT)
        .raw("\" width=\"")
        .text((tokens.len() * 3).clamp(60, 480))
        .raw("\" height=\"40\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path d=\"");
    for &at in &free {
        out.text(format_args!(
            "M{at}.5 {PROFILE_HEIGHT}V{:.1}",
            PROFILE_HEIGHT - height(entropy(at))
        ));
    }
    out.raw("\"/>");
    if let Some(gate) = gate_nats {
        let y = PROFILE_HEIGHT - height(gate);
        out.raw("<path class=\"gate\" d=\"M0 ")
            .text(format_args!("{y:.1}H{}", tokens.len()))
            .raw("\"/>");
    }
    out.raw("</svg><span>Most uncertain: ");
    free.sort_by(|&a, &b| entropy(b).total_cmp(&entropy(a)).then(a.cmp(&b)));
    for (nth, &at) in free.iter().take(NAMED_MAX).enumerate() {
        if nth > 0 {
            out.raw(" · ");
        }
        match candidate.pieces.get(at).map(String::as_str) {
            None | Some("") => out.text(format_args!("token {}", at + 1)),
            Some(piece) => out.raw("<code>").text(visible(piece)).raw("</code>"),
        };
        out.raw(" ").text(nats(&tokens[at]));
    }
    out.raw("</span></p>");
}

/// What the colours mean.
pub fn scale(out: &mut Markup) {
    out.raw("<span class=\"scale\"><span>Entropy, nats</span>");
    for (at, class) in CLASSES.into_iter().enumerate() {
        let from = at.checked_sub(1).map_or(0.0, |below| HEAT_NATS[below]);
        out.raw("<span class=\"key ")
            .raw(class)
            .raw("\">")
            .text(format_args!("{from:.2}"))
            .raw("</span>");
    }
    out.raw("</span>");
}
