//! The criteria by which patches are ranked. One list orders them and explains the order: the criterion
//! that a reason names is the first of the list in which the two differ.
use crate::base::BranchId;
use std::cmp::Ordering;

/// Figures of a candidate that a ranking looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contestant {
    pub branch: BranchId,
    pub pass_rate: Option<f32>,
    /// Tests that the run did not come to: no criterion, but a rate is told with them.
    pub not_run: u32,
    /// Of the tests that a model wrote.
    pub written_rate: Option<f32>,
    /// False where only comments, layout or documentation change.
    pub changes_code: bool,
    /// Usable candidates that came to the same code, itself included.
    pub agreeing: u32,
    /// Trajectory score.
    pub score: Option<f32>,
    pub votes: usize,
    /// Mean total of the voters.
    pub vote_total: Option<f32>,
    pub patch_lines: u32,
    pub entropy_mean_nats: Option<f32>,
}

/// One way in which a candidate is better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Criterion {
    /// The higher one; known before unknown.
    PassRate,
    /// The higher one; known before unknown.
    WrittenRate,
    /// One that changes code before one that does not.
    ChangesCode,
    /// The more candidates came to the same code.
    Agreement,
    /// The higher one; known before unknown.
    Score,
    /// The more votes.
    Votes,
    /// The higher one; known before unknown.
    VoteTotal,
    /// The smaller patch.
    PatchLines,
    /// The lower one; known before unknown.
    Entropy,
    /// The branch that was opened first. No two are alike in it, so it ends every list.
    Order,
}

/// Where the voters do not decide.
pub(super) const BY_MERIT: &[Criterion] = &[
    Criterion::PassRate,
    Criterion::WrittenRate,
    Criterion::Score,
    Criterion::PatchLines,
    Criterion::Entropy,
    Criterion::Order,
];

/// Where agreement decides.
pub(super) const BY_AGREEMENT: &[Criterion] = &[
    Criterion::PassRate,
    Criterion::WrittenRate,
    Criterion::ChangesCode,
    Criterion::Agreement,
    Criterion::PatchLines,
    Criterion::Entropy,
    Criterion::Order,
];

/// Where the voters decide.
pub(super) const BY_VOTES: &[Criterion] = &[
    Criterion::Votes,
    Criterion::VoteTotal,
    Criterion::PatchLines,
    Criterion::Entropy,
    Criterion::Order,
];

impl Criterion {
    /// `Less` where `a` is the better one.
    pub(super) fn compare(self, a: &Contestant, b: &Contestant) -> Ordering {
        match self {
            Self::PassRate => descending(a.pass_rate, b.pass_rate),
            Self::WrittenRate => descending(a.written_rate, b.written_rate),
            Self::ChangesCode => b.changes_code.cmp(&a.changes_code),
            Self::Agreement => b.agreeing.cmp(&a.agreeing),
            Self::Score => descending(a.score, b.score),
            Self::Votes => b.votes.cmp(&a.votes),
            Self::VoteTotal => descending(a.vote_total, b.vote_total),
            Self::PatchLines => a.patch_lines.cmp(&b.patch_lines),
            Self::Entropy => ascending(a.entropy_mean_nats, b.entropy_mean_nats),
            Self::Order => a.branch.cmp(&b.branch),
        }
    }
}

/// The first criterion in which two candidates differ, and how. `None` for one candidate
/// held against itself.
pub(super) fn decisive(
    criteria: &[Criterion],
    a: &Contestant,
    b: &Contestant,
) -> Option<(Criterion, Ordering)> {
    let compared = criteria.iter().map(|&by| (by, by.compare(a, b)));
    compared.into_iter().find(|(_, order)| order.is_ne())
}

/// The order of two candidates by all criteria, the first of them first.
pub(super) fn order(criteria: &[Criterion], a: &Contestant, b: &Contestant) -> Ordering {
    decisive(criteria, a, b).map_or(Ordering::Equal, |(_, order)| order)
}

/// Higher first, unknown last.
pub(super) fn descending(a: Option<f32>, b: Option<f32>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Lower first, unknown last.
fn ascending(a: Option<f32>, b: Option<f32>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::RngKey;

    /// A candidate of figures that often agree with another's.
    pub(crate) fn drawn(branch: u32, key: RngKey) -> Contestant {
        let draw = |at: u64, n: u32| (key.split(at).uniform() * f64::from(n)) as u32;
        let known = |at: u64| (draw(at, 3) > 0).then(|| draw(at + 100, 2) as f32 / 2.0);
        Contestant {
            branch: BranchId(branch),
            pass_rate: known(0),
            not_run: 0,
            written_rate: known(1),
            changes_code: draw(2, 2) == 0,
            agreeing: 1 + draw(3, 2),
            score: known(4),
            votes: draw(5, 2) as usize,
            vote_total: known(6),
            patch_lines: 1 + draw(7, 2),
            entropy_mean_nats: known(8),
        }
    }

    #[test]
    fn the_decisive_criterion_is_the_first_that_differs_and_orders_the_two() {
        for criteria in [BY_MERIT, BY_AGREEMENT, BY_VOTES] {
            let mut named = Vec::new();
            for seed in 0..2_000 {
                let key = RngKey::from_seed(seed);
                let (a, b) = (drawn(0, key.split(0)), drawn(1, key.split(1)));
                let (by, order_of_two) = decisive(criteria, &a, &b).expect("branches differ");
                let at = criteria.iter().position(|&c| c == by).unwrap();
                for &earlier in &criteria[..at] {
                    assert!(earlier.compare(&a, &b).is_eq(), "{earlier:?} {a:?} {b:?}");
                }
                assert_eq!(order(criteria, &a, &b), order_of_two);
                assert_eq!(order(criteria, &b, &a), order_of_two.reverse());
                named.push(by);
            }
            for by in criteria {
                assert!(named.contains(by), "{by:?} never decides");
            }
        }
    }

    #[test]
    fn an_unknown_figure_comes_last() {
        assert!(descending(Some(0.0), None).is_lt() && descending(Some(0.5), Some(0.1)).is_lt());
        assert!(ascending(Some(9.0), None).is_lt() && ascending(Some(0.5), Some(0.1)).is_gt());
        assert!(descending(None, None).is_eq());
    }
}
