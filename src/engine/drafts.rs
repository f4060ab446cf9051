//! Drafts of an engine: the texts of its sequences, how often drafts were right, and what a
//! step of so many rows costs.
//!
//! A drafted token goes into a step like one that a grammar forced. Each row is drawn by its
//! own position's number, so that the tokens and their entropies are those of the engine
//! without drafts, to the last bit where the rows of a step are independent. The first row
//! that draws another token ends the draft: its token stands, and what was run behind it is
//! given back.
use super::sequence::Sequence;
use crate::base::SeqId;
use crate::decode::{Drafted, Drafter, Odds, TextId, share_rows};
use std::collections::HashMap;
use std::time::Duration;

/// Rows of a step with drafts at most: beyond, a row costs what it costs in a prefill.
pub(super) const DRAFT_ROWS_MAX: usize = 32;

/// Tokens of one draft at most.
const DRAFT_TOKENS_MAX: usize = 24;

/// Tokens that differ, of all texts together: about 50 MB of index.
const INDEX_TOKENS_MAX: usize = 1 << 18;

/// An engine's texts, odds and costs for its drafts.
pub(super) struct Drafts {
    drafter: Drafter,
    texts: HashMap<SeqId, TextId>,
    pub(super) odds: Odds,
    cost: StepCost,
    tokens_max: usize,
    /// Whether a draft goes into a step only as far as it is likely to save time.
    is_thrifty: bool,
}

impl Drafts {
    /// Drafts of up to `n_tokens` tokens; `None`: of as many as are likely to save time.
    pub(super) fn new(n_tokens: Option<usize>) -> Self {
        Self {
            drafter: Drafter::new(INDEX_TOKENS_MAX),
            texts: HashMap::new(),
            odds: Odds::default(),
            cost: StepCost::default(),
            tokens_max: n_tokens.map_or(DRAFT_TOKENS_MAX, |n| n.min(DRAFT_ROWS_MAX - 1)),
            is_thrifty: n_tokens.is_none(),
        }
    }

    /// At most `max` tokens that may come next in a sequence whose tokens all stay.
    pub(super) fn propose(&mut self, seq: SeqId, sequence: &Sequence, max: usize) -> Vec<Drafted> {
        self.learn(seq, sequence);
        let text = self.texts[&seq];
        match self.drafter.len(text) == sequence.tokens.len() {
            true => self.drafter.propose(text, max.min(self.tokens_max)),
            // The index is full.
            false => Vec::new(),
        }
    }

    /// Of each draft of a step, whose tokens have these chances, how many tokens go into it.
    pub(super) fn share(&self, chances: &[Vec<f32>], n_rows: usize, rows_max: usize) -> Vec<usize> {
        let rows_max = rows_max.min(DRAFT_ROWS_MAX);
        share_rows(chances, n_rows, rows_max, |n| match self.is_thrifty {
            true => self.cost.ratio(n),
            false => 1.0,
        })
    }

    /// Takes in the time of a step.
    pub(super) fn took(&mut self, n_rows: usize, time: Duration) {
        self.cost.took(n_rows, time);
    }

    /// Takes in what is new in a sequence.
    fn learn(&mut self, seq: SeqId, sequence: &Sequence) {
        let text = *(self.texts)
            .entry(seq)
            .or_insert_with(|| self.drafter.begin());
        let known = self.drafter.len(text);
        self.drafter.append(text, &sequence.tokens[known..]);
    }

    pub(super) fn forked(&mut self, from: SeqId, len: usize, seq: SeqId) {
        if let Some(&text) = self.texts.get(&from) {
            let known = self.drafter.len(text).min(len);
            self.texts.insert(seq, self.drafter.fork(text, known));
        }
    }

    /// The tokens from `len` on were taken off a sequence.
    pub(super) fn cut(&mut self, seq: SeqId, len: usize) {
        if let Some(&text) = self.texts.get(&seq) {
            self.drafter.truncate(text, len);
        }
    }

    /// The sequence is gone; what it says goes on being a source of drafts.
    pub(super) fn released(&mut self, seq: SeqId, sequence: &Sequence) {
        if self.texts.contains_key(&seq) {
            self.learn(seq, sequence);
            self.drafter.end(self.texts[&seq]);
            self.texts.remove(&seq);
        }
    }
}

/// The part of the newest step in an estimate.
const NEWEST: f64 = 0.2;

/// How much of an estimate's distance to the guess is left by each step of other rows: what was
/// slow once, because of other work on the machine, is tried again after some hundred.
const KEPT: f64 = 0.995;

/// A step of `n` rows, in steps of one row, before one was measured. Few rows take as long as
/// reading the weights, many as long as their arithmetic: with Q4_K_M on two AVX-512 cores, 4
/// rows took 1.08, 8 took 1.8, 16 took 3.4, 32 took 8.
fn guessed(n_rows: usize) -> f64 {
    let n = n_rows as f64;
    (1.0 + 0.03 * (n - 1.0)).max(0.22 * n)
}

/// Seconds of steps by their rows. Contexts grow, so that steps of all lengths get slower
/// together: what is kept is how they relate.
#[derive(Clone, Debug)]
struct StepCost {
    /// Of a step of one row.
    unit_s: Option<f64>,
    /// Of a step of `i + 1` rows, in units, as a multiple of the guess; `None` before the
    /// first.
    factors: [Option<f64>; DRAFT_ROWS_MAX],
}

impl Default for StepCost {
    fn default() -> Self {
        let mut factors = [None; DRAFT_ROWS_MAX];
        factors[0] = Some(1.0);
        Self {
            unit_s: None,
            factors,
        }
    }
}

impl StepCost {
    fn took(&mut self, n_rows: usize, time: Duration) {
        if !(1..=DRAFT_ROWS_MAX).contains(&n_rows) {
            return;
        }
        let moved = |old: f64, new: f64| NEWEST * new + (1.0 - NEWEST) * old;
        let seconds = time.as_secs_f64();
        let unit_s = self.unit_s.unwrap_or(seconds / self.ratio(n_rows));
        for factor in &mut self.factors {
            *factor = factor.map(|factor| 1.0 + KEPT * (factor - 1.0));
        }
        if n_rows > 1 {
            let now = seconds / unit_s / guessed(n_rows);
            let factor = &mut self.factors[n_rows - 1];
            *factor = Some(factor.map_or(now, |old| moved(old, now)));
        }
        // The unit follows steps of any length as far as their ratio is known.
        self.unit_s = Some(moved(unit_s, seconds / self.ratio(n_rows)));
    }

    /// Of a step of that many rows, as a multiple of one of one row. What was not tried is as
    /// far from the guess as the nearest number of rows below.
    fn ratio(&self, n_rows: usize) -> f64 {
        let n = n_rows.clamp(1, DRAFT_ROWS_MAX);
        let mut known = self.factors[..n].iter().rev().flatten();
        guessed(n) * known.next().expect("that of one row is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_rows_is_learnt() {
        let mut cost = StepCost::default();
        assert_eq!(cost.ratio(1), 1.0);
        assert!(cost.ratio(4) < 1.1 && cost.ratio(32) > 6.0);
        let ms = Duration::from_millis;
        cost.took(1, ms(100));
        cost.took(8, ms(140));
        assert!((cost.ratio(8) - 1.4).abs() < 0.05, "{}", cost.ratio(8));
        // Twice as many are guessed from it, fewer are not.
        assert!((cost.ratio(16) - 2.8).abs() < 0.1, "{}", cost.ratio(16));
        assert_eq!(cost.ratio(4), guessed(4));
        // Everything twice as slow, as contexts grow: the ratios stay.
        for _ in 0..40 {
            cost.took(1, ms(200));
            cost.took(8, ms(280));
        }
        assert!((cost.ratio(8) - 1.4).abs() < 0.1, "{}", cost.ratio(8));
        cost.took(400, ms(1));
        // One that something else held up is no reason against it for ever.
        cost.took(12, ms(9_000));
        assert!(cost.ratio(12) > 20.0);
        for _ in 0..1_500 {
            cost.took(1, ms(200));
        }
        assert!(cost.ratio(12) < 2.8, "{}", cost.ratio(12));
    }
}
