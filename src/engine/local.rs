//! The engine that runs a checkpoint in this process.
use super::api::{
    Engine, EngineError, GenerateJob, Generated, PrefixCache, Progress, ScoreJob, Vocabulary,
    append_within,
};
use super::batch_rows::BATCH_ROWS_MAX;
use super::drafts::Drafts;
use super::grammars::Grammars;
use super::known::Known;
use super::lane::Lane;
use super::pace::Pace;
use super::sequence::Sequence;
use crate::base::{Deadline, Purpose, SeqId, UsageByPurpose};
use crate::checkpoint::Tokenizer;
use crate::decode::Mask;
use crate::kv::{BlockPool, PoolUse};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A model, its cache, and the sequences in it.
pub struct LocalEngine {
    pub(super) lane: Lane,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) grammars: Arc<Grammars>,
    /// The rows of the logits behind which a token stands; `None`: all. The others, with
    /// which models pad their vocabulary, are never drawn.
    pub(super) drawable: Option<Arc<Mask>>,
    pub(super) pool: BlockPool,
    pub(super) sequences: HashMap<SeqId, Sequence>,
    pub(super) usage: UsageByPurpose,
    /// Continuations that a new bill need not decode again.
    pub(super) known: Known,
    /// `None`: every token has a step of its own.
    pub(super) drafts: Option<Drafts>,
    rerun_tokens: u64,
    /// Time spent on rows of logits after the model gave them.
    pub(super) sampling: Duration,
    /// Time until the model's work was handed to the device: on a CPU, done.
    pub(super) forwarding: Duration,
    /// Whether a step waits for the device before its time counts as sampling.
    pub(super) waits: bool,
    /// Rows of one step at most: fewer once a device was out of memory.
    pub(super) rows_max: usize,
    /// `Some` where the rows of a step change no result.
    pub(super) pace: Option<Pace>,
    /// Tokens that sequences held when they were released.
    released_tokens: u64,
    context_max: usize,
    /// When no further step begins.
    pub(super) deadline: Deadline,
    next_id: u64,
}

impl LocalEngine {
    /// An engine on a lane of a loaded model.
    ///
    /// `pool` has as many blocks as the lane; `context_max` is the most tokens that
    /// one sequence may hold.
    pub(super) fn new(
        lane: Lane,
        tokenizer: Arc<Tokenizer>,
        grammars: Arc<Grammars>,
        pool: BlockPool,
        context_max: usize,
    ) -> Self {
        Self {
            lane,
            drawable: drawable(&tokenizer).map(Arc::new),
            tokenizer,
            grammars,
            pool,
            sequences: HashMap::new(),
            usage: UsageByPurpose::default(),
            known: Known::default(),
            drafts: None,
            rerun_tokens: 0,
            sampling: Duration::ZERO,
            forwarding: Duration::ZERO,
            waits: false,
            rows_max: BATCH_ROWS_MAX,
            pace: None,
            released_tokens: 0,
            context_max,
            deadline: Deadline::NEVER,
            next_id: 0,
        }
    }

    /// The same engine with steps of about two seconds: where a step of any number of rows
    /// gives the same results.
    #[must_use]
    pub(super) fn in_short_steps(mut self) -> Self {
        self.pace = Some(Pace::default());
        self
    }

    /// From here on drafts of up to `n_tokens` tokens (`None`: of as many as are likely to save
    /// time) are made of what was written before, and checked. Tokens and entropies stay as they
    /// are where the rows of a step are independent.
    pub fn draft(&mut self, n_tokens: Option<usize>) {
        self.drafts = Some(Drafts::new(n_tokens));
    }

    /// How the KV pool's blocks are used.
    pub fn pool_use(&self) -> PoolUse {
        self.pool.in_use()
    }

    /// Panics unless free + cached + referenced blocks = all blocks, and every
    /// count is right.
    pub fn check_integrity(&self) {
        self.pool
            .check_integrity(self.sequences.values().map(|sequence| &sequence.table));
    }

    /// The checkpoint's tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The raw logits after a sequence's last token, `[V]`: there after
    /// `compute`, gone when tokens follow, back at a fork to where they were read.
    pub fn logits(&self, seq: SeqId) -> Option<&[f32]> {
        self.sequence(seq).last_row()?.logits().ok()
    }

    /// Tokens that were counted and had to be run once more: the last one of a
    /// fork that ends where no row of logits was kept, and all of a sequence
    /// whose step failed. They are counted again, so that
    /// decoded + computed + reused = seen + rerun.
    pub fn rerun_tokens(&self) -> u64 {
        self.rerun_tokens
    }

    /// Time spent so far on rows of logits: entropy, masks, drawing tokens.
    pub fn sampling_time(&self) -> Duration {
        self.sampling
    }

    /// Time spent so far until the model's work was handed to the device: all of it on a
    /// CPU, the launches on a GPU.
    pub fn forwarding_time(&self) -> Duration {
        self.forwarding
    }

    /// Rows of one step at most: fewer than at first where the device was out of memory.
    pub fn step_rows_max(&self) -> usize {
        self.rows_max
    }

    /// From here on a step waits for the device before entropy and sampling begin, so that
    /// [`LocalEngine::sampling_time`] is theirs alone on a GPU, too. Costs some time.
    pub fn wait_before_sampling(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Bytes that one step reads at least: the weights, and the keys and values of
    /// `kv_tokens` positions.
    pub fn step_bytes(&self, kv_tokens: usize) -> usize {
        self.lane.step_bytes(kv_tokens)
    }

    /// Tokens of all sequences that ever were, scored tails and forks' shared
    /// tokens included, but not those that wait to be computed.
    pub fn seen_tokens(&self) -> u64 {
        let living = self.sequences.values().map(|s| s.n_seen() as u64);
        self.released_tokens + living.sum::<u64>()
    }

    /// The `n` likeliest tokens after a sequence that was computed, likeliest first.
    pub fn likely_next(&self, seq: SeqId, n: usize) -> Vec<u32> {
        let row = self.logits(seq).expect("the sequence was computed");
        let is_drawable = |&id: &u32| (self.drawable.as_ref()).is_none_or(|mask| mask.allows(id));
        let mut ids: Vec<u32> = (0..row.len() as u32).filter(is_drawable).collect();
        if n < ids.len() {
            ids.select_nth_unstable_by(n, |&a, &b| row[b as usize].total_cmp(&row[a as usize]));
            ids.truncate(n);
        }
        ids.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        ids
    }

    pub(super) fn context_max_tokens(&self) -> usize {
        self.context_max
    }

    /// Makes the last token pending if only running it again gives its row.
    pub(super) fn want_last_row(&mut self, seq: SeqId) {
        self.rerun_tokens += u64::from(self.sequence_mut(seq).want_last_row());
    }

    /// Drops a sequence's cache after a step that failed; all of it is run anew.
    pub(super) fn forget_cache(&mut self, seq: SeqId) {
        self.rerun_tokens += self.sequence_mut(seq).forget_cache() as u64;
    }

    /// Drops what a sequence's cache has of positions from `start` on, after a step that
    /// could not write them.
    pub(super) fn forget_from(&mut self, seq: SeqId, start: usize) {
        self.rerun_tokens += self.sequence_mut(seq).forget_from(start) as u64;
    }

    pub(super) fn pool_full(&self) -> EngineError {
        EngineError::KvPoolFull {
            blocks: self.pool.in_use().total,
        }
    }

    pub(super) fn sequence(&self, seq: SeqId) -> &Sequence {
        self.sequences
            .get(&seq)
            .expect("a sequence that was made and not released")
    }

    pub(super) fn sequence_mut(&mut self, seq: SeqId) -> &mut Sequence {
        self.sequences
            .get_mut(&seq)
            .expect("a sequence that was made and not released")
    }

    pub(super) fn remove(&mut self, seq: SeqId) {
        let gone = self.sequences.remove(&seq);
        if let (Some(drafts), Some(sequence)) = (&mut self.drafts, &gone) {
            drafts.released(seq, sequence);
        }
        self.released_tokens += gone.map_or(0, |sequence| sequence.n_seen() as u64);
    }

    pub(super) fn insert(&mut self, sequence: Sequence) -> SeqId {
        let id = SeqId(self.next_id);
        self.next_id += 1;
        self.sequences.insert(id, sequence);
        id
    }
}

/// The ids that are tokens, unless all of them are.
fn drawable(tokenizer: &Tokenizer) -> Option<Mask> {
    let ids = 0..tokenizer.size() as u32;
    let tokens: Vec<u32> = ids
        .clone()
        .filter(|&id| !tokenizer.token_bytes(id).is_empty())
        .collect();
    (tokens.len() < ids.len()).then(|| Mask::of(tokenizer.size(), &tokens))
}

impl Engine for LocalEngine {
    fn vocabulary(&self) -> &dyn Vocabulary {
        &*self.tokenizer
    }

    fn context_max(&self) -> usize {
        self.context_max
    }

    fn new_sequence(&mut self, prefix: PrefixCache) -> SeqId {
        let sequence = Sequence::new(&self.pool, prefix);
        self.insert(sequence)
    }

    fn tokens(&self, seq: SeqId) -> &[u32] {
        &self.sequence(seq).tokens
    }

    fn append(&mut self, seq: SeqId, tokens: &[u32], _: Purpose) -> Result<(), EngineError> {
        let limit = self.context_max;
        append_within(&mut self.sequence_mut(seq).tokens, tokens, limit)
    }

    fn fork(&mut self, seq: SeqId, len: usize, purpose: Purpose) -> SeqId {
        let branch = self.sequence(seq).fork(len);
        self.usage[purpose].forks += 1;
        self.usage[purpose].reused_tokens += branch.table.len() as u64;
        let id = self.insert(branch);
        if let Some(drafts) = &mut self.drafts {
            drafts.forked(seq, len, id);
        }
        id
    }

    fn release(&mut self, seq: SeqId) {
        self.remove(seq);
    }

    fn forget_prefixes(&mut self) {
        self.pool.forget_prefixes();
        self.known.forget();
    }

    fn new_bill(&mut self) {
        self.pool.new_bill();
    }

    fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn living(&self) -> Vec<SeqId> {
        let mut all: Vec<SeqId> = self.sequences.keys().copied().collect();
        all.sort();
        all
    }

    fn compute(
        &mut self,
        seqs: &[SeqId],
        purpose: Purpose,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        let _busy = self.lane.busy();
        let started = Instant::now();
        let result = self.compute_all(seqs, purpose, on_step);
        self.usage[purpose].wall_ms += started.elapsed().as_millis() as u64;
        result
    }

    fn generate(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        let _busy = self.lane.busy();
        let started = Instant::now();
        let result = self.generate_or_replay(jobs, on_step);
        if let Some(job) = jobs.first() {
            self.usage[job.purpose].wall_ms += started.elapsed().as_millis() as u64;
        }
        result
    }

    fn score(&mut self, jobs: &[ScoreJob]) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        let _busy = self.lane.busy();
        let started = Instant::now();
        let result = self.score_all(jobs);
        if let Some(job) = jobs.first() {
            self.usage[job.purpose].wall_ms += started.elapsed().as_millis() as u64;
        }
        result
    }

    fn usage(&self) -> UsageByPurpose {
        self.usage
    }
}

impl Vocabulary for Tokenizer {
    fn encode(&self, text: &str) -> Vec<u32> {
        Tokenizer::encode(self, text)
    }

    fn encode_special(&self, text: &str) -> Vec<u32> {
        Tokenizer::encode_special(self, text)
    }

    fn decode(&self, tokens: &[u32]) -> String {
        Tokenizer::decode(self, tokens)
    }

    fn token_bytes(&self, token: u32) -> &[u8] {
        Tokenizer::token_bytes(self, token)
    }

    fn size(&self) -> usize {
        Tokenizer::size(self)
    }
}
