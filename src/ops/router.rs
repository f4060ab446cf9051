//! Which experts a token goes to.
use crate::checkpoint::{ExpertsConfig, RouterScores};

/// What keeps a sum of sigmoids from being nothing.
const SUM_MIN: f32 = 1e-20;

/// The experts of one token with their weights, best first.
///
/// `logits: [X]`; `correction: [X]` is added to the scores for the choice only.
pub(super) fn choose(
    logits: &[f32],
    correction: Option<&[f32]>,
    experts: &ExpertsConfig,
) -> Vec<(usize, f32)> {
    let router = &experts.router;
    let scores = match router.scores {
        RouterScores::Sigmoid => logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        RouterScores::Softmax => softmax(logits),
    };
    let rank: Vec<f32> = match correction {
        Some(bias) => scores.iter().zip(bias).map(|(s, b)| s + b).collect(),
        None => scores.clone(),
    };
    let group = scores.len() / router.n_groups;
    let groups = best(router.n_groups, router.n_groups_used, |g| {
        // A group counts as its two best.
        let of_group = &rank[g * group..][..group];
        let two = best(group, 2.min(group), |i| of_group[i]);
        two.iter().map(|&i| of_group[i]).sum()
    });
    let open: Vec<usize> = groups
        .iter()
        .flat_map(|&g| g * group..(g + 1) * group)
        .collect();
    let chosen = best(open.len(), experts.n_used, |i| rank[open[i]]);
    let chosen = chosen.into_iter().map(|i| (open[i], scores[open[i]]));
    let mut chosen: Vec<(usize, f32)> = chosen.collect();
    let sum = match router.normalised {
        true => chosen.iter().map(|(_, weight)| weight).sum::<f32>() + SUM_MIN,
        false => 1.0,
    };
    for (_, weight) in &mut chosen {
        *weight *= router.scale / sum;
    }
    chosen
}

/// The `k` of `0..n` with the highest values, best first; the earlier of equals.
fn best(n: usize, k: usize, value: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut all: Vec<(f32, usize)> = (0..n).map(|i| (value(i), i)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.into_iter().take(k).map(|(_, i)| i).collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::RouterConfig;

    fn experts(n: usize, n_used: usize, router: RouterConfig) -> ExpertsConfig {
        ExpertsConfig {
            n,
            n_used,
            ffn: 1,
            shared_ffn: 0,
            dense_layers: vec![],
            router,
        }
    }

    const SOFTMAX: RouterConfig = RouterConfig {
        scores: RouterScores::Softmax,
        corrected: false,
        n_groups: 1,
        n_groups_used: 1,
        normalised: false,
        scale: 1.0,
    };

    #[test]
    fn the_likeliest_experts_keep_their_share_or_share_all() {
        let logits = [0f32, 3f32.ln(), 6f32.ln(), 0.0]; // 1 : 3 : 6 : 1
        let chosen = choose(&logits, None, &experts(4, 2, SOFTMAX));
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert_eq!((chosen[0].0, chosen[1].0), (2, 1));
        assert!(near(chosen[0].1, 6.0 / 11.0) && near(chosen[1].1, 3.0 / 11.0));
        let router = RouterConfig {
            normalised: true,
            scale: 2.0,
            ..SOFTMAX
        };
        let chosen = choose(&logits, None, &experts(4, 2, router));
        assert!(near(chosen[0].1, 4.0 / 3.0) && near(chosen[1].1, 2.0 / 3.0));
    }

    #[test]
    fn a_correction_chooses_but_does_not_weigh_and_groups_count_by_their_two_best() {
        let router = RouterConfig {
            scores: RouterScores::Sigmoid,
            corrected: true,
            n_groups: 2,
            n_groups_used: 1,
            ..SOFTMAX
        };
        // The first group has the best single one, the second the better pair.
        let logits = [4f32, -4.0, -4.0, 1.0, 1.0, 0.0];
        let of_two = experts(6, 2, router);
        let chosen = choose(&logits, Some(&[0.0; 6]), &of_two);
        assert_eq!((chosen[0].0, chosen[1].0), (3, 4));
        let chosen = choose(&logits, Some(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.5]), &of_two);
        assert_eq!((chosen[0].0, chosen[0].1), (5, 0.5));
    }
}
