//! Probabilities of hypothetical continuations, over forked tails.
use super::api::{EngineError, ScoreJob};
use super::local::LocalEngine;
use super::sequence::LogitsRow;
use super::step::{Got, Want};
use crate::base::SeqId;
use crate::decode::{RowStats, logprob};
use std::collections::BTreeSet;

/// One tail to run behind a job's sequence: the tokens that others are scored after.
struct Tail {
    job: usize,
    tokens: Vec<u32>,
    seq: SeqId,
    rows: Vec<LogitsRow>,
}

impl LocalEngine {
    pub(super) fn score_all(
        &mut self,
        jobs: &[ScoreJob],
    ) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        for job in jobs {
            self.compute_all(&[job.seq], job.purpose, &mut |_| {})?;
        }
        let mut tails = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            for tokens in longest_tails(&job.continuations) {
                let limit = self.context_max_tokens();
                let len = self.sequence(job.seq).tokens.len();
                if len + tokens.len() > limit {
                    self.release_all(&tails);
                    return Err(EngineError::ContextFull {
                        asked: len + tokens.len(),
                        limit,
                    });
                }
                let mut branch = self.sequence(job.seq).fork(len);
                branch.tokens.extend_from_slice(&tokens);
                self.usage[job.purpose].forks += 1;
                self.usage[job.purpose].reused_tokens += len as u64;
                let seq = self.insert(branch);
                tails.push(Tail {
                    job: index,
                    tokens,
                    seq,
                    rows: Vec::new(),
                });
            }
        }
        let ran = self.run_tails(jobs, &mut tails);
        self.release_all(&tails);
        ran?;
        jobs.iter()
            .enumerate()
            .map(|(index, job)| self.read_scores(index, job, &tails))
            .collect()
    }

    fn run_tails(&mut self, jobs: &[ScoreJob], tails: &mut [Tail]) -> Result<(), EngineError> {
        let mut waiting: Vec<usize> = (0..tails.len()).collect();
        while !waiting.is_empty() {
            let wants: Vec<Want> = waiting
                .iter()
                .map(|&i| Want {
                    seq: tails[i].seq,
                    n_logits: tails[i].tokens.len(),
                    purpose: jobs[tails[i].job].purpose,
                })
                .collect();
            let mut still = Vec::new();
            for (&i, got) in waiting.iter().zip(self.step(&wants)?) {
                match got {
                    Got::Rows(rows) => tails[i].rows = rows,
                    Got::Partial => still.push(i),
                    Got::PoolFull => {
                        return Err(EngineError::KvPoolFull {
                            blocks: self.pool.in_use().total,
                        });
                    }
                }
            }
            waiting = still;
        }
        Ok(())
    }

    fn read_scores(
        &self,
        index: usize,
        job: &ScoreJob,
        tails: &[Tail],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let first = self
            .sequence(job.seq)
            .last_row()
            .expect("the job's sequence was computed")
            .clone();
        let logprob_of = |row: &LogitsRow, token: u32| -> Result<f32, EngineError> {
            let stats = RowStats::of(row).map_err(|error| EngineError::Model(error.to_string()))?;
            Ok(logprob(row, &stats, token))
        };
        job.continuations
            .iter()
            .map(|tokens| {
                let tail = tails.iter().find(|tail| {
                    tail.job == index
                        && tail
                            .tokens
                            .starts_with(&tokens[..tokens.len().saturating_sub(1)])
                });
                tokens
                    .iter()
                    .enumerate()
                    .map(|(position, &token)| match position {
                        0 => logprob_of(&first, token),
                        _ => logprob_of(
                            &tail.expect("every prefix has a tail").rows[position - 1],
                            token,
                        ),
                    })
                    .collect()
            })
            .collect()
    }

    fn release_all(&mut self, tails: &[Tail]) {
        for tail in tails {
            self.sequences.remove(&tail.seq);
        }
    }
}

/// The prefixes that must be run to score every continuation: each without its
/// last token, and without those that another one begins with.
fn longest_tails(continuations: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let prefixes: BTreeSet<&[u32]> = continuations
        .iter()
        .filter(|tokens| tokens.len() > 1)
        .map(|tokens| &tokens[..tokens.len() - 1])
        .collect();
    // In lexical order whatever extends a prefix follows it directly.
    let ordered: Vec<&[u32]> = prefixes.into_iter().collect();
    ordered
        .iter()
        .enumerate()
        .filter(|(i, prefix)| {
            ordered
                .get(i + 1)
                .is_none_or(|next| !next.starts_with(prefix))
        })
        .map(|(_, prefix)| prefix.to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_prefixes_are_run_once() {
        let names = vec![vec![1, 9], vec![1, 2, 9], vec![3, 9], vec![4]];
        assert_eq!(longest_tails(&names), [vec![1, 2], vec![3]]);
    }
}
