//! Probabilities of hypothetical continuations, over forked tails.
use super::api::{EngineError, PrefixCache, ScoreJob};
use super::local::LocalEngine;
use super::step::{Got, Want, broken, no_draws};
use crate::base::SeqId;
use crate::ops::LogitsRow;
use std::collections::BTreeSet;

/// One tail to run behind a job's sequence: the tokens that others are scored after.
struct Tail {
    job: usize,
    tokens: Vec<u32>,
    seq: SeqId,
    /// Rows of logits read so far: after the first token, the second, ...
    n_rows: usize,
}

/// For each job and continuation, a log-probability a token.
type Scores = Vec<Vec<Vec<f32>>>;

impl LocalEngine {
    pub(super) fn score_all(&mut self, jobs: &[ScoreJob]) -> Result<Scores, EngineError> {
        let mut scores = Vec::new();
        for job in jobs {
            self.compute_all(&[job.seq], job.purpose, &mut |_| {})?;
            let row = self.sequence(job.seq).last_row();
            let row = row.expect("the sequence was computed, and an empty one has no next token");
            let continuations = job.continuations.iter();
            let mut of_job = continuations.map(|c| vec![f32::NAN; c.len()]).collect();
            read_row(job, &[], row, &mut of_job)?;
            scores.push(of_job);
        }
        let mut tails = Vec::new();
        let ran = self
            .fork_tails(jobs, &mut tails)
            .and_then(|()| self.run_tails(jobs, &mut tails, &mut scores));
        for tail in &tails {
            self.remove(tail.seq);
        }
        ran.map(|()| scores)
    }

    fn fork_tails(&mut self, jobs: &[ScoreJob], tails: &mut Vec<Tail>) -> Result<(), EngineError> {
        for (index, job) in jobs.iter().enumerate() {
            let len = self.sequence(job.seq).tokens.len();
            for tokens in longest_tails(&job.continuations) {
                let (asked, limit) = (len + tokens.len(), self.context_max_tokens());
                if asked > limit {
                    return Err(EngineError::ContextFull { asked, limit });
                }
                let mut branch = self.sequence(job.seq).fork(len);
                branch.tokens.extend_from_slice(&tokens);
                // A hypothetical answer is no start of anything.
                branch.prefix = PrefixCache::Bypass;
                self.usage[job.purpose].forks += 1;
                self.usage[job.purpose].reused_tokens += len as u64;
                tails.push(Tail {
                    job: index,
                    tokens,
                    seq: self.insert(branch),
                    n_rows: 0,
                });
            }
        }
        Ok(())
    }

    /// Runs all tails; each row is read as it comes and not kept.
    fn run_tails(
        &mut self,
        jobs: &[ScoreJob],
        tails: &mut [Tail],
        scores: &mut Scores,
    ) -> Result<(), EngineError> {
        let mut waiting: Vec<usize> = (0..tails.len()).collect();
        while !waiting.is_empty() {
            let wants: Vec<Want> = waiting
                .iter()
                .map(|&i| Want {
                    seq: tails[i].seq,
                    n_logits: tails[i].tokens.len() - tails[i].n_rows,
                    purpose: jobs[tails[i].job].purpose,
                })
                .collect();
            for (&i, got) in waiting.iter().zip(self.step(&wants, &mut no_draws)?) {
                let tail = &mut tails[i];
                let Got::Rows(rows) = got else {
                    return Err(self.pool_full());
                };
                for row in rows {
                    tail.n_rows += 1;
                    let read = &tail.tokens[..tail.n_rows];
                    read_row(&jobs[tail.job], read, &row, &mut scores[tail.job])?;
                }
            }
            waiting.retain(|&i| tails[i].n_rows < tails[i].tokens.len());
        }
        Ok(())
    }
}

/// Scores the next token of each continuation that begins with `read` from the
/// row of logits after it.
fn read_row(
    job: &ScoreJob,
    read: &[u32],
    row: &LogitsRow,
    scores: &mut Vec<Vec<f32>>,
) -> Result<(), EngineError> {
    for (continuation, scores) in job.continuations.iter().zip(scores) {
        if let Some(&next) = continuation.get(read.len())
            && continuation.starts_with(read)
        {
            scores[read.len()] = row.logprob(next).map_err(broken)?;
        }
    }
    Ok(())
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
