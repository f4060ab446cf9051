//! The ranking of section 2.3, as pure functions over plain data.
use super::criterion::{
    BY_AGREEMENT, BY_MERIT, BY_VOTES, Contestant, Criterion, descending, order,
};
use super::patch::{code_key, normalise_patch, patch_lines};
use super::reason::reason;
use super::tally::Tally;
use crate::base::{BranchId, RngKey, SelectBy, UsageByPurpose};
use crate::record::{Ranked, Selected, Voted};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A judged trajectory at or below this is dropped (section 2.3).
pub const TRAJECTORY_SCORE_MIN: f32 = 0.3;
/// Candidates that the voters see at most (section 2.3).
pub const SHORTLIST_MAX: usize = 4;

/// What is known of a branch's patch when selection begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidatePatch {
    pub branch: BranchId,
    /// Against the base, without test and debug files.
    pub patch: String,
    /// Trajectory score in `0..=1`; `None`: never judged, which drops nothing.
    pub score: Option<f32>,
    /// Share of counted tests that pass, of those that the run came to; `None` if none
    /// counts.
    pub pass_rate: Option<f32>,
    /// Tests that the run did not come to.
    #[serde(default)]
    pub not_run: u32,
    /// Share that passes of the tests that a model wrote and most patches pass:
    /// it ranks patches of the same pass rate.
    pub written_rate: Option<f32>,
    pub entropy_mean_nats: Option<f32>,
    /// A digest of what the patch makes of the code: equal ones are the same code, an
    /// empty one is the base's. `None`: not known.
    #[serde(default)]
    pub code: Option<String>,
    /// Why the patch cannot be used: it does not apply, or does not compile.
    pub fault: Option<String>,
}

impl CandidatePatch {
    /// False for one that changes nothing, does not apply or does not compile.
    pub fn is_usable(&self) -> bool {
        self.fault().is_none()
    }

    fn key(&self) -> String {
        code_key(self.code.as_deref(), &self.patch)
    }

    /// False where only comments, layout or documentation change.
    fn changes_code(&self) -> bool {
        self.code.as_deref() != Some("")
    }

    fn fault(&self) -> Option<String> {
        match normalise_patch(&self.patch).is_empty() {
            true => Some("it changes nothing".to_owned()),
            false => self.fault.clone(),
        }
    }
}

/// One row for each candidate, in the order of preference: those that stay
/// (at most [`SHORTLIST_MAX`], `dropped` empty) first, then the dropped ones.
///
/// Dropped are: empty patches, those with a fault, those that make the same code (the
/// better of them stays), trajectory scores of at most [`TRAJECTORY_SCORE_MIN`] (the
/// best stays if all fall), and what comes after the fourth.
pub fn shortlist(by: SelectBy, candidates: &[CandidatePatch]) -> Vec<Ranked> {
    let mut ordered: Vec<(&CandidatePatch, Contestant)> =
        candidates.iter().zip(contestants(candidates)).collect();
    let criteria = criteria_of(by);
    ordered.sort_by(|(_, a), (_, b)| order(criteria, a, b));
    let mut rows: Vec<Ranked> = ordered.iter().map(|(c, figures)| row(c, figures)).collect();

    let mut seen: Vec<(String, BranchId)> = Vec::new();
    for ((candidate, _), row) in ordered.iter().zip(&mut rows) {
        let text = candidate.key();
        if let Some(fault) = &row.fault {
            row.dropped = fault.clone();
        } else if let Some((_, twin)) = seen.iter().find(|(other, _)| *other == text) {
            row.dropped = format!("the same patch as branch {twin}'s");
        } else {
            seen.push((text, candidate.branch));
        }
    }
    drop_low_scores(&mut rows);
    let staying = rows.iter_mut().filter(|row| row.dropped.is_empty());
    for row in staying.skip(SHORTLIST_MAX) {
        row.dropped = format!("behind the best {SHORTLIST_MAX}");
    }
    rows.sort_by_key(|row| !row.dropped.is_empty());
    rows
}

/// The final choice among `candidates`, given the voters' views of those that
/// [`shortlist`] let stay.
///
/// By agreement: of those that pass as many tests, one that changes code before one that
/// does not, then the one whose code the most candidates came to, the smaller patch, the
/// lower entropy.
/// By preference: each voter votes for the candidate of its highest total, one that passes
/// every counted test before any that does not; equal totals are a vote each.
/// The majority wins, then the higher total, the smaller patch, the lower entropy;
/// without votes, or by tests, the ranking's first is taken. The first, or one
/// drawn by `key`, of all that can be used, are for comparison.
pub fn select(
    by: SelectBy,
    candidates: &[CandidatePatch],
    votes: &[Voted],
    key: RngKey,
) -> Selected {
    let mut ranking = shortlist(by, candidates);
    let n_staying = ranking.iter().filter(|row| row.dropped.is_empty()).count();
    if n_staying == 0 {
        return Selected {
            branch: None,
            reason: match candidates.len() {
                0 => "no branch left a patch".to_owned(),
                n => format!("none of the {n} branches left a patch that can be used"),
            },
            ranking,
            usage: UsageByPurpose::default(),
        };
    }
    if matches!(by, SelectBy::First | SelectBy::Random) {
        return blind(by, candidates, ranking, key);
    }
    let votes = match by {
        SelectBy::Preference => votes,
        _ => &[],
    };
    let branches: Vec<BranchId> = ranking[..n_staying].iter().map(|row| row.branch).collect();
    let tally = Tally::of(&branches, votes);
    let criteria = match tally.n_voters {
        0 => criteria_of(by),
        _ => BY_VOTES,
    };
    let all = contestants(candidates);
    let figures = |branch: BranchId| {
        let found = all.iter().find(|figures| figures.branch == branch);
        Contestant {
            votes: tally.votes(branch),
            vote_total: tally.total(branch),
            ..*found.expect("a candidate was ranked")
        }
    };
    let mut staying: Vec<Contestant> = branches.into_iter().map(figures).collect();
    staying.sort_by(|a, b| order(criteria, a, b));
    let place = |branch: BranchId| staying.iter().position(|figures| figures.branch == branch);
    ranking[..n_staying].sort_by_key(|row| place(row.branch));
    for (row, figures) in ranking.iter_mut().zip(&staying) {
        row.vote_total = figures.vote_total;
    }
    let reason = reason(criteria, &staying, tally.n_voters);
    Selected {
        branch: Some(ranking[0].branch),
        reason,
        ranking,
        usage: UsageByPurpose::default(),
    }
}

/// The first that ended, or any, of those that change something and compile;
/// `ranking` has one such.
fn blind(
    by: SelectBy,
    candidates: &[CandidatePatch],
    mut ranking: Vec<Ranked>,
    key: RngKey,
) -> Selected {
    let mut usable: Vec<BranchId> = candidates
        .iter()
        .filter(|c| c.is_usable())
        .map(|c| c.branch)
        .collect();
    usable.sort();
    let (at, how) = match by {
        SelectBy::Random => ((key.uniform() * usable.len() as f64) as usize, "drawn"),
        _ => (0, "the first"),
    };
    let winner = usable[at];
    if let Some(row) = ranking.iter_mut().find(|row| row.branch == winner) {
        row.dropped.clear();
    }
    ranking.sort_by_key(|row| (row.branch != winner, !row.dropped.is_empty()));
    Selected {
        branch: Some(winner),
        reason: format!("branch {winner} is {how} of {} patches", usable.len()),
        ranking,
        usage: UsageByPurpose::default(),
    }
}

/// The list that ranks before anyone votes.
fn criteria_of(by: SelectBy) -> &'static [Criterion] {
    match by {
        SelectBy::Agreement => BY_AGREEMENT,
        SelectBy::First | SelectBy::Random | SelectBy::Tests | SelectBy::Preference => BY_MERIT,
    }
}

/// The figures of each candidate, before anyone votes.
fn contestants(candidates: &[CandidatePatch]) -> Vec<Contestant> {
    let usable = candidates.iter().filter(|c| c.is_usable());
    let usable: Vec<String> = usable.map(CandidatePatch::key).collect();
    let figures = |candidate: &CandidatePatch| {
        let key = candidate.key();
        Contestant {
            branch: candidate.branch,
            pass_rate: candidate.pass_rate,
            not_run: candidate.not_run,
            written_rate: candidate.written_rate,
            changes_code: candidate.changes_code(),
            agreeing: usable.iter().filter(|other| **other == key).count() as u32,
            score: candidate.score,
            votes: 0,
            vote_total: None,
            patch_lines: patch_lines(&candidate.patch),
            entropy_mean_nats: candidate.entropy_mean_nats,
        }
    };
    candidates.iter().map(figures).collect()
}

fn row(candidate: &CandidatePatch, figures: &Contestant) -> Ranked {
    Ranked {
        branch: candidate.branch,
        pass_rate: candidate.pass_rate,
        not_run: candidate.not_run,
        written_rate: candidate.written_rate,
        score: candidate.score,
        vote_total: None,
        agreeing: figures.agreeing,
        patch_lines: figures.patch_lines,
        dropped: String::new(),
        fault: candidate.fault(),
    }
}

fn drop_low_scores(rows: &mut [Ranked]) {
    let is_low = |row: &Ranked| row.score.is_some_and(|score| score <= TRAJECTORY_SCORE_MIN);
    let staying: Vec<usize> = (0..rows.len())
        .filter(|&i| rows[i].dropped.is_empty())
        .collect();
    let all_fall = staying.iter().all(|&i| is_low(&rows[i]));
    // The first of equals is the better one by the order of merit.
    let best = staying.iter().copied().reduce(|best, i| {
        match descending(rows[i].score, rows[best].score) {
            Ordering::Less => i,
            _ => best,
        }
    });
    for i in staying {
        if is_low(&rows[i]) && !(all_fall && Some(i) == best) {
            let score = rows[i].score.unwrap_or_default();
            rows[i].dropped =
                format!("trajectory score {score:.2} is not above {TRAJECTORY_SCORE_MIN}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(branch: u32, text: &str) -> CandidatePatch {
        CandidatePatch {
            branch: BranchId(branch),
            patch: format!("diff --git a/m.py b/m.py\n@@ -1 +1 @@\n-x\n+{text}\n"),
            score: Some(0.8),
            pass_rate: Some(1.0),
            not_run: 0,
            written_rate: None,
            entropy_mean_nats: Some(0.5),
            code: None,
            fault: None,
        }
    }

    fn vote(voter: &str, branch: u32, total: f32) -> Voted {
        Voted {
            voter: voter.to_owned(),
            branch: BranchId(branch),
            dimensions: Vec::new(),
            total,
            gated: false,
            usage: Default::default(),
        }
    }

    fn by_preference(candidates: &[CandidatePatch], votes: &[Voted]) -> Selected {
        select(
            SelectBy::Preference,
            candidates,
            votes,
            RngKey::from_seed(1),
        )
    }

    fn shortlist(candidates: &[CandidatePatch]) -> Vec<Ranked> {
        super::shortlist(SelectBy::Preference, candidates)
    }

    fn staying(rows: &[Ranked]) -> Vec<u32> {
        let rows = rows.iter().filter(|row| row.dropped.is_empty());
        rows.map(|row| row.branch.0).collect()
    }

    #[test]
    fn pass_rate_comes_before_trajectory_score_and_four_stay() {
        let mut all: Vec<CandidatePatch> = (0..6).map(|i| candidate(i, &i.to_string())).collect();
        all[3].pass_rate = Some(0.5);
        all[3].score = Some(1.0);
        all[4].score = Some(0.9);
        all[5].pass_rate = None;
        let rows = shortlist(&all);
        assert_eq!(staying(&rows), [4, 0, 1, 2]);
        assert_eq!(rows[4].branch, BranchId(3));
        assert_eq!(rows[4].dropped, "behind the best 4");
    }

    #[test]
    fn written_tests_rank_patches_of_the_same_pass_rate_only() {
        let mut all = [candidate(0, "a"), candidate(1, "b"), candidate(2, "c")];
        all[0].pass_rate = Some(0.9);
        all[0].written_rate = Some(1.0);
        all[1].score = Some(1.0);
        all[1].written_rate = Some(0.5);
        all[2].written_rate = Some(1.0);
        assert_eq!(staying(&shortlist(&all)), [2, 1, 0]);
        let reason = by_preference(&all, &[]).reason;
        assert!(reason.contains("tests that a model wrote"), "{reason}");
    }

    #[test]
    fn empty_faulty_and_equal_patches_drop_out_with_a_reason() {
        let mut empty = candidate(0, "a");
        empty.patch = String::new();
        let mut faulty = candidate(1, "b");
        faulty.fault = Some("m.py:1 does not compile: invalid syntax".to_owned());
        let mut twin = candidate(3, "c");
        twin.score = Some(0.9);
        let rows = shortlist(&[empty, faulty, candidate(2, "c"), twin]);
        assert_eq!(staying(&rows), [3]);
        let why = |branch| {
            &rows
                .iter()
                .find(|row| row.branch.0 == branch)
                .unwrap()
                .dropped
        };
        assert_eq!(why(0), "it changes nothing");
        assert_eq!(why(1), "m.py:1 does not compile: invalid syntax");
        assert_eq!(why(2), "the same patch as branch 3's");
    }

    #[test]
    fn low_scores_drop_out_unless_all_are_low_and_unjudged_ones_stay() {
        let scored = |branch, score| CandidatePatch {
            score,
            ..candidate(branch, &branch.to_string())
        };
        let some = [scored(0, Some(0.3)), scored(1, Some(0.31)), scored(2, None)];
        assert_eq!(staying(&shortlist(&some)), [1, 2]);
        let low = [
            scored(0, Some(0.1)),
            scored(1, Some(0.2)),
            scored(2, Some(0.05)),
        ];
        assert_eq!(staying(&shortlist(&low)), [1]);
    }

    #[test]
    fn the_majority_wins_over_the_higher_total() {
        let all = [candidate(0, "a"), candidate(1, "b")];
        let votes = [
            vote("T=0", 0, 10.0),
            vote("T=0", 1, 11.0),
            vote("T=1", 0, 10.0),
            vote("T=1", 1, 11.0),
            vote("T=2", 0, 18.0),
            vote("T=2", 1, 0.0),
        ];
        let selected = by_preference(&all, &votes);
        assert_eq!(selected.branch, Some(BranchId(1)));
        assert_eq!(
            selected.reason,
            "branch 1 has 2 of 3 votes: passes 100 % of the counted tests"
        );
    }

    #[test]
    fn ties_go_to_the_total_then_the_smaller_patch_then_the_lower_entropy() {
        let (a, mut b) = (candidate(0, "a"), candidate(1, "b"));
        let split = [
            vote("x", 0, 9.0),
            vote("x", 1, 8.0),
            vote("y", 0, 8.0),
            vote("y", 1, 12.0),
        ];
        assert_eq!(
            by_preference(&[a.clone(), b.clone()], &split).branch,
            Some(BranchId(1))
        );
        let equal = [vote("x", 0, 9.0), vote("x", 1, 9.0)];
        b.entropy_mean_nats = Some(0.4);
        let selected = by_preference(&[a.clone(), b.clone()], &equal);
        assert_eq!(selected.branch, Some(BranchId(1)));
        assert!(
            selected.reason.contains("the lower entropy"),
            "{}",
            selected.reason
        );
        b.patch.push_str("+more\n");
        let selected = by_preference(&[a, b], &equal);
        assert_eq!(selected.branch, Some(BranchId(0)));
        assert!(
            selected.reason.contains("the smaller patch"),
            "{}",
            selected.reason
        );
    }

    #[test]
    fn a_voter_prefers_a_patch_that_passes_the_gate() {
        let all = [candidate(0, "a"), candidate(1, "b")];
        let mut gated = vote("x", 0, 15.0);
        gated.gated = true;
        let selected = by_preference(&all, &[gated, vote("x", 1, 9.0)]);
        assert_eq!(selected.branch, Some(BranchId(1)));
    }

    #[test]
    fn without_votes_the_ranking_decides_and_without_patches_nobody() {
        let mut better = candidate(1, "b");
        better.score = Some(0.9);
        let selected = by_preference(&[candidate(0, "a"), better], &[]);
        assert_eq!(selected.branch, Some(BranchId(1)));
        assert!(
            selected.reason.contains("trajectory score"),
            "{}",
            selected.reason
        );
        assert_eq!(by_preference(&[], &[]).branch, None);
        let mut empty = candidate(0, "a");
        empty.patch = String::new();
        let selected = by_preference(&[empty], &[]);
        assert_eq!(selected.branch, None);
        assert_eq!(
            selected.reason,
            "none of the 1 branches left a patch that can be used"
        );
    }

    #[test]
    fn the_code_that_most_came_to_wins_among_those_that_pass_as_many_tests() {
        let coded = |branch, text: &str, code: &str| CandidatePatch {
            code: Some(code.to_owned()),
            ..candidate(branch, text)
        };
        let agree =
            |all: &[CandidatePatch]| select(SelectBy::Agreement, all, &[], RngKey::from_seed(1));
        // Two that differ in a comment, one of its own, two that change a comment alone.
        let mut all = [
            coded(0, "a", ""),
            coded(1, "b", ""),
            coded(2, "short", "one"),
            coded(3, "two # words", "two"),
            coded(4, "two", "two"),
        ];
        all[2].score = Some(1.0);
        let selected = agree(&all);
        assert_eq!(selected.branch, Some(BranchId(3)), "{}", selected.reason);
        assert!(selected.reason.contains("2 branches came to its code"));
        assert_eq!(staying(&selected.ranking), [3, 2, 0]);
        assert_eq!(selected.ranking[3].dropped, "the same patch as branch 3's");
        all[2].pass_rate = Some(1.0);
        for other in [0, 1, 3, 4] {
            all[other].pass_rate = Some(0.5);
        }
        assert_eq!(agree(&all).branch, Some(BranchId(2)));
        // One that changes code is before one that most came to and that changes none.
        let selected = agree(&all[..3]);
        assert_eq!(selected.branch, Some(BranchId(2)));
        for other in [0, 1] {
            all[other].pass_rate = Some(1.0);
        }
        let selected = agree(&all[..3]);
        assert_eq!(
            selected.reason,
            "branch 2 is first by changing code, where the next changes only comments, layout \
             or documentation: passes 100 % of the counted tests"
        );
        // Where nothing but comments change, one of those is all there is.
        assert_eq!(agree(&all[..2]).branch, Some(BranchId(0)));
    }

    #[test]
    fn the_reason_names_the_first_figure_that_differs() {
        let mut n_named = std::collections::BTreeMap::new();
        for seed in 0..3_000 {
            let key = RngKey::from_seed(seed);
            let two = [0, 1].map(|branch: u32| {
                let draw = |at: u64| key.split(branch.into()).split(at).uniform() < 0.5;
                let half = |at| draw(at).then_some(0.5);
                let mut one = candidate(branch, if draw(0) { "a" } else { "a\n+b" });
                one.pass_rate = half(1);
                one.written_rate = half(2);
                one.score = half(3);
                one.entropy_mean_nats = half(4);
                let changes = draw(5);
                one.code = Some(if changes {
                    branch.to_string()
                } else {
                    String::new()
                });
                one
            });
            // Of two that change no code, one is dropped as the same.
            let [a, b] = &two;
            for by in [SelectBy::Agreement, SelectBy::Tests] {
                let selected = select(by, &two, &[], RngKey::from_seed(1));
                let agrees = by == SelectBy::Agreement;
                let differing = [
                    ("by pass rate", a.pass_rate != b.pass_rate),
                    ("by tests that", a.written_rate != b.written_rate),
                    (
                        "by changing code",
                        agrees && a.changes_code() != b.changes_code(),
                    ),
                    ("by trajectory score", !agrees && a.score != b.score),
                    ("by size", patch_lines(&a.patch) != patch_lines(&b.patch)),
                    ("by entropy", a.entropy_mean_nats != b.entropy_mean_nats),
                    ("by order", true),
                ];
                let expected = match a.code == b.code {
                    true => "has the only",
                    false => differing.iter().find(|(_, differs)| *differs).unwrap().0,
                };
                let reason = &selected.reason;
                assert!(reason.contains(expected), "{expected}: {reason}");
                *n_named.entry(expected).or_insert(0) += 1;
            }
        }
        assert_eq!(n_named.len(), 8, "{n_named:?}");
    }

    #[test]
    fn comparisons_choose_without_looking() {
        let mut first = candidate(3, "a");
        first.pass_rate = Some(0.0);
        let all = [candidate(5, "b"), first, candidate(4, "c")];
        let votes = [vote("x", 5, 9.0), vote("x", 4, 12.0)];
        let by = |by, seed| select(by, &all, &votes, RngKey::from_seed(seed)).branch;
        assert_eq!(by(SelectBy::First, 1), Some(BranchId(3)));
        assert_eq!(by(SelectBy::Preference, 1), Some(BranchId(4)));
        assert_eq!(
            by(SelectBy::Tests, 1),
            Some(BranchId(4)),
            "the first of equals"
        );
        let drawn: Vec<u32> = (0..30)
            .map(|s| by(SelectBy::Random, s).unwrap().0)
            .collect();
        for branch in [3, 4, 5] {
            assert!(drawn.contains(&branch), "{drawn:?}");
        }
    }
}
