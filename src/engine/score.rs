//! Probabilities of hypothetical continuations, over forked tails.
use super::api::{EngineError, PrefixCache, ScoreJob};
use super::broken::broken;
use super::local::LocalEngine;
use super::step::{Got, Want, no_draws};
use crate::base::SeqId;
use crate::ops::LogitsRow;
use std::collections::BTreeSet;

/// A piece of the tails to run behind a job's sequence: what several continuations begin with, or
/// the rest of one.
struct Piece {
    job: usize,
    /// The piece that it stands behind; `None`: the job's sequence.
    parent: Option<usize>,
    /// From the job's sequence to the piece's end.
    read: Vec<u32>,
    /// Of those, the tokens of the pieces before it.
    n_before: usize,
    /// Made when its parent was run.
    seq: Option<SeqId>,
    /// Rows of logits read so far: after its first token, its second, ...
    n_rows: usize,
}

impl Piece {
    fn n_tokens(&self) -> usize {
        self.read.len() - self.n_before
    }

    fn is_done(&self) -> bool {
        self.n_rows == self.n_tokens()
    }
}

/// Rows that a piece of its own has to save: it costs one more step of the model.
const SHARED_ROWS_MIN: usize = 16;

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
        let mut all = Vec::new();
        for (job, asked) in jobs.iter().enumerate() {
            let len = self.sequence(asked.seq).tokens.len();
            let longest = asked.continuations.iter().map(Vec::len).max().unwrap_or(0);
            let (asked_tokens, limit) =
                (len + longest.saturating_sub(1), self.context_max_tokens());
            if asked_tokens > limit {
                return Err(EngineError::ContextFull {
                    asked: asked_tokens,
                    limit,
                });
            }
            all.extend(pieces(job, all.len(), &asked.continuations));
        }
        let ran = self.run_pieces(jobs, &mut all, &mut scores);
        for seq in all.iter().filter_map(|piece| piece.seq) {
            self.remove(seq);
        }
        ran.map(|()| scores)
    }

    /// Runs all pieces, each when its parent was run; each row is read as it comes and not kept.
    fn run_pieces(
        &mut self,
        jobs: &[ScoreJob],
        all: &mut [Piece],
        scores: &mut Scores,
    ) -> Result<(), EngineError> {
        loop {
            self.fork_pieces(jobs, all);
            let waiting: Vec<usize> = (0..all.len())
                .filter(|&i| all[i].seq.is_some() && !all[i].is_done())
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            let wants: Vec<Want> = waiting
                .iter()
                .map(|&i| Want {
                    seq: all[i].seq.expect("it was made"),
                    n_logits: all[i].n_tokens() - all[i].n_rows,
                    n_drafted: 0,
                    purpose: jobs[all[i].job].purpose,
                })
                .collect();
            for (&i, got) in waiting.iter().zip(self.step(&wants, &mut no_draws)?) {
                let piece = &mut all[i];
                let Got::Rows(rows) = got else {
                    return Err(self.pool_full());
                };
                for row in rows {
                    piece.n_rows += 1;
                    let read = &piece.read[..piece.n_before + piece.n_rows];
                    read_row(&jobs[piece.job], read, &row, &mut scores[piece.job])?;
                }
            }
        }
    }

    /// Makes the sequences of pieces whose parents were run.
    fn fork_pieces(&mut self, jobs: &[ScoreJob], all: &mut [Piece]) {
        for at in 0..all.len() {
            let piece = &all[at];
            let parent = match piece.parent {
                None => Some(jobs[piece.job].seq),
                Some(parent) => all[parent].seq.filter(|_| all[parent].is_done()),
            };
            let Some(parent) = parent.filter(|_| piece.seq.is_none()) else {
                continue;
            };
            let len = self.sequence(parent).tokens.len();
            let mut branch = self.sequence(parent).fork(len);
            branch
                .tokens
                .extend_from_slice(&piece.read[piece.n_before..]);
            // A hypothetical answer is no start of anything.
            branch.prefix = PrefixCache::Bypass;
            let usage = &mut self.usage[jobs[piece.job].purpose];
            usage.forks += 1;
            usage.reused_tokens += len as u64;
            all[at].seq = Some(self.insert(branch));
        }
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

/// The tails of a job's continuations in pieces, parents first; `first` is the place of the first
/// one among all jobs' pieces.
fn pieces(job: usize, first: usize, continuations: &[Vec<u32>]) -> Vec<Piece> {
    let tails = longest_tails(continuations);
    let tails: Vec<&[u32]> = tails.iter().map(Vec::as_slice).collect();
    let mut all = Vec::new();
    split(&tails, 0, None, &mut |parent, read: &[u32], n_before| {
        all.push(Piece {
            job,
            parent,
            read: read.to_vec(),
            n_before,
            seq: None,
            n_rows: 0,
        });
        first + all.len() - 1
    });
    all
}

/// Cuts `tails`, which are sorted and none of which begins another, from `n_before` tokens on into
/// what they have in common, where that saves enough rows, and the rest of each.
fn split(
    tails: &[&[u32]],
    n_before: usize,
    parent: Option<usize>,
    push: &mut impl FnMut(Option<usize>, &[u32], usize) -> usize,
) {
    let [head, .., last] = tails else {
        for tail in tails {
            push(parent, tail, n_before);
        }
        return;
    };
    // In lexical order all have what the first and the last have in common.
    let shared = head.iter().zip(*last).take_while(|(a, b)| a == b).count();
    let saved = (tails.len() - 1) * (shared - n_before);
    let (parent, n_before) = match saved >= SHARED_ROWS_MIN {
        true => (Some(push(parent, &head[..shared], n_before)), shared),
        false => (parent, n_before),
    };
    for group in tails.chunk_by(|a, b| a[shared] == b[shared]) {
        split(group, n_before, parent, push);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_prefixes_are_run_once() {
        let names = vec![vec![1, 9], vec![1, 2, 9], vec![3, 9], vec![4]];
        assert_eq!(longest_tails(&names), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn what_saves_a_step_is_a_piece_of_its_own() {
        let long: Vec<u32> = (0..10).collect();
        let with = |tail: &[u32]| [&long[..], tail, &[99]].concat();
        // Three share ten tokens: 20 rows saved. Two of them share one more: not worth a step.
        let names = [
            with(&[20, 1]),
            with(&[20, 2]),
            with(&[30]),
            vec![50, 51, 99],
        ];
        let all = pieces(0, 5, &names);
        let shown: Vec<(Option<usize>, usize, &[u32])> = all
            .iter()
            .map(|piece| (piece.parent, piece.n_before, &piece.read[piece.n_before..]))
            .collect();
        assert_eq!(
            shown,
            [
                (None, 0, &long[..]),
                (Some(5), 10, &[20, 1][..]),
                (Some(5), 10, &[20, 2]),
                (Some(5), 10, &[30]),
                (None, 0, &[50, 51]),
            ]
        );
        assert_eq!(all[1].read, [&long[..], &[20, 1]].concat());
        // A name with few tokens is run as a whole.
        let short = vec![vec![1, 2, 9], vec![1, 3, 9], vec![1, 4, 9]];
        assert!(
            pieces(0, 0, &short)
                .iter()
                .all(|piece| piece.parent.is_none())
        );
    }
}
