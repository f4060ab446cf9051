//! One agent action's uncertainty from that of its tokens.
use crate::base::{ActionEntropy, TokenEntropy};
use std::collections::HashMap;
use std::ops::Range;

/// A decoded action, as its figures are read from it.
#[derive(Clone, Debug)]
pub struct DecodedAction<'a> {
    /// Reasoning included.
    pub tokens: &'a [TokenEntropy],
    /// The text of each token, for signals of a span that the text marks.
    pub pieces: &'a [String],
    /// Indexes `tokens`, and is cut to their number: an action that ran out of tokens has
    /// short arguments.
    pub arguments: Range<usize>,
    /// Tokens of the reasoning, which stand before the action.
    pub n_reasoning: usize,
}

/// Mean and maximum of the raw token entropy over the free tokens of the arguments, and
/// the mean over those of the reasoning. Tokens that the grammar forced say nothing about
/// the model's doubt and are left out.
///
/// A NaN among the tokens makes both signals NaN, which no gate passes. `tool`, `location` and
/// `vote_nats` are not read off the action: see [`ChoicePaths`](super::ChoicePaths) and
/// [`vote_entropy`].
pub fn action_entropy(action: &DecodedAction<'_>) -> ActionEntropy {
    let DecodedAction {
        tokens, arguments, ..
    } = action;
    let free_of = |span: Range<usize>| -> Vec<(usize, f32)> {
        (span.start..span.end.min(tokens.len()))
            .filter(|&i| !tokens[i].forced)
            .map(|i| (i, tokens[i].entropy_nats))
            .collect()
    };
    let mean = |free: &[(usize, f32)]| {
        let sum: f64 = free.iter().map(|&(_, nats)| f64::from(nats)).sum();
        (!free.is_empty()).then(|| (sum / free.len() as f64) as f32)
    };
    let n_reasoning = action.n_reasoning.min(tokens.len());
    let free = free_of(arguments.clone());
    let action = &tokens[n_reasoning..];
    // The first of equal ones; NaN stands above all numbers in `total_cmp`.
    let max = (free.iter().copied()).reduce(|best, next| {
        if next.1.total_cmp(&best.1).is_gt() {
            next
        } else {
            best
        }
    });
    ActionEntropy {
        tool: None,
        location: None,
        args_mean_nats: mean(&free),
        args_max_nats: max.map(|(_, nats)| nats),
        args_max_at: max.map(|(at, _)| at),
        vote_nats: None,
        reasoning_mean_nats: mean(&free_of(0..n_reasoning)),
        n_free_tokens: action.iter().filter(|token| !token.forced).count(),
        n_tokens: action.len(),
        n_reasoning_tokens: n_reasoning,
    }
}

/// Entropy of the empirical distribution over sampled actions in canonical
/// form, nats: 0 where all agree, `ln n` where no two do. `None` without any.
///
/// A plug-in estimate: with few samples it is low by about `(kinds - 1) / 2n`
/// (Miller 1955) and cannot exceed `ln n`.
pub fn vote_entropy<S: AsRef<str>>(canonical_actions: &[S]) -> Option<f32> {
    let n = canonical_actions.len();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for action in canonical_actions {
        *counts.entry(action.as_ref()).or_default() += 1;
    }
    // Sorted, so that the sum's rounding does not hang on the hash order.
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    let entropy: f64 = counts
        .iter()
        .map(|&count| count as f64 / n as f64)
        .map(|p| -p * p.ln())
        .sum();
    (n > 0).then_some(entropy.max(0.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(entropy_nats: f32, forced: bool) -> TokenEntropy {
        TokenEntropy {
            token: 0,
            logprob: -0.5,
            entropy_nats,
            varentropy: 0.0,
            top1_prob: 0.5,
            margin: 0.1,
            masked_entropy_nats: None,
            forced,
        }
    }

    fn measured(
        tokens: &[TokenEntropy],
        arguments: Range<usize>,
        n_reasoning: usize,
    ) -> ActionEntropy {
        action_entropy(&DecodedAction {
            tokens,
            pieces: &[],
            arguments,
            n_reasoning,
        })
    }

    #[test]
    fn forced_tokens_and_those_outside_the_arguments_are_left_out() {
        let tokens = [
            token(9.0, false), // the thought
            token(8.0, true),
            token(1.0, false),
            token(7.0, true),
            token(2.5, false),
            token(2.5, false),
            token(6.0, false), // behind the arguments
        ];
        let entropy = measured(&tokens, 1..6, 0);
        assert_eq!(entropy.args_mean_nats, Some(2.0));
        assert_eq!(entropy.args_max_nats, Some(2.5));
        assert_eq!(
            entropy.args_max_at,
            Some(4),
            "the first of equals, in the action"
        );
        assert_eq!((entropy.n_free_tokens, entropy.n_tokens), (5, 7));
    }

    #[test]
    fn reasoning_is_measured_and_counted_apart() {
        let tokens = [
            token(9.0, true), // <think>
            token(3.0, false),
            token(1.0, false),
            token(9.0, true), // </think>
            token(0.5, false),
        ];
        let entropy = measured(&tokens, 4..5, 4);
        assert_eq!(entropy.reasoning_mean_nats, Some(2.0));
        assert_eq!(entropy.args_mean_nats, Some(0.5));
        assert_eq!((entropy.n_free_tokens, entropy.n_tokens), (1, 1));
        assert_eq!(entropy.n_reasoning_tokens, 4);
    }

    #[test]
    fn an_action_without_free_arguments_has_no_signal() {
        let tokens = [token(1.0, false), token(2.0, true)];
        for span in [1..2, 2..2, 5..9] {
            let entropy = measured(&tokens, span, 0);
            assert_eq!(entropy.args_mean_nats, None);
            assert_eq!(entropy.args_max_nats, None);
            assert_eq!(entropy.args_max_at, None);
        }
        assert_eq!(measured(&tokens, 0..99, 0).args_max_at, Some(0));
        assert_eq!(measured(&[], 0..0, 0), ActionEntropy::default());
    }

    #[test]
    fn a_nan_token_is_not_hidden() {
        let tokens = [token(1.0, false), token(f32::NAN, false), token(3.0, false)];
        let entropy = measured(&tokens, 0..3, 0);
        assert!(entropy.args_mean_nats.unwrap().is_nan());
        assert!(entropy.args_max_nats.unwrap().is_nan());
    }

    #[test]
    fn votes_that_agree_have_no_entropy_and_votes_that_differ_have_ln_n() {
        assert_eq!(vote_entropy(&["a", "a", "a"]), Some(0.0));
        assert!((vote_entropy(&["a", "b", "c", "d"]).unwrap() - 4f32.ln()).abs() < 1e-6);
        let three_to_one = vote_entropy(&["a", "a", "b", "a"]).unwrap();
        assert!((three_to_one - 0.562_335).abs() < 1e-6);
        assert_eq!(vote_entropy::<&str>(&[]), None);
    }
}
