//! The step: schedule, run, hand out the rows of logits.
//!
//! A driver may have no memory left, for example because another process took some since the
//! plan. Memory that lies ready is then given back, then the memory of recordings. Engines
//! that share a batch go one by one (`lane.rs`). If that is not enough, the batch runs again
//! in smaller batches, and later steps are as small. No sequence is lost. Tokens that are
//! counted twice are counted apart ([`LocalEngine::rerun_tokens`]).
use super::api::{EngineError, Progress};
use super::batch_rows::LOGIT_ROWS_MAX;
use super::broken::broken;
use super::local::LocalEngine;
use crate::base::{Purpose, SeqId};
use crate::model::BatchStep;
use crate::ops::{LogitsRow, RowDraw, read_rows};
use std::time::Instant;

/// A batch of so few rows that the device had no memory for is not tried in parts.
const BATCH_ROWS_MIN: usize = 16;

/// What is wanted of one sequence: its pending tokens computed, and the rows of
/// logits after the last `n_logits` of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) seq: SeqId,
    pub(super) n_logits: usize,
    /// Tokens at the sequence's end that may not stay: they are not counted, and the prefix
    /// cache does not learn of them.
    pub(super) n_drafted: usize,
    pub(super) purpose: Purpose,
}

/// How tokens are taken from the rows to come, as far as that is known before them: of
/// the want at an index, the row at an index among its `n_logits`. Asked for once the
/// model's work is on its way, so that a GPU does not wait for a grammar's mask.
pub(super) type Draws<'a> = &'a mut dyn FnMut(usize, usize) -> Result<Option<RowDraw>, EngineError>;

/// Nothing is taken from the rows.
pub(super) fn no_draws(_: usize, _: usize) -> Result<Option<RowDraw>, EngineError> {
    Ok(None)
}

/// What a step did for one want.
pub(super) enum Got {
    /// The rows asked for that were reached, oldest first. While tokens are
    /// still pending, ask again, for the rows that are missing.
    Rows(Vec<LogitsRow>),
    /// No block was free; nothing of this sequence was run.
    PoolFull,
}

impl LocalEngine {
    /// Runs one batch over the pending tokens of `wants`; results in their order.
    ///
    /// What the prefix cache has is taken over first, and it learns of what was
    /// computed once all of it succeeded. Short wants (decode rows) go first, so
    /// that a long prefill beside them does not hold them up. Where the device is out of
    /// memory, smaller batches are tried, here and from then on.
    pub(super) fn step(
        &mut self,
        wants: &[Want],
        draws: Draws<'_>,
    ) -> Result<Vec<Got>, EngineError> {
        if self.deadline.is_over() {
            return Err(EngineError::DeadlinePassed);
        }
        for want in wants {
            let taken = self.sequence_mut(want.seq).attach(want.n_logits);
            let usage = &mut self.usage[want.purpose];
            usage.reused_tokens += taken.n_reused as u64;
            usage.computed_tokens += taken.n_billed as u64;
        }
        let mut order: Vec<usize> = (0..wants.len()).collect();
        order.sort_by_key(|&i| self.sequence(wants[i].seq).n_pending());
        let rows_max = match (wants, self.pace) {
            // Of several that begin alike, one would find what another computed a step
            // before: tokens would be counted by the machine's speed.
            ([_], Some(pace)) => self.rows_max.min(pace.rows()),
            _ => self.rows_max,
        };
        let mut batch = BatchStep::default();
        let mut copies = Vec::new();
        let mut full = vec![false; wants.len()];
        // Wants in the batch: which, where its tokens start, and the number of
        // its rows of logits.
        let mut in_batch = Vec::new();
        // Of each row of logits its want, and which of that want's rows it is.
        let mut row_of = Vec::new();
        for i in order {
            let want = wants[i];
            let room = rows_max - batch.tokens.len();
            let logit_room = LOGIT_ROWS_MAX.min(rows_max) - batch.logit_rows.len();
            let sequence = self.sequence_mut(want.seq);
            let pending = sequence.n_pending();
            assert!(
                pending > 0 && want.n_logits <= pending,
                "a step was asked for {} rows of logits of {pending} pending tokens",
                want.n_logits
            );
            let without_logits = pending - want.n_logits;
            let n_rows = pending.min(room).min(without_logits + logit_room);
            let n_logits = n_rows.saturating_sub(without_logits);
            if n_rows == 0 {
                continue;
            }
            let start = sequence.table.len();
            let Ok(plan) = sequence.table.append(n_rows) else {
                full[i] = true;
                continue;
            };
            let blocks = sequence
                .table
                .blocks()
                .iter()
                .map(|block| block.0)
                .collect();
            batch.push(
                &sequence.tokens[start..start + n_rows],
                start,
                &plan.slots,
                blocks,
                n_logits,
            );
            let settled = sequence.tokens.len() - want.n_drafted;
            let n_computed = sequence.n_uncounted(start, settled.min(start + n_rows));
            let usage = &mut self.usage[want.purpose];
            usage.computed_tokens += n_computed as u64;
            usage.blocks_copied += plan.copies.len() as u64;
            copies.extend(plan.copies);
            in_batch.push((i, start, n_logits));
            row_of.extend((0..n_logits).map(|row| (i, row)));
        }
        let n_rows = batch.tokens.len();
        let ran = self.run(batch, copies, &row_of, draws);
        match &ran {
            // Somebody else's memory may have grown since the plan: what this batch wrote
            // is written again, in smaller ones.
            Err(EngineError::DeviceFull(_)) if n_rows > BATCH_ROWS_MIN => {
                for &(i, start, _) in &in_batch {
                    self.keep_settled(&wants[i]);
                    self.forget_from(wants[i].seq, start);
                }
                self.rows_max = n_rows / 2;
                return self.step(wants, draws);
            }
            // What the cache holds of these is unknown: none of it is kept.
            Err(_) => in_batch.iter().for_each(|&(i, ..)| {
                self.keep_settled(&wants[i]);
                self.forget_cache(wants[i].seq);
            }),
            Ok(_) => {}
        }
        let mut rows = ran?.into_iter();
        let mut got: Vec<Got> = full
            .iter()
            .map(|&full| match full {
                true => Got::PoolFull,
                false => Got::Rows(Vec::new()),
            })
            .collect();
        for (i, start, n_logits) in in_batch {
            let sequence = self.sequence_mut(wants[i].seq);
            let settled = sequence.tokens.len() - wants[i].n_drafted;
            sequence.register(start, settled);
            got[i] = Got::Rows(rows.by_ref().take(n_logits).collect());
        }
        // Only now: those that came in the same step found nothing of each other.
        for want in wants {
            self.sequence(want.seq).put_on_bill();
        }
        Ok(got)
    }

    /// Takes drafted positions off a cache that is about to be forgotten: they were not counted.
    fn keep_settled(&mut self, want: &Want) {
        let sequence = self.sequence_mut(want.seq);
        let (len, settled) = (
            sequence.tokens.len(),
            sequence.tokens.len() - want.n_drafted,
        );
        sequence.cut(len, settled);
    }

    fn run(
        &mut self,
        batch: BatchStep,
        copies: Vec<(u32, u32)>,
        row_of: &[(usize, usize)],
        draws: Draws<'_>,
    ) -> Result<Vec<LogitsRow>, EngineError> {
        let n_rows = batch.tokens.len();
        let started = Instant::now();
        let forwarded = self.lane.run(batch, copies)?;
        let took = started.elapsed();
        self.forwarding += took;
        if let Some(pace) = &mut self.pace {
            pace.took(n_rows, took);
        }
        let Some(logits) = forwarded else {
            return Ok(Vec::new());
        };
        let started = Instant::now();
        let draws = row_of.iter().map(|&(want, row)| draws(want, row));
        let draws = draws.collect::<Result<Vec<_>, _>>()?;
        self.sampling += started.elapsed();
        if self.waits {
            logits.wait().map_err(broken)?;
        }
        let started = Instant::now();
        let rows = read_rows(logits, &draws).map_err(broken)?;
        self.sampling += started.elapsed();
        rows.into_iter()
            .map(|row| row.map_err(|error| EngineError::Model(error.to_string())))
            .collect()
    }

    /// Computes all pending tokens of `seqs` and keeps the row after the last.
    pub(super) fn compute_all(
        &mut self,
        seqs: &[SeqId],
        purpose: Purpose,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        let mut waiting: Vec<SeqId> = Vec::new();
        for &seq in seqs {
            self.want_last_row(seq);
            if self.sequence(seq).n_pending() > 0 && !waiting.contains(&seq) {
                waiting.push(seq);
            }
        }
        let before = self.usage.total();
        while !waiting.is_empty() {
            let wants: Vec<Want> = waiting
                .iter()
                .map(|&seq| Want {
                    seq,
                    n_logits: 1,
                    n_drafted: 0,
                    purpose,
                })
                .collect();
            let mut full = false;
            for (want, got) in wants.iter().zip(self.step(&wants, &mut no_draws)?) {
                let Got::Rows(rows) = got else {
                    full = true;
                    continue;
                };
                if let Some(row) = rows.into_iter().next() {
                    let row = row.alone().map_err(broken)?;
                    self.sequence_mut(want.seq).keep_last_row(row);
                    waiting.retain(|&seq| seq != want.seq);
                }
            }
            if full {
                return Err(self.pool_full());
            }
            let pending = waiting
                .iter()
                .map(|&seq| self.sequence(seq).n_pending())
                .sum();
            on_step(Progress {
                decoded_tokens: 0,
                computed_tokens: (self.usage.total().computed_tokens - before.computed_tokens)
                    as usize,
                pending_tokens: pending,
                running: waiting.len(),
                new_tokens: &[],
            });
        }
        Ok(())
    }
}
