//! One loaded model under several engines: steps that wait at the same time run
//! as one batch.
//!
//! Each engine has a lane: blocks of the storage that are its own, numbered from 0
//! as it sees them. What else is in a batch changes no bit of a row (with the CPU's
//! kernels; elsewhere within the tolerance of a batched row), so an engine gives the
//! same tokens beside others as alone.
//!
//! Each engine also has a pool, a prefix cache and counts of its own, and a thread that runs
//! one task's search. A step waits at most 20 ms until every engine within a call has a step.
//! One of the threads then runs all of them as one batch and hands the others their rows of
//! logits.
use super::api::EngineError;
use super::batch_rows::{BATCH_ROWS_MAX, LOGIT_ROWS_MAX};
use super::broken::broken;
use crate::kv::KvStorage;
use crate::model::{BatchStep, CausalLm};
use crate::ops::{Rows, is_out_of_memory};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rows, and rows of logits, of one batch are at most this many times those of one
/// engine's step where several engines share a model: a whole prefill chunk does not
/// keep the others' decode rows out.
pub(super) const SHARED_STEPS_MAX: usize = 2;

/// How long a step waits for the lanes that are about to come with one. What they do
/// between steps (masks, drawing a token) takes a few milliseconds, a step tens.
const PATIENCE: Duration = Duration::from_millis(20);

/// An engine's share of a model.
pub(super) struct Lane {
    shared: Arc<Shared>,
    first_block: u32,
}

struct Shared {
    model: Box<dyn CausalLm>,
    storage: KvStorage,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Lanes within a call: those that do not wait are about to.
    n_busy: usize,
    waiting: Vec<Waiting>,
    is_running: bool,
    /// Logits of steps that ran, by ticket, until they are fetched.
    ran: HashMap<u64, Ran>,
    next_ticket: u64,
    /// A batch has panicked: there is no telling what the storage holds.
    is_broken: bool,
}

/// Rows of logits, `None` where none were asked for, or what went wrong.
type Ran = Result<Option<Rows>, EngineError>;

/// A step that waits, its blocks as the storage numbers them.
struct Waiting {
    ticket: u64,
    since: Instant,
    batch: BatchStep,
    copies: Vec<(u32, u32)>,
}

/// A lane within a call, until it is dropped.
pub(super) struct Busy(Arc<Shared>);

impl Lane {
    /// `n` lanes of one model, each of `n_blocks` blocks of `storage`.
    pub(super) fn new_all(
        model: Box<dyn CausalLm>,
        storage: KvStorage,
        n: usize,
        n_blocks: usize,
    ) -> Vec<Self> {
        let shared = Arc::new(Shared {
            model,
            storage,
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let lane = |i| Self {
            shared: shared.clone(),
            first_block: (i * n_blocks) as u32,
        };
        (0..n).map(lane).collect()
    }

    /// Bytes that one step reads at least: the weights, and the keys and values of
    /// `kv_tokens` positions.
    pub(super) fn step_bytes(&self, kv_tokens: usize) -> usize {
        let shared = &self.shared;
        shared.model.step_bytes() + kv_tokens * shared.storage.token_bytes()
    }

    /// Says that steps of this lane are to come soon, until the result is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.shared.lock().n_busy += 1;
        Busy(self.shared.clone())
    }

    /// Copies blocks, runs a batch, and gives the rows of logits that it asks for,
    /// `[R, V]`; `None` where it asks for none.
    pub(super) fn run(
        &self,
        mut batch: BatchStep,
        mut copies: Vec<(u32, u32)>,
    ) -> Result<Option<Rows>, EngineError> {
        batch.move_blocks(self.first_block);
        for (from, to) in &mut copies {
            *from += self.first_block;
            *to += self.first_block;
        }
        self.shared.run(batch, copies)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics between two changes that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, batch: BatchStep, copies: Vec<(u32, u32)>) -> Ran {
        let mut queue = self.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push(Waiting {
            ticket,
            since: Instant::now(),
            batch,
            copies,
        });
        // Whoever leads may have waited for this one.
        self.changed.notify_all();
        loop {
            if let Some(result) = queue.ran.remove(&ticket) {
                return result;
            }
            if queue.is_broken {
                let crashed = "a batch that another run shared has crashed";
                return Err(EngineError::Model(crashed.into()));
            }
            let waited = queue.waiting.iter().map(|step| step.since.elapsed()).max();
            let left = PATIENCE.saturating_sub(waited.unwrap_or_default());
            let all_wait = queue.waiting.len() >= queue.n_busy;
            if !queue.is_running && (all_wait || left.is_zero()) {
                queue = self.lead(queue);
            } else if queue.is_running {
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            } else {
                let woken = self.changed.wait_timeout(queue, left);
                queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Runs what waits, as far as it fits into one batch, and leaves the results.
    fn lead<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let steps = queue.take_batch();
        queue.is_running = true;
        drop(queue);
        let guard = Leading(self);
        let results = self.run_together(&steps);
        std::mem::forget(guard);
        let mut queue = self.lock();
        queue.is_running = false;
        let tickets = steps.iter().map(|step| step.ticket);
        queue.ran.extend(tickets.zip(results));
        self.changed.notify_all();
        queue
    }

    /// The steps' results, in their order: their rows, or what went wrong with all.
    fn run_together(&self, steps: &[Waiting]) -> Vec<Ran> {
        let mut batch = BatchStep::default();
        for step in steps {
            batch.extend(&step.batch);
        }
        let copies: Vec<(u32, u32)> = steps.iter().flat_map(|s| s.copies.clone()).collect();
        let mut first = 0;
        let ran = self.forward(&batch, &copies);
        // What is too much for the device together may do one by one.
        if steps.len() > 1 && ran.as_ref().is_err_and(is_out_of_memory) {
            let alone = steps.chunks(1).flat_map(|step| self.run_together(step));
            return alone.collect();
        }
        let results = steps.iter().map(|step| {
            let n_rows = step.batch.logit_rows.len();
            let rows = first..first + n_rows;
            first = rows.end;
            match &ran {
                Ok(Some(logits)) if n_rows > 0 => {
                    let own = logits.part(rows);
                    own.map(Some).map_err(broken)
                }
                Ok(_) => Ok(None),
                Err(error) => Err(broken(error)),
            }
        });
        results.collect()
    }

    fn forward(
        &self,
        batch: &BatchStep,
        copies: &[(u32, u32)],
    ) -> candle_core::Result<Option<Rows>> {
        self.storage.copy_blocks(copies)?;
        if batch.tokens.is_empty() {
            return Ok(None);
        }
        let hidden = self.model.forward(batch, &self.storage)?;
        match batch.logit_rows.is_empty() {
            true => Ok(None),
            false => Ok(Some(self.model.logits(&hidden)?)), // [R, V]
        }
    }
}

impl Queue {
    /// Takes the steps that fit into one batch, those that came first before others.
    fn take_batch(&mut self) -> Vec<Waiting> {
        let (mut rows, mut logit_rows) = (0, 0);
        let mut fits = |step: &Waiting| {
            let (r, l) = (step.batch.tokens.len(), step.batch.logit_rows.len());
            let room = rows + r <= SHARED_STEPS_MAX * BATCH_ROWS_MAX
                && logit_rows + l <= SHARED_STEPS_MAX * LOGIT_ROWS_MAX;
            if room {
                rows += r;
                logit_rows += l;
            }
            room
        };
        let all = std::mem::take(&mut self.waiting);
        let (taken, left) = all.into_iter().partition(|step| fits(step));
        self.waiting = left;
        taken
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().n_busy -= 1;
        self.0.changed.notify_all();
    }
}

/// Dropped only by a panic: the others must not wait for it for ever.
struct Leading<'a>(&'a Shared);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.is_running = false;
        queue.is_broken = true;
        self.0.changed.notify_all();
    }
}
