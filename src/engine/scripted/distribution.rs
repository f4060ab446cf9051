//! A known distribution over token strings, read one token at a time.
use crate::base::{SamplerSettings, TokenEntropy};
use std::collections::BTreeMap;

/// Weighted continuations. No string is a prefix of another, since each ends
/// with the token that ends a turn.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    rest: Vec<(Vec<u32>, f64)>,
}

impl Distribution {
    /// The strings that start with `said`, without it.
    pub(super) fn behind(texts: Vec<(Vec<u32>, f64)>, said: &[u32]) -> Self {
        let rest = texts.into_iter().filter_map(|(tokens, p)| {
            let rest = tokens.strip_prefix(said)?;
            (p > 0.0 && !rest.is_empty()).then(|| (rest.to_vec(), p))
        });
        Self {
            rest: rest.collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What follows once `token` was taken.
    pub(super) fn step(&self, token: u32) -> Self {
        Self::behind(self.rest.clone(), &[token])
    }

    /// Each possible next token with its probability.
    fn next(&self) -> BTreeMap<u32, f64> {
        let total: f64 = self.rest.iter().map(|(_, p)| p).sum();
        let mut next = BTreeMap::new();
        for (tokens, p) in &self.rest {
            *next.entry(tokens[0]).or_insert(0.0) += p / total;
        }
        next
    }

    /// A token by the sampler's temperature (its other settings are for real
    /// vocabularies); `None` if all are barred.
    pub(super) fn draw(
        &self,
        sampler: &SamplerSettings,
        uniform: f64,
        barred: &[u32],
    ) -> Option<u32> {
        let mut next = self.next();
        next.retain(|token, _| !barred.contains(token));
        let likeliest = next
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)))
            .map(|(token, _)| *token)?;
        if sampler.temperature == 0.0 {
            return Some(likeliest);
        }
        for p in next.values_mut() {
            *p = p.powf(1.0 / f64::from(sampler.temperature));
        }
        let mut left = uniform * next.values().sum::<f64>();
        for (token, p) in &next {
            left -= p;
            if left < 0.0 {
                return Some(*token);
            }
        }
        Some(likeliest)
    }

    /// What the sampler would report of taking `token` here.
    pub(super) fn figures(&self, token: u32) -> TokenEntropy {
        let next = self.next();
        let entropy: f64 = next.values().map(|p| -p * p.ln()).sum();
        let square: f64 = next.values().map(|p| p * p.ln() * p.ln()).sum();
        let mut sorted: Vec<f64> = next.values().copied().collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let second = sorted.get(1).copied().unwrap_or(0.0);
        TokenEntropy {
            token,
            logprob: next[&token].ln() as f32,
            entropy_nats: entropy as f32,
            varentropy: (square - entropy * entropy).max(0.0) as f32,
            top1_prob: sorted[0] as f32,
            margin: (sorted[0] - second) as f32,
            masked_entropy_nats: Some(entropy as f32),
            forced: next.len() == 1,
        }
    }

    /// The log-probability of each token of `tokens`; from the first that
    /// cannot come on, minus infinity.
    pub(super) fn logprobs(&self, tokens: &[u32]) -> Vec<f32> {
        let mut state = self.clone();
        let mut logprobs = Vec::with_capacity(tokens.len());
        for &token in tokens {
            let p = state.next().get(&token).copied().unwrap_or(0.0);
            logprobs.push(p.ln() as f32);
            state = state.step(token);
        }
        logprobs
    }
}

/// A scripted token: its entropy as told, every other figure a certainty's.
pub(super) fn flat(token: u32, entropy_nats: f32) -> TokenEntropy {
    TokenEntropy {
        token,
        logprob: 0.0,
        entropy_nats,
        varentropy: 0.0,
        top1_prob: 1.0,
        margin: 1.0,
        masked_entropy_nats: None,
        forced: false,
    }
}
