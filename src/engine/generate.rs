//! Continues sequences, all in one ragged batch, until each has finished.
use super::api::{EngineError, Finish, GenerateJob, Generated, Progress};
use super::broken::broken;
use super::drafted::{Draft, draw_behind};
use super::local::LocalEngine;
use super::step::{Got, Want};
use crate::base::{Pool, SeqId, TokenEntropy};
use crate::decode::{DecodeError, Grammar, Mask, sample};
use crate::ops::{LogitsRow, RowDraw};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// First tokens that were taken, by the number that jobs share.
type Taken = HashMap<u32, Vec<u32>>;

/// A job on its way.
pub(super) struct Running<'a> {
    pub(super) job: &'a GenerateJob,
    pub(super) grammar: Option<Grammar>,
    /// What the grammar allows next, once that was asked for.
    pub(super) mask: Option<Arc<Mask>>,
    /// Rows that may be drawn without a grammar; `None`: every row of the logits.
    pub(super) drawable: Option<Arc<Mask>>,
    pub(super) tokens: Vec<TokenEntropy>,
    /// Tokens that the grammar forced behind the newest sampled one: they are in
    /// the sequence, their rows of logits are still to come.
    pub(super) forced: VecDeque<u32>,
    pub(super) draft: Draft,
    pub(super) n_steps: u64,
    pub(super) finish: Option<Finish>,
}

impl LocalEngine {
    pub(super) fn generate_all(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        let distinct: BTreeSet<SeqId> = jobs.iter().map(|job| job.seq).collect();
        assert_eq!(distinct.len(), jobs.len(), "two jobs continue one sequence");
        let mut running = jobs
            .iter()
            .map(|job| self.start(job))
            .collect::<Result<Vec<_>, _>>()?;
        let result = self.continue_all(&mut running, on_step);
        if result.is_err() {
            for run in &mut running {
                self.cut(run)?;
            }
        }
        result?;
        Ok(running
            .into_iter()
            .map(|run| Generated {
                tokens: run.tokens,
                finish: run.finish.expect("the loop ran until it finished"),
                n_steps: run.n_steps,
            })
            .collect())
    }

    /// Steps until every job has finished.
    fn continue_all(
        &mut self,
        running: &mut [Running<'_>],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        let before = self.usage.total();
        let mut taken = Taken::new();
        // A row at hand (a fork from where a generation started) is sampled at once.
        let started = Instant::now();
        for run in &mut *running {
            if let Some(row) = self.sequence(run.job.seq).last_row().cloned() {
                self.advance(run, &row, &mut taken)?;
            } else {
                self.want_last_row(run.job.seq);
            }
        }
        self.sampling += started.elapsed();
        // Tokens of each job that progress has told of.
        let mut told = vec![0; running.len()];
        loop {
            let active: Vec<usize> = (0..running.len())
                .filter(|&i| running[i].finish.is_none() || !running[i].forced.is_empty())
                .collect();
            let untold = running.iter().zip(&told).any(|(r, &t)| t < r.tokens.len());
            if active.is_empty() && !untold {
                break;
            }
            let started = Instant::now();
            self.draft_ahead(running, &active)?;
            self.sampling += started.elapsed();
            let wants: Vec<Want> = active
                .iter()
                .map(|&i| Want {
                    seq: running[i].job.seq,
                    n_logits: 1 + running[i].forced.len() + running[i].draft.tokens.len(),
                    n_drafted: running[i].draft.tokens.len(),
                    purpose: running[i].job.purpose,
                })
                .collect();
            let lengths: Vec<usize> = (active.iter())
                .map(|&i| self.settled_len(&running[i]))
                .collect();
            let n_rows = (active.iter())
                .map(|&i| self.sequence(running[i].job.seq).n_pending())
                .sum();
            let started = Instant::now();
            let stepped = self.step(&wants, &mut |want, row| {
                let run = &mut running[active[want]];
                match row.checked_sub(run.forced.len()) {
                    None => Ok(Some(RowDraw::Forced(run.forced[row]))),
                    Some(0) => {
                        run.walk_to(0)?;
                        draw_ahead(run, lengths[want])
                    }
                    Some(n_before) => draw_behind(run, lengths[want], n_before),
                }
            })?;
            if let Some(drafts) = &mut self.drafts {
                drafts.took(n_rows, started.elapsed());
            }
            let started = Instant::now();
            for (&i, got) in active.iter().zip(stepped) {
                running[i].walk_to(0)?;
                match got {
                    Got::PoolFull => self.stop_for_pool(&mut running[i])?,
                    Got::Rows(rows) => {
                        let n_steps = u64::from(!rows.is_empty());
                        running[i].n_steps += n_steps;
                        self.usage[running[i].job.purpose].decode_steps += n_steps;
                        self.take_rows(&mut running[i], rows, &mut taken)?;
                    }
                }
            }
            self.sampling += started.elapsed();
            let mut new_tokens = Vec::new();
            for (i, run) in running.iter().enumerate() {
                new_tokens.extend(run.tokens[told[i]..].iter().map(|token| (i, *token)));
                told[i] = run.tokens.len();
            }
            let now = self.usage.total();
            on_step(Progress {
                decoded_tokens: (now.decoded_tokens - before.decoded_tokens) as usize,
                computed_tokens: (now.computed_tokens - before.computed_tokens) as usize,
                pending_tokens: active
                    .iter()
                    .map(|&i| {
                        self.sequence(running[i].job.seq)
                            .n_pending()
                            .saturating_sub(1)
                    })
                    .sum(),
                running: running.iter().filter(|run| run.finish.is_none()).count(),
                new_tokens: &new_tokens,
            });
        }
        Ok(())
    }

    fn start<'a>(&mut self, job: &'a GenerateJob) -> Result<Running<'a>, EngineError> {
        assert!(
            !self.sequence(job.seq).tokens.is_empty(),
            "nothing can be continued from an empty sequence"
        );
        let grammar = match &job.grammar {
            Some(text) => Some(self.grammar_at(text, job)?),
            None => None,
        };
        Ok(Running {
            job,
            grammar,
            mask: None,
            drawable: self.drawable.clone(),
            tokens: Vec::new(),
            forced: VecDeque::new(),
            draft: Draft::default(),
            n_steps: 0,
            finish: None,
        })
    }

    /// A grammar that has taken what it covers of the sequence already.
    fn grammar_at(&self, text: &str, job: &GenerateJob) -> Result<Grammar, EngineError> {
        let refused = |error: DecodeError| EngineError::Grammar(error.to_string());
        let mut grammar = self.grammars.compile(text)?;
        let tokens = &self.sequence(job.seq).tokens;
        assert!(
            job.grammar_prefix <= tokens.len(),
            "a prefix longer than the sequence"
        );
        for &token in &tokens[tokens.len() - job.grammar_prefix..] {
            grammar.accept(token).map_err(refused)?;
        }
        Ok(grammar)
    }

    /// Rows came in: those of forced tokens give their entropy, the one after
    /// them is what the next token is drawn from, as is each behind a drafted token that was
    /// drawn.
    fn take_rows(
        &mut self,
        run: &mut Running<'_>,
        rows: Vec<LogitsRow>,
        taken: &mut Taken,
    ) -> Result<(), EngineError> {
        let n_drafted = run.draft.tokens.len();
        let n_rows = run.forced.len() + 1 + n_drafted;
        let sequence = self.sequence(run.job.seq);
        let start = sequence.tokens.len() + 1 - n_rows;
        for (at, row) in rows.into_iter().enumerate() {
            // It follows tokens that did not stay.
            if start + at > self.sequence(run.job.seq).table.len() {
                break;
            }
            if let Some(token) = run.forced.pop_front() {
                run.tokens.push(row.forced_entropy(token).map_err(broken)?);
                continue;
            }
            // Where a generation starts is where a fork may come back to; where
            // it ends, what follows may start from the row at hand.
            if run.tokens.is_empty() || run.finish.is_some() {
                let row = row.clone().alone().map_err(broken)?;
                self.sequence_mut(run.job.seq).keep_last_row(row);
            }
            if run.finish.is_none() {
                self.advance(run, &row, taken)?;
            }
        }
        if n_drafted > 0 {
            self.settle(run, start - 1);
        }
        Ok(())
    }

    /// Takes the next token, from the grammar where it leaves no choice, else
    /// drawn from `row`; then appends what the grammar forces behind it.
    fn advance(
        &mut self,
        run: &mut Running<'_>,
        row: &LogitsRow,
        taken: &mut Taken,
    ) -> Result<(), EngineError> {
        let length = self.settled_len(run);
        let room = (run.job.tokens_max - run.tokens.len()).min(self.context_max_tokens() - length);
        if room == 0 {
            run.finish = Some(self.limit_reached(run));
            return Ok(());
        }
        let Some(figures) = next_token(run, row, length, taken)? else {
            run.finish = Some(Finish::GrammarEnd);
            return Ok(());
        };
        let token = figures.token;
        run.tokens.push(figures);
        self.learn_odds(run, token);
        self.take_token(run, token)?;
        if run.job.stop_tokens.contains(&token) {
            run.finish = Some(Finish::Stop);
            return self.end_draft(run);
        }
        let mut n_forced = 0;
        if let Some(grammar) = &mut run.grammar {
            grammar.accept(token).map_err(held)?;
            // Forced tokens go into the cache together with the one before
            // them: one pass over the weights instead of one a token.
            let mut forced = grammar.forced();
            forced.truncate(room - 1);
            for &token in &forced {
                grammar.accept(token).map_err(held)?;
            }
            if grammar.is_finished() {
                run.finish = Some(Finish::GrammarEnd);
            }
            for &token in &forced {
                self.take_token(run, token)?;
            }
            n_forced = forced.len();
            run.forced = forced.into();
        }
        if run.finish.is_none() && n_forced + 1 == room {
            run.finish = Some(self.limit_reached(run));
        }
        match run.finish {
            Some(_) => self.end_draft(run),
            None => Ok(()),
        }
    }

    /// Which of the two limits leaves no room for another token.
    fn limit_reached(&self, run: &Running<'_>) -> Finish {
        if run.tokens.len() + run.forced.len() >= run.job.tokens_max {
            Finish::TokensMax
        } else {
            Finish::ContextFull
        }
    }

    /// The pool is full: what could not be run is taken off the sequence again.
    fn stop_for_pool(&mut self, run: &mut Running<'_>) -> Result<(), EngineError> {
        self.cut(run)?;
        let sequence = self.sequence_mut(run.job.seq);
        let kept = sequence.tokens.len() - run.forced.len();
        sequence.tokens.truncate(kept);
        sequence.decoded_end = sequence.decoded_end.min(kept);
        self.usage[run.job.purpose].decoded_tokens -= run.forced.len() as u64;
        if let Some(drafts) = &mut self.drafts {
            drafts.cut(run.job.seq, kept);
        }
        run.forced.clear();
        run.finish = Some(Finish::KvPoolFull);
        Ok(())
    }

    pub(super) fn push_decoded(
        &mut self,
        seq: SeqId,
        tokens: &[u32],
        purpose: crate::base::Purpose,
    ) {
        let sequence = self.sequence_mut(seq);
        sequence.tokens.extend_from_slice(tokens);
        sequence.decoded_end = sequence.tokens.len();
        self.usage[purpose].decoded_tokens += tokens.len() as u64;
    }
}

impl Running<'_> {
    /// What the grammar allows next; `None` without a grammar.
    fn mask(&mut self) -> Result<Option<Arc<Mask>>, EngineError> {
        if let (None, Some(grammar)) = (&self.mask, &mut self.grammar) {
            self.mask = Some(Arc::new(grammar.mask().map_err(held)?));
        }
        Ok(self.mask.clone())
    }

    /// Rows that may be drawn next. A grammar allows tokens alone, so its mask keeps out
    /// padding too.
    fn allowed(&mut self) -> Result<Option<Arc<Mask>>, EngineError> {
        Ok(self.mask()?.or_else(|| self.drawable.clone()))
    }
}

/// The next token's figures; `None` where nothing may follow.
fn next_token(
    run: &mut Running<'_>,
    row: &LogitsRow,
    length: usize,
    taken: &mut Taken,
) -> Result<Option<TokenEntropy>, EngineError> {
    if let Some(grammar) = &mut run.grammar {
        if grammar.is_finished() {
            return Ok(None);
        }
        if let Some(&token) = grammar.forced().first() {
            return row.forced_entropy(token).map(Some).map_err(broken);
        }
    }
    if let Some(figures) = draw_ahead(run, length)?.and_then(|draw| row.drawn(&draw)) {
        return Ok(Some(figures));
    }
    let (mask, allowed) = (run.mask()?, run.allowed()?);
    let is_first = run.tokens.is_empty();
    let logits = row.logits().map_err(broken)?;
    let uniform = uniform(run.job, length);
    let draw = |excluded: &[u32]| {
        let sampler = &run.job.sampler;
        sample(
            logits,
            &row.stats,
            sampler,
            allowed.as_deref(),
            excluded,
            uniform,
            &Pool,
        )
    };
    let barred: &[u32] = match is_first {
        true => &run.job.first_token_not,
        false => &[],
    };
    let token = match run.job.distinct.filter(|_| is_first) {
        None => draw(barred),
        Some(group) => {
            let others = taken.entry(group).or_default();
            let token = draw(&[barred, others].concat()).or_else(|| draw(barred));
            others.extend(token);
            token
        }
    };
    let figures = token.map(|token| row.token_entropy(token, mask.as_deref()));
    figures.transpose().map_err(broken)
}

/// The number that the token after `length` tokens is drawn by.
pub(super) fn uniform(job: &GenerateJob, length: usize) -> f64 {
    job.rng.split(length as u64).uniform()
}

/// How the token after `length` tokens is drawn, where nothing that is only known with
/// the row has a say in it: the first tokens of other jobs.
fn draw_ahead(run: &mut Running<'_>, length: usize) -> Result<Option<RowDraw>, EngineError> {
    let job = run.job;
    if let (true, Some(grammar)) = (run.tokens.is_empty(), &mut run.grammar)
        && let Some(&token) = grammar.forced().first()
    {
        return Ok(Some(RowDraw::Forced(token)));
    }
    let depends =
        run.tokens.is_empty() && (job.distinct.is_some() || !job.first_token_not.is_empty());
    let is_over = run.finish.is_some() || run.grammar.as_ref().is_some_and(Grammar::is_finished);
    if depends || is_over {
        return Ok(None);
    }
    Ok(Some(RowDraw::Sampled {
        sampler: job.sampler,
        mask: run.allowed()?,
        of_grammar: run.grammar.is_some(),
        uniform: uniform(job, length),
    }))
}

pub(super) fn held(error: DecodeError) -> EngineError {
    EngineError::Grammar(error.to_string())
}
