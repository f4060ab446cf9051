//! Entropy as colour: seven steps, the same for tokens and for the tree.
use super::markup::Markup;
use crate::record::Candidate;

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

/// A candidate's text, its tokens coloured where their text is known.
pub fn coloured(out: &mut Markup, candidate: &Candidate) {
    let pieces = &candidate.pieces;
    let known = pieces.len() == candidate.tokens.len()
        && pieces.iter().map(String::len).sum::<usize>() == candidate.text.len()
        && pieces.concat() == candidate.text;
    if !known {
        out.text(&candidate.text);
        return;
    }
    for (token, piece) in candidate.tokens.iter().zip(pieces) {
        let class = heat(Some(token.entropy_nats));
        if piece.is_empty() {
            continue;
        }
        if token.forced {
            out.raw("<i>").text(piece).raw("</i>");
        } else if class == "h0" {
            out.text(piece);
        } else {
            out.raw("<b class=\"")
                .raw(class)
                .raw("\" title=\"")
                .text(format_args!(
                    "{:.2} nats, p {:.2}",
                    token.entropy_nats,
                    token.logprob.exp()
                ))
                .raw("\">")
                .text(piece)
                .raw("</b>");
        }
    }
}

/// What the colours mean.
pub fn legend(out: &mut Markup) {
    out.raw("<p class=\"legend\"><span>Entropy, nats</span>");
    for (at, class) in CLASSES.into_iter().enumerate() {
        let from = at.checked_sub(1).map_or(0.0, |below| HEAT_NATS[below]);
        out.raw("<span class=\"key ")
            .raw(class)
            .raw("\">")
            .text(format_args!("{from:.2}"))
            .raw("</span>");
    }
    out.raw("<span class=\"shapes\">")
        .raw("<svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><g class=\"step hx\"><circle cx=\"8\" cy=\"8\" r=\"4\"/><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"7\"/></g></svg> rolled out")
        .raw("<svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><g class=\"step hx\"><circle cx=\"8\" cy=\"8\" r=\"6\"/><path class=\"wrong\" d=\"M5 5L11 11M11 5L5 11\"/></g></svg> went wrong")
        .raw("<svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><g class=\"step hx\"><rect x=\"2.5\" y=\"2.5\" width=\"11\" height=\"11\" rx=\"2\"/></g></svg> submitted")
        .raw("</span></p>\n");
}
