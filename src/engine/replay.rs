//! Continuations that are known already: the same tokens, settings and random stream
//! give the same continuation, so it need not be decoded twice to be counted twice.
//!
//! Only between bills (see [`Engine::new_bill`](super::Engine::new_bill)): strategies
//! that are compared have much in common, `best-of-n-stop` for example decodes the very
//! trajectories of `best-of-n`. A replay leaves the sequence, its cache and the counts
//! as decoding would have; what the prefix cache has of it is taken over.
use super::api::{EngineError, Finish, GenerateJob, Generated, Progress};
use super::known::{Continuation, Key};
use super::local::LocalEngine;
use crate::base::TokenEntropy;
use sha2::{Digest, Sha256};

impl LocalEngine {
    /// Continues every job, those that are known by what is known.
    pub(super) fn generate_or_replay(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        if !self.pool.keeps_bills() {
            return self.generate_all(jobs, on_step);
        }
        let keys: Vec<Key> = jobs.iter().map(|job| self.key(job, jobs)).collect();
        let mut results: Vec<Option<Generated>> = vec![None; jobs.len()];
        let mut new = Vec::new();
        for (at, (job, key)) in jobs.iter().zip(&keys).enumerate() {
            match self.known.continuations.get(key).cloned() {
                Some(continuation) => results[at] = Some(self.replay(job, continuation)?),
                None => new.push(at),
            }
        }
        let new_jobs: Vec<GenerateJob> = new.iter().map(|&at| jobs[at].clone()).collect();
        let starts: Vec<usize> = new_jobs
            .iter()
            .map(|job| self.sequence(job.seq).tokens.len())
            .collect();
        let generated = self.generate_all(&new_jobs, &mut |progress| {
            let named = progress
                .new_tokens
                .iter()
                .map(|&(at, token)| (new[at], token));
            let new_tokens: Vec<(usize, TokenEntropy)> = named.collect();
            on_step(Progress {
                new_tokens: &new_tokens,
                ..progress
            });
        })?;
        for ((&at, start), generated) in new.iter().zip(starts).zip(generated) {
            // A full pool is no property of what was asked.
            if generated.finish != Finish::KvPoolFull {
                let sequence = self.sequence(jobs[at].seq);
                let continuation = Continuation {
                    generated: generated.clone(),
                    n_run: sequence.table.len().saturating_sub(start),
                    has_last_row: sequence.last_row().is_some(),
                };
                self.known.add(keys[at], continuation);
            }
            results[at] = Some(generated);
        }
        let all = results.into_iter();
        Ok(all.map(|result| result.expect("known or new")).collect())
    }

    /// Takes a known continuation to the sequence's end.
    fn replay(&mut self, job: &GenerateJob, known: Continuation) -> Result<Generated, EngineError> {
        let Continuation {
            generated,
            n_run,
            has_last_row,
        } = known;
        let tokens: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
        if self.sequence(job.seq).last_row().is_none() {
            self.compute_all(&[job.seq], job.purpose, &mut |_| {})?;
        }
        let (run, left) = tokens.split_at(n_run);
        if !run.is_empty() {
            self.push_decoded(job.seq, run, job.purpose);
            self.compute_all(&[job.seq], job.purpose, &mut |_| {})?;
            if !has_last_row {
                self.sequence_mut(job.seq).drop_last_row();
            }
        }
        self.push_decoded(job.seq, left, job.purpose);
        self.usage[job.purpose].decode_steps += generated.n_steps;
        Ok(generated)
    }

    /// Of a job among those of its call: jobs whose first tokens have to differ depend
    /// on one another.
    fn key(&self, job: &GenerateJob, jobs: &[GenerateJob]) -> Key {
        let mut digest = Sha256::new();
        let mut add = |job: &GenerateJob| {
            let GenerateJob {
                seq,
                sampler,
                rng,
                tokens_max,
                grammar,
                grammar_prefix,
                stop_tokens,
                first_token_not,
                distinct,
                purpose: _,
            } = job;
            let settings = (sampler, rng, tokens_max, grammar, grammar_prefix);
            let bounds = (stop_tokens, first_token_not, distinct);
            let tokens = &self.sequence(*seq).tokens;
            digest.update(format!("{settings:?} {bounds:?} {tokens:?}\n"));
        };
        add(job);
        if job.distinct.is_some() {
            let group = jobs.iter().filter(|other| other.distinct == job.distinct);
            group.for_each(add);
        }
        digest.finalize().into()
    }
}
