//! Preference voters (section 2.3): six dimensions, read from the logits behind
//! each candidate's own context on a forked cache.
use crate::agent::{Dialect, expected_digits};
use crate::base::{BranchId, Purpose, SeqId};
use crate::engine::{Engine, EngineError};
use crate::record::Voted;

const QUESTION: &str = include_str!("prompts/preference.md");

/// The six dimensions, the gated one last.
pub const DIMENSIONS: [&str; 6] = [
    "requirement relevance",
    "code accuracy",
    "change precision",
    "dependency and context awareness",
    "code quality",
    "functionality validation",
];

/// A candidate as a voter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ballot {
    pub branch: BranchId,
    /// Ends with the branch's last action.
    pub seq: SeqId,
    /// False when a counted test fails: functionality validation is then 0.
    pub passes: bool,
}

/// One voter's view of every candidate, in one batch.
///
/// The voter is deterministic: expected digits, no sampling. The cost of the
/// batch stands with the first vote.
pub fn vote(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    ballots: &[Ballot],
) -> Result<Vec<Voted>, EngineError> {
    let before = engine.usage();
    let seqs: Vec<SeqId> = ballots.iter().map(|ballot| ballot.seq).collect();
    let scores = expected_digits(
        engine,
        dialect,
        &seqs,
        QUESTION,
        &DIMENSIONS,
        Purpose::Selection,
    )?;
    let mut usage = engine.usage().since(&before);
    let voted = |(ballot, mut dimensions): (&Ballot, Vec<(String, f32)>)| {
        if !ballot.passes {
            dimensions.last_mut().expect("six dimensions").1 = 0.0;
        }
        Voted {
            voter: "expected digits, own context".into(),
            branch: ballot.branch,
            total: dimensions.iter().map(|(_, digit)| digit).sum(),
            dimensions,
            gated: !ballot.passes,
            usage: std::mem::take(&mut usage),
        }
    };
    Ok(ballots.iter().zip(scores).map(voted).collect())
}
