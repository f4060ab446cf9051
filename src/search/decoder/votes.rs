//! Votes on patches (section 2.3): a question behind each trajectory's context.
use super::{Decoder, SearchError};
use crate::base::{BranchId, Purpose, RngKey, SeqId, Voter};
use crate::record::Voted;
use crate::search::state::RunState;
use crate::select::{Ballot, vote};

impl Decoder<'_> {
    /// The votes of those who ask one question of one model.
    pub fn votes_of(
        &mut self,
        state: &RunState,
        voters: &[Voter],
        ballots: &[(BranchId, bool)],
        group: u64,
    ) -> Result<Vec<Voted>, SearchError> {
        let mut seqs = Vec::new();
        for &(branch, _) in ballots {
            seqs.push(self.sequence_of(state, branch, true)?);
        }
        let on = |seqs: &[SeqId]| -> Vec<Ballot> {
            let pairs = ballots.iter().zip(seqs);
            pairs
                .map(|(&(branch, passes), &seq)| Ballot {
                    branch,
                    seq,
                    passes,
                })
                .collect()
        };
        // By the repository too: draws that were the same for every task of a seed would
        // favour one branch in all of them.
        let start = &state.start;
        let tree = u64::from_str_radix(start.base_tree.get(..16).unwrap_or_default(), 16);
        let key = RngKey::from_seed(start.seed)
            .split(tree.unwrap_or_default())
            .split(group);
        let Some(name) = voters.first().and_then(|voter| voter.model.as_ref()) else {
            let ballots = on(&seqs);
            return Ok(vote(self.engine, self.dialect, voters, &ballots, key)?);
        };
        let texts: Vec<String> = seqs.iter().map(|&seq| self.text_of(seq)).collect();
        let other = self.others.named(name)?;
        let seqs = other.read(&texts, Purpose::Selection)?;
        let votes = vote(other.engine, other.dialect, voters, &on(&seqs), key);
        seqs.iter().for_each(|&seq| other.engine.release(seq));
        votes.map_err(|error| other.no_room(error))
    }
}
