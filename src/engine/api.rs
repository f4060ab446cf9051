//! What the layers above see of an engine: a scripted or a remote one can stand in.
use crate::base::{
    Deadline, Purpose, RngKey, SamplerSettings, SeqId, TokenEntropy, UsageByPurpose,
};

/// Text to tokens and back. Special tokens in the text (`<|im_start|>`) are
/// recognised by `encode_special` only, so that a user's file cannot forge one.
pub trait Vocabulary {
    /// Tokens of plain text; text that looks like a special token stays text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// Tokens of template text; special tokens become their ids.
    fn encode_special(&self, text: &str) -> Vec<u32>;
    /// Text of tokens, special tokens spelled out; invalid UTF-8 becomes U+FFFD.
    fn decode(&self, tokens: &[u32]) -> String;
    /// The bytes of a token, a special one's text; nothing for an id that is no token.
    /// A character may be spread over several tokens: [`crate::base::Utf8Decoder`].
    fn token_bytes(&self, token: u32) -> &[u8];
    /// Number of rows in the logits, V.
    fn size(&self) -> usize;
}

/// Whether a sequence takes part in the prefix cache. Its forks do as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixCache {
    /// Full blocks that this engine has computed before are taken over, and
    /// what is computed is kept for others.
    Use,
    /// Nothing is taken over and nothing kept: every token is paid for, as by a
    /// caller of an API, and nobody else pays less for it.
    Bypass,
}

/// One sequence to continue until it finishes.
#[derive(Clone, Debug)]
pub struct GenerateJob {
    pub seq: SeqId,
    pub sampler: SamplerSettings,
    /// The stream that this continuation draws from; position is added per token.
    pub rng: RngKey,
    pub tokens_max: usize,
    /// A Lark grammar (llguidance's dialect) that the text must follow from here.
    pub grammar: Option<String>,
    /// How many of the sequence's last tokens the grammar covers already: for a
    /// fork in the middle of a text that the same grammar held.
    pub grammar_prefix: usize,
    /// Token ids that end the text; the ending token is part of the result.
    pub stop_tokens: Vec<u32>,
    /// Tokens that the first position must not take: makes siblings differ.
    pub first_token_not: Vec<u32>,
    /// Jobs of one call with the same number take different tokens at their
    /// first position, as long as there are others that may be taken.
    pub distinct: Option<u32>,
    pub purpose: Purpose,
}

/// Why a continuation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token was taken.
    Stop,
    /// The grammar allows nothing more.
    GrammarEnd,
    TokensMax,
    ContextFull,
    KvPoolFull,
}

/// A finished continuation. The sequence now ends with these tokens.
#[derive(Clone, Debug)]
pub struct Generated {
    pub tokens: Vec<TokenEntropy>,
    pub finish: Finish,
    /// Steps of the model that brought them.
    pub n_steps: u64,
}

/// Probabilities asked for, of continuations that stay hypothetical: the
/// sequence is left as it was.
#[derive(Clone, Debug)]
pub struct ScoreJob {
    pub seq: SeqId,
    /// Each is scored behind the sequence as it stands, on its own forked tail.
    pub continuations: Vec<Vec<u32>>,
    pub purpose: Purpose,
}

/// Called between steps of a long operation.
pub struct Progress<'a> {
    /// Tokens decoded since the call began, all jobs together.
    pub decoded_tokens: usize,
    /// Prompt tokens computed since the call began, and how many are still to do.
    pub computed_tokens: usize,
    pub pending_tokens: usize,
    /// Continuations still running.
    pub running: usize,
    /// Newest token of each job that gained one in this step: `(job index, token)`.
    pub new_tokens: &'a [(usize, TokenEntropy)],
}

/// What can go wrong in an engine. Ends that are expected (a full context or
/// pool) are a [`Finish`], not an error, where a job can carry it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "a context of {asked} tokens was asked of a sequence limited to {limit}; raise --ctx or shorten the prompt"
    )]
    ContextFull { asked: usize, limit: usize },
    #[error(
        "the KV pool of {blocks} blocks is full; raise --kv-mem or lower the number of branches"
    )]
    KvPoolFull { blocks: usize },
    #[error("the grammar cannot be compiled: {0}")]
    Grammar(String),
    /// A device has no memory left, even for a small step.
    #[error("the model failed: {0}")]
    DeviceFull(String),
    /// The sequences of the failed step stay, and are computed anew when needed.
    #[error("the model failed: {0}")]
    Model(String),
    /// Sequences hold what was decoded until then.
    #[error("the run's time is over; --wall-s-max gives it more")]
    DeadlinePassed,
}

/// Appends to what a sequence holds. Errors: `ContextFull`, with nothing appended.
pub(super) fn append_within(
    held: &mut Vec<u32>,
    tokens: &[u32],
    limit: usize,
) -> Result<(), EngineError> {
    let asked = held.len() + tokens.len();
    if asked > limit {
        return Err(EngineError::ContextFull { asked, limit });
    }
    held.extend_from_slice(tokens);
    Ok(())
}

/// A model with sequences that can be extended, forked and continued.
///
/// Positions are token counts from the start of a sequence. Appended tokens
/// are computed when something first needs them, in one ragged batch with
/// whatever else is waiting. What the prefix cache has of them is not computed
/// but taken over then, and counted as reused.
pub trait Engine {
    fn vocabulary(&self) -> &dyn Vocabulary;
    /// Most tokens one sequence may hold.
    fn context_max(&self) -> usize;
    /// An empty sequence.
    fn new_sequence(&mut self, prefix: PrefixCache) -> SeqId;
    /// Tokens of a sequence, appended and decoded ones alike.
    fn tokens(&self, seq: SeqId) -> &[u32];
    /// Appends tokens whose KV is computed later. Errors: `ContextFull`.
    fn append(&mut self, seq: SeqId, tokens: &[u32], purpose: Purpose) -> Result<(), EngineError>;
    /// A new sequence that holds the first `len` tokens of `seq`. Copies
    /// integers only; no KV. Panics if `len` is longer than the sequence.
    fn fork(&mut self, seq: SeqId, len: usize, purpose: Purpose) -> SeqId;
    /// Gives a sequence's blocks back; the prefix cache may keep what they hold
    /// until a block is needed.
    fn release(&mut self, seq: SeqId);
    /// Empties the prefix cache: nothing computed before is found afterwards.
    /// Living sequences and their forks stay as they are.
    fn forget_prefixes(&mut self);
    /// With no sequence living: from here on usage is counted as if
    /// [`forget_prefixes`](Self::forget_prefixes) had been called, but nothing is forgotten: what the prefix cache has counts as
    /// computed where it is first taken over, and as reused from then on. Sequences
    /// that bypass the cache count all they take over as computed. Likewise, what was
    /// decoded from the same tokens in the same way is not decoded again and counts as
    /// decoded. For comparisons, which do once what several strategies do, and charge
    /// each of them for it.
    fn new_bill(&mut self);
    /// No step begins behind `deadline` from now on: what would need one ends in
    /// `DeadlinePassed`.
    fn set_deadline(&mut self, deadline: Deadline);
    /// Every sequence that was not released, in the order of their ids.
    fn living(&self) -> Vec<SeqId>;
    /// Computes every appended token of `seqs`, so that forks taken afterwards
    /// share all of it and start from the same row of logits.
    fn compute(
        &mut self,
        seqs: &[SeqId],
        purpose: Purpose,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError>;
    /// Continues every job's sequence until it finishes, all in one batch.
    /// Results are in the order of the jobs.
    fn generate(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError>;
    /// For each job and continuation, the raw log-probability of each token
    /// given all before it. One batch over forked tails.
    fn score(&mut self, jobs: &[ScoreJob]) -> Result<Vec<Vec<Vec<f32>>>, EngineError>;
    /// Everything counted since the engine was made.
    fn usage(&self) -> UsageByPurpose;
}
