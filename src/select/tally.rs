//! What voters gave, counted.
use crate::base::BranchId;
use crate::record::Voted;
use std::cmp::Ordering;

/// Votes and totals over the candidates that stay.
pub(super) struct Tally {
    pub(super) n_voters: usize,
    /// `(branch, votes, sum of totals, times seen)`.
    rows: Vec<(BranchId, usize, f32, usize)>,
}

impl Tally {
    pub(super) fn of(staying: &[BranchId], votes: &[Voted]) -> Self {
        let mut rows: Vec<_> = staying.iter().map(|&branch| (branch, 0, 0.0, 0)).collect();
        let votes = votes.iter().filter(|vote| staying.contains(&vote.branch));
        let votes: Vec<&Voted> = votes.collect();
        let mut voters: Vec<&str> = Vec::new();
        for vote in &votes {
            if !voters.contains(&vote.voter.as_str()) {
                voters.push(&vote.voter);
            }
        }
        for voter in &voters {
            let mine = || votes.iter().filter(|vote| vote.voter == **voter);
            let best = mine().copied().min_by(|a, b| preference(a, b));
            for vote in mine() {
                let row = rows.iter_mut().find(|row| row.0 == vote.branch);
                let row = row.expect("votes on others were left out");
                row.2 += vote.total;
                row.3 += 1;
                if best.is_some_and(|best| preference(vote, best) == Ordering::Equal) {
                    row.1 += 1;
                }
            }
        }
        Self {
            n_voters: voters.len(),
            rows,
        }
    }

    pub(super) fn votes(&self, branch: BranchId) -> usize {
        let row = self.rows.iter().find(|row| row.0 == branch);
        row.map_or(0, |row| row.1)
    }

    /// Mean total over the voters that saw the branch.
    pub(super) fn total(&self, branch: BranchId) -> Option<f32> {
        let row = self.rows.iter().find(|row| row.0 == branch)?;
        (row.3 > 0).then(|| row.2 / row.3 as f32)
    }
}

/// A voter's order: the gate before the total; `Less` is better.
fn preference(a: &Voted, b: &Voted) -> Ordering {
    a.gated.cmp(&b.gated).then(b.total.total_cmp(&a.total))
}
