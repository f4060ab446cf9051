//! One decoded token's figures.
use super::Mask;
use super::row::{RowStats, masked_entropy};
use crate::base::TokenEntropy;

/// The figures of `token`, taken from this row under this mask.
///
/// Entropy, varentropy, top-1 probability, margin and log-probability are of
/// the raw logits; only `masked_entropy_nats` sees the mask. A token is forced
/// where the mask leaves no other.
pub fn token_entropy(
    logits: &[f32],
    stats: &RowStats,
    token: u32,
    mask: Option<&Mask>,
) -> TokenEntropy {
    let logit = logits.get(token as usize);
    drawn_entropy(
        logit.copied().unwrap_or(f32::NEG_INFINITY),
        stats,
        token,
        mask.and_then(|mask| masked_entropy(logits, mask)),
        mask.is_some_and(|mask| mask.only().is_some()),
    )
}

/// The same from what another has read of the row: the token's logit, and the entropy over
/// the allowed tokens where a mask left a choice.
pub fn drawn_entropy(
    logit: f32,
    stats: &RowStats,
    token: u32,
    masked_entropy_nats: Option<f32>,
    forced: bool,
) -> TokenEntropy {
    TokenEntropy {
        token,
        logprob: (f64::from(logit) - stats.logsumexp) as f32,
        entropy_nats: stats.entropy_nats,
        varentropy: stats.varentropy,
        top1_prob: stats.top1_prob,
        margin: stats.margin,
        masked_entropy_nats,
        forced,
    }
}

/// The figures of a token that the grammar spelled out.
pub fn forced_entropy(logit: f32, stats: &RowStats, token: u32) -> TokenEntropy {
    drawn_entropy(logit, stats, token, Some(0.0), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_entropy_is_renormalised_and_raw_figures_ignore_the_mask() {
        let logits = [0.0, 1.0f32.ln(), 3.0f32.ln(), 5.0];
        let stats = RowStats::of(&logits).unwrap();
        let mask = Mask::of(4, &[1, 2]);
        let figures = token_entropy(&logits, &stats, 2, Some(&mask));
        // 1/4 and 3/4.
        let expected = -(0.25f32 * 0.25f32.ln() + 0.75 * 0.75f32.ln());
        assert!((figures.masked_entropy_nats.unwrap() - expected).abs() < 1e-6);
        assert!(!figures.forced);
        let raw = token_entropy(&logits, &stats, 2, None);
        assert_eq!(raw, drawn_entropy(logits[2], &stats, 2, None, false));
        assert_eq!(raw.masked_entropy_nats, None);
        assert_eq!(
            (raw.entropy_nats, raw.logprob),
            (figures.entropy_nats, figures.logprob)
        );
    }

    #[test]
    fn a_token_that_the_mask_alone_leaves_is_forced() {
        let logits = [0.0, 2.0, 1.0];
        let stats = RowStats::of(&logits).unwrap();
        let figures = token_entropy(&logits, &stats, 0, Some(&Mask::of(3, &[0])));
        assert!(figures.forced);
        assert_eq!(figures.masked_entropy_nats, Some(0.0));
        assert!(figures.logprob < -2.0);
        assert_eq!(figures, forced_entropy(logits[0], &stats, 0));
    }
}
