//! Drafts within a generation: put behind sequences, walked by their grammars, taken or cut.
use super::api::EngineError;
use super::generate::{Running, held, uniform};
use super::local::LocalEngine;
use crate::decode::{Before, Drafted, Mask};
use crate::kv::BLOCK_SIZE;
use crate::ops::RowDraw;
use std::collections::VecDeque;
use std::sync::Arc;

/// Tokens that may come next: they are in the sequence, behind the forced ones, and stay there
/// if their rows draw them.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) tokens: VecDeque<Drafted>,
    /// The grammar's mask behind each of them, as far as it was asked for.
    pub(super) masks: VecDeque<Option<Arc<Mask>>>,
    /// How many of them the grammar has taken, to be taken back.
    pub(super) n_walked: usize,
    /// The token before the first of them.
    pub(super) before: Option<Before>,
}

impl LocalEngine {
    /// Puts tokens that may come next behind sequences whose next token is to be drawn, as
    /// many as are likely to save more time than their rows take.
    pub(super) fn draft_ahead(
        &mut self,
        running: &mut [Running<'_>],
        active: &[usize],
    ) -> Result<(), EngineError> {
        let context_max = self.context_max_tokens();
        let Some(drafts) = &mut self.drafts else {
            return Ok(());
        };
        let is_in_flight = |run: &Running<'_>| !run.draft.tokens.is_empty();
        let mut n_rows = 0;
        for run in active.iter().map(|&i| &running[i]) {
            let pending = self.sequences[&run.job.seq].n_pending();
            // A prompt is computed in the same step, or a part of the last step is to come.
            if is_in_flight(run) || pending != 1 + run.forced.len() {
                return Ok(());
            }
            n_rows += pending;
        }
        let mut chances = Vec::new();
        for &i in active {
            let run = &mut running[i];
            run.draft = Draft::default();
            if run.finish.is_none()
                && let Some(last) = run.tokens.last()
            {
                let sequence = &self.sequences[&run.job.seq];
                let room = (run.job.tokens_max - run.tokens.len() - run.forced.len())
                    .min(context_max - sequence.tokens.len());
                let before = match run.forced.is_empty() {
                    true => Before::Decoded(last.entropy_nats),
                    // A token that the grammar forced was no choice.
                    false => Before::Decoded(0.0),
                };
                let room = room.saturating_sub(1);
                let tokens = drafts.propose(run.job.seq, sequence, room);
                run.draft.before = Some(before);
                run.draft.tokens = tokens.into();
            }
            let mut before = run.draft.before;
            let of_tokens = run.draft.tokens.iter().map(|drafted| {
                let before = before.replace(Before::Drafted).expect("it has a draft");
                drafts.odds.chance(drafted, before)
            });
            chances.push(of_tokens.collect::<Vec<f32>>());
        }
        let lengths = drafts.share(&chances, n_rows, self.rows_max);
        let mut n_blocks = 0;
        for (&i, length) in active.iter().zip(lengths) {
            let run = &mut running[i];
            run.draft.tokens.truncate(length);
            run.keep_allowed()?;
            let rows = 1 + run.forced.len() + run.draft.tokens.len();
            // Of the rows, and one for a tail that others see.
            n_blocks += rows / BLOCK_SIZE + 2;
        }
        // A draft takes no block that the prefix cache would have to give up for it.
        if self.pool.in_use().free < n_blocks {
            for &i in active {
                running[i].draft = Draft::default();
            }
        }
        for run in active.iter().map(|&i| &running[i]) {
            let tokens = run.draft.tokens.iter().map(|drafted| drafted.token);
            let sequence = self.sequences.get_mut(&run.job.seq);
            (sequence.expect("a job's sequence").tokens).extend(tokens);
        }
        Ok(())
    }

    /// Tokens of a job's sequence that stay, whatever comes.
    pub(super) fn settled_len(&self, run: &Running<'_>) -> usize {
        self.sequence(run.job.seq).tokens.len() - run.draft.tokens.len()
    }

    /// Takes the rest of a draft off its sequence, and what was run of it off the cache.
    pub(super) fn cut(&mut self, run: &mut Running<'_>) -> Result<(), EngineError> {
        run.walk_to(0)?;
        let settled = self.settled_len(run);
        run.draft = Draft::default();
        self.cut_behind(run, settled, settled);
        Ok(())
    }

    pub(super) fn cut_behind(&mut self, run: &Running<'_>, len: usize, len_kv: usize) {
        let n_cut = self.sequence_mut(run.job.seq).cut(len, len_kv);
        self.usage[run.job.purpose].rejected_rows += n_cut as u64;
    }

    /// Lets the prefix cache know of what has become of positions from `start` on.
    pub(super) fn settle(&mut self, run: &Running<'_>, start: usize) {
        let settled = self.settled_len(run);
        let sequence = self.sequence_mut(run.job.seq);
        sequence.register(start, settled);
        sequence.put_on_bill();
    }

    /// Puts a token behind those that stay: the next of the draft becomes one of them, else the
    /// draft ends.
    pub(super) fn take_token(
        &mut self,
        run: &mut Running<'_>,
        token: u32,
    ) -> Result<(), EngineError> {
        if run
            .draft
            .tokens
            .front()
            .is_some_and(|next| next.token == token)
        {
            run.draft.tokens.pop_front();
            run.draft.before = Some(Before::Drafted);
            run.mask = run.draft.masks.pop_front().flatten();
            let settled = self.settled_len(run);
            self.sequence_mut(run.job.seq).decoded_end = settled;
            self.usage[run.job.purpose].decoded_tokens += 1;
            return Ok(());
        }
        run.mask = None;
        if !run.draft.tokens.is_empty() {
            self.cut(run)?;
        }
        self.push_decoded(run.job.seq, &[token], run.job.purpose);
        Ok(())
    }

    pub(super) fn learn_odds(&mut self, run: &Running<'_>, token: u32) {
        if let (Some(drafts), Some(drafted), Some(before)) =
            (&mut self.drafts, run.draft.tokens.front(), run.draft.before)
        {
            drafts.odds.learn(drafted, before, drafted.token == token);
        }
    }

    /// At a job's end: nothing drafted is left, and its last token is to be run, as if no draft
    /// had held it. Only behind forced tokens, which are run, it is not.
    pub(super) fn end_draft(&mut self, run: &mut Running<'_>) -> Result<(), EngineError> {
        self.cut(run)?;
        if run.forced.is_empty() {
            let settled = self.settled_len(run);
            self.cut_behind(run, settled, settled - 1);
        }
        Ok(())
    }
}

impl Running<'_> {
    /// Drops of the draft what the grammar does not allow, and what it would spell otherwise.
    pub(super) fn keep_allowed(&mut self) -> Result<(), EngineError> {
        let Some(grammar) = &mut self.grammar else {
            return Ok(());
        };
        let tokens = &mut self.draft.tokens;
        let (mut n_kept, mut n_accepted) = (0, 0);
        'walk: while n_kept < tokens.len() {
            let forced = grammar.forced();
            if forced.is_empty() {
                if grammar.accept(tokens[n_kept].token).is_err() {
                    break;
                }
                (n_kept, n_accepted) = (n_kept + 1, n_accepted + 1);
            }
            for token in forced {
                if n_kept == tokens.len() || tokens[n_kept].token != token {
                    break 'walk;
                }
                grammar.accept(token).map_err(held)?;
                (n_kept, n_accepted) = (n_kept + 1, n_accepted + 1);
            }
        }
        grammar.rollback(n_accepted).map_err(held)?;
        tokens.truncate(n_kept);
        Ok(())
    }

    /// Takes the grammar behind so many tokens of the draft, or back.
    pub(super) fn walk_to(&mut self, n: usize) -> Result<(), EngineError> {
        let draft = &mut self.draft;
        if let Some(grammar) = &mut self.grammar {
            if n < draft.n_walked {
                grammar.rollback(draft.n_walked - n).map_err(held)?;
            }
            for drafted in draft.tokens.range(draft.n_walked.min(n)..n) {
                grammar.accept(drafted.token).map_err(held)?;
            }
        }
        draft.n_walked = n;
        Ok(())
    }
}

/// The same behind the first `n_before` tokens of the draft, if they stay.
pub(super) fn draw_behind(
    run: &mut Running<'_>,
    length: usize,
    n_before: usize,
) -> Result<Option<RowDraw>, EngineError> {
    run.walk_to(n_before)?;
    run.draft.masks.truncate(n_before - 1);
    let mut mask = None;
    if let Some(grammar) = &mut run.grammar {
        let forced = grammar.forced();
        if grammar.is_finished() || !forced.is_empty() {
            run.draft.masks.push_back(None);
            return Ok(forced.first().copied().map(RowDraw::Forced));
        }
        mask = Some(Arc::new(grammar.mask().map_err(held)?));
    }
    run.draft.masks.push_back(mask.clone());
    Ok(Some(RowDraw::Sampled {
        sampler: run.job.sampler,
        mask: mask.or_else(|| run.drawable.clone()),
        of_grammar: run.grammar.is_some(),
        uniform: uniform(run.job, length + n_before),
    }))
}
