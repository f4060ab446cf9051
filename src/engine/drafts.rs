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

/// What an engine knows for its drafts.
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

/// The part of the newest step in an estimate, if it was faster, and if it was slower: other
/// work on the machine makes a step slower and never faster.
const NEWEST: [f64; 2] = [0.5, 0.1];

/// What another row is taken to cost, as a part of a step of one row, before it was tried:
/// little, so that it is.
const ROW_GUESS: f64 = 0.03;

/// How much of an estimate is left, beyond the guess, by each step of other rows: what was slow
/// once is tried again after some hundred.
const KEPT: f64 = 0.995;

/// Seconds of steps by their rows. Contexts grow, so that steps of all lengths get slower
/// together: what is kept is how they relate.
#[derive(Clone, Debug, Default)]
struct StepCost {
    /// Of a step of one row.
    unit_s: Option<f64>,
    /// Of a step of `i + 1` rows, in units; `None` before the first.
    ratios: [Option<f64>; DRAFT_ROWS_MAX],
}

impl StepCost {
    fn took(&mut self, n_rows: usize, time: Duration) {
        if !(1..=DRAFT_ROWS_MAX).contains(&n_rows) {
            return;
        }
        for (n, ratio) in (1..).zip(&mut self.ratios).skip(1) {
            let guess = 1.0 + ROW_GUESS * (n - 1) as f64;
            *ratio = ratio.map(|ratio| guess + KEPT * (ratio - guess));
        }
        let seconds = time.as_secs_f64();
        let unit_s = self.unit_s.unwrap_or(seconds / self.ratio(n_rows));
        if n_rows > 1 {
            let now = seconds / unit_s;
            let ratio = &mut self.ratios[n_rows - 1];
            *ratio = Some(ratio.map_or(now, |old| moved(old, now)));
        }
        // The unit follows steps of any length as far as their ratio is known.
        self.unit_s = Some(moved(unit_s, seconds / self.ratio(n_rows)));
    }

    /// Of a step of that many rows, as a multiple of one of one row.
    fn ratio(&self, n_rows: usize) -> f64 {
        if n_rows <= 1 {
            return 1.0;
        }
        let at = (n_rows - 1).min(DRAFT_ROWS_MAX - 1);
        let known = |i: usize| Some((i, if i == 0 { Some(1.0) } else { self.ratios[i] }?));
        let above = (at + 1..DRAFT_ROWS_MAX).filter_map(known);
        // More rows take no less time.
        let at_most = above
            .clone()
            .map(|(_, ratio)| ratio)
            .fold(f64::INFINITY, f64::min);
        if let Some(ratio) = self.ratios[at] {
            return ratio.min(at_most);
        }
        let below = (0..at).rev().find_map(known).expect("one row is known");
        let between = match above.clone().next() {
            Some(above) => {
                let part = (at - below.0) as f64 / (above.0 - below.0) as f64;
                below.1 + part * (above.1 - below.1)
            }
            None => below.1 + ROW_GUESS * (at - below.0) as f64,
        };
        between.min(at_most)
    }
}

fn moved(old: f64, new: f64) -> f64 {
    let part = NEWEST[usize::from(new > old)];
    part * new + (1.0 - part) * old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_rows_is_learnt_and_guessed_between() {
        let mut cost = StepCost::default();
        assert!(cost.ratio(8) < 1.3, "what was not tried is tried");
        let ms = Duration::from_millis;
        cost.took(1, ms(100));
        cost.took(8, ms(170));
        assert!((cost.ratio(8) - 1.7).abs() < 0.01);
        assert!((cost.ratio(4) - 1.3).abs() < 0.01, "{}", cost.ratio(4));
        assert!(cost.ratio(16) > 1.7);
        // Everything twice as slow, as contexts grow: the ratios stay.
        for _ in 0..40 {
            cost.took(1, ms(200));
            cost.took(8, ms(340));
        }
        assert!((cost.ratio(8) - 1.7).abs() < 0.1, "{}", cost.ratio(8));
        cost.took(400, ms(1));
        assert_eq!(cost.ratio(0), 1.0);
        // One that something else held up is no reason against it for ever.
        cost.took(12, ms(9_000));
        assert!(cost.ratio(12) > 20.0);
        for _ in 0..2_000 {
            cost.took(1, ms(200));
        }
        assert!(cost.ratio(12) < 2.0, "{}", cost.ratio(12));
    }
}
