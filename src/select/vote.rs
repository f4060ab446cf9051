//! Preference voters (section 2.3): six dimensions, read from the logits behind
//! each candidate's own context.
use crate::agent::{Dialect, Digits, digits};
use crate::base::{BranchId, Purpose, RngKey, SeqId, Voter, VoterPrompt};
use crate::engine::{Engine, EngineError};
use crate::record::Voted;

const MAINTAINER: &str = include_str!("prompts/maintainer.md");
const SCEPTIC: &str = include_str!("prompts/sceptic.md");

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

/// The views of voters that are asked one question of one model: the question
/// is put once behind each candidate, each voter reads the digits in its way.
/// Voter by voter, each over the ballots in their order.
///
/// A voter that draws takes its random numbers from `key`, its own name's
/// place, the branch and the dimension; the order of ballots does not matter.
/// Panics if the voters' prompts differ.
pub fn vote(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    voters: &[Voter],
    ballots: &[Ballot],
    key: RngKey,
) -> Result<Vec<Voted>, EngineError> {
    let Some(first) = voters.first() else {
        return Ok(Vec::new());
    };
    assert!(
        voters.iter().all(|voter| voter.prompt == first.prompt),
        "voters of one question"
    );
    let question = match first.prompt {
        VoterPrompt::Maintainer => MAINTAINER,
        VoterPrompt::Sceptic => SCEPTIC,
    };
    let seqs: Vec<SeqId> = ballots.iter().map(|ballot| ballot.seq).collect();
    let read = digits(
        engine,
        dialect,
        &seqs,
        question,
        &DIMENSIONS,
        Purpose::Selection,
    )?;
    let mut votes = Vec::with_capacity(voters.len() * ballots.len());
    for (index, voter) in voters.iter().enumerate() {
        // One who is asked twice has two votes.
        let nth = voters[..index].iter().filter(|v| *v == voter).count();
        let name = match nth {
            0 => voter.name(),
            nth => format!("{}, again ({})", voter.name(), nth + 1),
        };
        for (ballot, digits) in ballots.iter().zip(&read) {
            let key = key.split(index as u64).split(u64::from(ballot.branch.0));
            votes.push(Voted {
                voter: name.clone(),
                ..view(voter, ballot, digits, key)
            });
        }
    }
    Ok(votes)
}

fn view(voter: &Voter, ballot: &Ballot, digits: &[Digits], key: RngKey) -> Voted {
    let read = |at: usize| match voter.temperature {
        None => digits[at].expectation(),
        Some(t) if t > 0.0 => f32::from(digits[at].draw(t, key.split(at as u64).uniform())),
        Some(_) => f32::from(digits[at].likeliest()),
    };
    let last = DIMENSIONS.len() - 1;
    let dimensions: Vec<(String, f32)> = DIMENSIONS
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let gated = at == last && !ballot.passes;
            ((*name).to_owned(), if gated { 0.0 } else { read(at) })
        })
        .collect();
    Voted {
        voter: voter.name(),
        branch: ballot.branch,
        total: dimensions.iter().map(|(_, digit)| digit).sum(),
        dimensions,
        gated: !ballot.passes,
        usage: Default::default(),
    }
}
