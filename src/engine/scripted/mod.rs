//! An engine without a model: it says what a script or a known distribution
//! says. It keeps the trait's promises (sequences, forks, counts, entropies
//! that follow from the distribution), so a search can be tested exactly.
mod distribution;
mod prefixes;
mod vocabulary;

pub use vocabulary::ByteVocabulary;

use super::api::append_within;
use super::{
    Engine, EngineError, Finish, GenerateJob, Generated, PrefixCache, Progress, ScoreJob,
    Vocabulary,
};
use crate::base::{Deadline, Purpose, SeqId, TokenEntropy, Usage, UsageByPurpose};
use distribution::Distribution;
use prefixes::Prefixes;
use std::collections::HashMap;

/// What the model would say next: texts with their probabilities, given the
/// tokens up to the opening of the turn. They need not sum to 1.
pub type Policy = Box<dyn Fn(&[u32]) -> Vec<(String, f64)> + Send>;

/// One scripted continuation.
#[derive(Clone, Debug)]
pub struct Line {
    pub text: String,
    /// What every token of it reports, nats.
    pub entropy_nats: f32,
}

enum Source {
    /// Told in order, one a job, then over and over the last.
    Script {
        lines: Vec<Line>,
        told: usize,
    },
    Policy(Policy),
}

struct Sequence {
    tokens: Vec<u32>,
    /// `[0, computed)` would have KV, the rest waits.
    computed: usize,
    prefix: PrefixCache,
}

/// See the module's documentation. Grammars are not enforced: the texts are
/// taken to follow them.
pub struct ScriptedEngine {
    vocabulary: ByteVocabulary,
    source: Source,
    context_max: usize,
    sequences: HashMap<SeqId, Sequence>,
    prefixes: Prefixes,
    next_seq: u64,
    usage: UsageByPurpose,
    /// Text that opens the assistant's turn: what stands behind its last
    /// occurrence was already said of the text to continue.
    turn_opening: Vec<u32>,
    deadline: Deadline,
}

impl ScriptedEngine {
    /// Says the lines in order, the last one again and again. Panics if there
    /// are none.
    pub fn from_script(lines: Vec<Line>) -> Self {
        assert!(!lines.is_empty(), "a script has a line");
        Self::new(Source::Script { lines, told: 0 })
    }

    /// Samples from a known distribution over texts.
    pub fn from_policy(policy: impl Fn(&[u32]) -> Vec<(String, f64)> + Send + 'static) -> Self {
        Self::new(Source::Policy(Box::new(policy)))
    }

    /// With another limit on a sequence's tokens than 65,536.
    #[must_use]
    pub fn with_context_max(mut self, context_max: usize) -> Self {
        self.context_max = context_max;
        self
    }

    fn new(source: Source) -> Self {
        let vocabulary = ByteVocabulary::chat_ml();
        Self {
            turn_opening: vocabulary.encode_special("<|im_start|>assistant\n"),
            vocabulary,
            source,
            context_max: 65_536,
            sequences: HashMap::new(),
            prefixes: Prefixes::default(),
            next_seq: 0,
            usage: UsageByPurpose::default(),
            deadline: Deadline::NEVER,
        }
    }

    /// As an engine that takes time is held to its deadline.
    fn look_at_the_clock(&self) -> Result<(), EngineError> {
        match self.deadline.is_over() {
            true => Err(EngineError::DeadlinePassed),
            false => Ok(()),
        }
    }

    fn sequence(&self, seq: SeqId) -> &Sequence {
        self.sequences.get(&seq).expect("a live sequence")
    }

    fn sequence_mut(&mut self, seq: SeqId) -> &mut Sequence {
        self.sequences.get_mut(&seq).expect("a live sequence")
    }

    fn insert(&mut self, sequence: Sequence) -> SeqId {
        let seq = SeqId(self.next_seq);
        self.next_seq += 1;
        self.sequences.insert(seq, sequence);
        seq
    }

    /// Computes what waits and is not known, the last token in any case; counts it.
    fn prefill(&mut self, seq: SeqId, purpose: Purpose) -> usize {
        let sequence = self.sequence(seq);
        let (len, computed) = (sequence.tokens.len(), sequence.computed);
        let start = match sequence.prefix {
            PrefixCache::Use if computed < len => {
                let known = self.prefixes.known(&sequence.tokens[..len - 1]);
                known.max(computed)
            }
            _ => computed,
        };
        let usage = &mut self.usage[purpose];
        usage.reused_tokens += (start - computed) as u64;
        usage.computed_tokens += (len - start) as u64;
        self.note_computed(seq);
        len - start
    }

    /// All of a sequence has KV now.
    fn note_computed(&mut self, seq: SeqId) {
        let sequence = self.sequences.get_mut(&seq).expect("a live sequence");
        let from = std::mem::replace(&mut sequence.computed, sequence.tokens.len());
        if sequence.prefix == PrefixCache::Use {
            self.prefixes.learn(&sequence.tokens, from);
        }
    }

    /// What may follow `tokens`, as the policy has it.
    fn distribution(&self, policy: &Policy, tokens: &[u32]) -> Distribution {
        let opening = &self.turn_opening[..];
        let turn_start = tokens
            .windows(opening.len())
            .rposition(|window| window == opening)
            .map_or(tokens.len(), |at| at + opening.len());
        let texts = policy(&tokens[..turn_start]);
        let said = &tokens[turn_start..];
        let encoded = texts.into_iter().map(|(text, p)| {
            let mut tokens = self.vocabulary.encode_special(&text);
            if tokens.last() != Some(&self.vocabulary.end_of_turn()) {
                tokens.push(self.vocabulary.end_of_turn());
            }
            (tokens, p)
        });
        Distribution::behind(encoded.collect(), said)
    }

    /// One job's tokens, before limits.
    fn say(&mut self, job: &GenerateJob, taken: &mut HashMap<u32, Vec<u32>>) -> Vec<TokenEntropy> {
        if let Source::Script { lines, told } = &mut self.source {
            let line = lines[(*told).min(lines.len() - 1)].clone();
            *told += 1;
            let mut tokens = self.vocabulary.encode_special(&line.text);
            let end = self.vocabulary.end_of_turn();
            if job.stop_tokens.contains(&end) && tokens.last() != Some(&end) {
                tokens.push(end);
            }
            return tokens
                .into_iter()
                .map(|token| distribution::flat(token, line.entropy_nats))
                .collect();
        }
        let Source::Policy(policy) = &self.source else {
            unreachable!("a script was told above")
        };
        let sequence = self.sequence(job.seq);
        let mut next = self.distribution(policy, &sequence.tokens);
        let start = sequence.tokens.len();
        let mut said = Vec::new();
        while !next.is_empty() {
            let uniform = job.rng.split((start + said.len()) as u64).uniform();
            let draw = |barred: &[u32]| next.draw(&job.sampler, uniform, barred);
            let token = if said.is_empty() {
                let mut none = Vec::new();
                let others = match job.distinct {
                    Some(group) => taken.entry(group).or_default(),
                    None => &mut none,
                };
                let barred = &job.first_token_not;
                let token = draw(&[&barred[..], others].concat()).or_else(|| draw(barred));
                others.extend(token);
                token
            } else {
                draw(&[])
            };
            let Some(token) = token else {
                break;
            };
            said.push(next.figures(token));
            next = next.step(token);
        }
        said
    }
}

impl Engine for ScriptedEngine {
    fn vocabulary(&self) -> &dyn Vocabulary {
        &self.vocabulary
    }

    fn context_max(&self) -> usize {
        self.context_max
    }

    fn new_sequence(&mut self, prefix: PrefixCache) -> SeqId {
        self.insert(Sequence {
            tokens: Vec::new(),
            computed: 0,
            prefix,
        })
    }

    fn tokens(&self, seq: SeqId) -> &[u32] {
        &self.sequence(seq).tokens
    }

    fn append(&mut self, seq: SeqId, tokens: &[u32], _: Purpose) -> Result<(), EngineError> {
        let limit = self.context_max;
        append_within(&mut self.sequence_mut(seq).tokens, tokens, limit)
    }

    fn fork(&mut self, seq: SeqId, len: usize, purpose: Purpose) -> SeqId {
        let parent = self.sequence(seq);
        assert!(
            len <= parent.tokens.len(),
            "a fork behind the sequence's end"
        );
        let child = Sequence {
            tokens: parent.tokens[..len].to_vec(),
            computed: parent.computed.min(len),
            prefix: parent.prefix,
        };
        self.usage[purpose] += Usage {
            forks: 1,
            reused_tokens: child.computed as u64,
            ..Usage::default()
        };
        self.insert(child)
    }

    fn release(&mut self, seq: SeqId) {
        let held = self.sequences.remove(&seq);
        assert!(held.is_some(), "a sequence is released once");
    }

    /// Its counts need no model: forgetting gives them too.
    fn new_bill(&mut self) {
        self.forget_prefixes();
    }

    fn forget_prefixes(&mut self) {
        self.prefixes.forget();
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
        _: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        for &seq in seqs {
            self.look_at_the_clock()?;
            self.prefill(seq, purpose);
        }
        Ok(())
    }

    fn generate(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        let mut results = Vec::with_capacity(jobs.len());
        let (mut decoded_tokens, mut computed_tokens) = (0, 0);
        let mut taken = HashMap::new();
        for (index, job) in jobs.iter().enumerate() {
            self.look_at_the_clock()?;
            computed_tokens += self.prefill(job.seq, job.purpose);
            let mut said = self.say(job, &mut taken);
            let mut finish = match said.last() {
                Some(last) if job.stop_tokens.contains(&last.token) => Finish::Stop,
                _ => Finish::GrammarEnd,
            };
            let room = self.context_max - self.sequence(job.seq).tokens.len();
            if said.len() > job.tokens_max.min(room) {
                finish = if job.tokens_max <= room {
                    Finish::TokensMax
                } else {
                    Finish::ContextFull
                };
                said.truncate(job.tokens_max.min(room));
            }
            let sequence = self.sequence_mut(job.seq);
            sequence.tokens.extend(said.iter().map(|t| t.token));
            self.note_computed(job.seq);
            self.usage[job.purpose].decoded_tokens += said.len() as u64;
            decoded_tokens += said.len();
            let newest: Vec<_> = said.last().map(|t| (index, *t)).into_iter().collect();
            on_step(Progress {
                decoded_tokens,
                computed_tokens,
                pending_tokens: 0,
                running: jobs.len() - index - 1,
                new_tokens: &newest,
            });
            results.push(Generated {
                n_steps: said.len() as u64,
                tokens: said,
                finish,
            });
        }
        Ok(results)
    }

    fn score(&mut self, jobs: &[ScoreJob]) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        let mut scores = Vec::with_capacity(jobs.len());
        for job in jobs {
            self.look_at_the_clock()?;
            self.prefill(job.seq, job.purpose);
            let Source::Policy(policy) = &self.source else {
                return Err(EngineError::Model(
                    "a script holds no probabilities; use a policy".into(),
                ));
            };
            let start = self.distribution(policy, &self.sequence(job.seq).tokens);
            let of = |tokens: &Vec<u32>| start.logprobs(tokens);
            scores.push(job.continuations.iter().map(of).collect());
            let asked: usize = job.continuations.iter().map(Vec::len).sum();
            self.usage[job.purpose].computed_tokens += asked as u64;
        }
        Ok(scores)
    }

    fn usage(&self) -> UsageByPurpose {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RngKey, SamplerSettings};

    fn job(seq: SeqId, engine: &ScriptedEngine, temperature: f32, seed: u64) -> GenerateJob {
        GenerateJob {
            seq,
            sampler: SamplerSettings::at(temperature),
            rng: RngKey::from_seed(seed),
            tokens_max: 100,
            grammar: None,
            grammar_prefix: 0,
            stop_tokens: vec![engine.vocabulary.end_of_turn()],
            first_token_not: vec![],
            distinct: None,
            purpose: Purpose::Agent,
        }
    }

    fn text_of(engine: &ScriptedEngine, generated: &Generated) -> String {
        let tokens: Vec<u32> = generated.tokens.iter().map(|t| t.token).collect();
        engine.vocabulary.decode(&tokens)
    }

    fn coin() -> ScriptedEngine {
        ScriptedEngine::from_policy(|_| vec![("heads".into(), 0.75), ("tails".into(), 0.25)])
    }

    #[test]
    fn a_script_is_told_in_order_with_its_entropies() {
        let line = |text: &str, entropy_nats| Line {
            text: text.into(),
            entropy_nats,
        };
        let mut engine = ScriptedEngine::from_script(vec![line("a", 0.5), line("b", 2.0)]);
        let seq = engine.new_sequence(PrefixCache::Use);
        for (text, entropy) in [("a", 0.5), ("b", 2.0), ("b", 2.0)] {
            let jobs = [job(seq, &engine, 0.0, 1)];
            let out = engine.generate(&jobs, &mut |_| {}).unwrap().remove(0);
            assert_eq!(text_of(&engine, &out), format!("{text}<|im_end|>"));
            assert_eq!(out.tokens[0].entropy_nats, entropy);
            assert_eq!(out.finish, Finish::Stop);
        }
    }

    #[test]
    fn counts_are_of_what_was_computed_decoded_and_reused() {
        let mut engine = coin();
        let seq = engine.new_sequence(PrefixCache::Use);
        engine.append(seq, &[7; 10], Purpose::Agent).unwrap();
        let early = engine.fork(seq, 10, Purpose::Agent);
        assert_eq!(
            engine.usage().agent.reused_tokens,
            0,
            "nothing computed yet"
        );
        let jobs = [job(seq, &engine, 0.0, 1)];
        engine.generate(&jobs, &mut |_| {}).unwrap();
        let late = engine.fork(seq, 12, Purpose::Judge);
        let usage = engine.usage();
        assert_eq!(usage.agent.computed_tokens, 10);
        assert_eq!(usage.agent.decoded_tokens, 6, "heads and the end of turn");
        assert_eq!(usage.judge.reused_tokens, 12);
        assert_eq!((usage.agent.forks, usage.judge.forks), (1, 1));
        assert_eq!(engine.tokens(late), &engine.tokens(seq)[..12]);
        engine.release(early);
    }

    #[test]
    fn what_was_computed_before_is_reused_in_full_blocks() {
        let mut engine = coin();
        let mut spent = |tokens: &[u32], prefix| {
            let before = engine.usage().agent;
            let seq = engine.new_sequence(prefix);
            engine.append(seq, tokens, Purpose::Agent).unwrap();
            engine.compute(&[seq], Purpose::Agent, &mut |_| {}).unwrap();
            engine.release(seq);
            let after = engine.usage().agent;
            let computed = after.computed_tokens - before.computed_tokens;
            (computed, after.reused_tokens - before.reused_tokens)
        };
        let text: Vec<u32> = (0..40).collect();
        assert_eq!(spent(&text, PrefixCache::Bypass), (40, 0));
        assert_eq!(spent(&text, PrefixCache::Use), (40, 0));
        assert_eq!(spent(&text, PrefixCache::Use), (8, 32));
        // The last token is always run: its row of logits is wanted.
        assert_eq!(spent(&text[..32], PrefixCache::Use), (16, 16));
        assert_eq!(spent(&text[16..], PrefixCache::Use), (24, 0));
        assert_eq!(spent(&text, PrefixCache::Bypass), (40, 0));
    }

    #[test]
    fn entropies_and_scores_follow_from_the_distribution() {
        let mut engine = coin();
        let seq = engine.new_sequence(PrefixCache::Use);
        let jobs = [job(seq, &engine, 0.0, 1)];
        let out = engine.generate(&jobs, &mut |_| {}).unwrap().remove(0);
        let expected = -(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        assert!((f64::from(out.tokens[0].entropy_nats) - expected).abs() < 1e-6);
        assert!((out.tokens[0].logprob - 0.75f32.ln()).abs() < 1e-6);
        assert!(out.tokens[1].forced && out.tokens[1].entropy_nats == 0.0);

        let fresh = engine.new_sequence(PrefixCache::Use);
        let tails = engine.vocabulary.encode("tails");
        let scores = engine.score(&[ScoreJob {
            seq: fresh,
            continuations: vec![tails, engine.vocabulary.encode("edge")],
            purpose: Purpose::Judge,
        }]);
        let scores = scores.unwrap().remove(0);
        assert!((scores[0].iter().sum::<f32>() - 0.25f32.ln()).abs() < 1e-6);
        assert_eq!(scores[1][0], f32::NEG_INFINITY);
        assert!(engine.tokens(fresh).is_empty(), "scoring leaves no trace");
    }

    #[test]
    fn siblings_can_be_made_to_differ_in_their_first_token() {
        let mut engine = coin();
        let seq = engine.new_sequence(PrefixCache::Use);
        let mut sibling = job(seq, &engine, 0.0, 1);
        sibling.first_token_not = vec![u32::from(b'h')];
        let out = engine.generate(&[sibling], &mut |_| {}).unwrap().remove(0);
        assert_eq!(text_of(&engine, &out), "tails<|im_end|>");
    }

    #[test]
    fn a_fork_within_a_turn_goes_on_with_what_was_said() {
        let mut engine = coin();
        let seq = engine.new_sequence(PrefixCache::Use);
        let opening = engine
            .vocabulary
            .encode_special("<|im_start|>assistant\nta");
        engine.append(seq, &opening, Purpose::Agent).unwrap();
        let jobs = [job(seq, &engine, 0.0, 1)];
        let out = engine.generate(&jobs, &mut |_| {}).unwrap().remove(0);
        assert_eq!(text_of(&engine, &out), "ils<|im_end|>");
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let mut engine = coin();
        let mut heads = 0;
        for seed in 0..400 {
            let seq = engine.new_sequence(PrefixCache::Use);
            let jobs = [job(seq, &engine, 1.0, seed)];
            let out = engine.generate(&jobs, &mut |_| {}).unwrap().remove(0);
            heads += u32::from(text_of(&engine, &out).starts_with("heads"));
        }
        // Three standard deviations of a binomial with n = 400, p = 0.75: 26.
        assert!((274..=326).contains(&heads), "{heads}");
    }

    #[test]
    fn a_full_context_ends_a_text_and_refuses_an_append() {
        let mut engine = coin().with_context_max(3);
        let seq = engine.new_sequence(PrefixCache::Use);
        let jobs = [job(seq, &engine, 0.0, 1)];
        let out = engine.generate(&jobs, &mut |_| {}).unwrap().remove(0);
        assert_eq!((out.finish, out.tokens.len()), (Finish::ContextFull, 3));
        let refused = engine.append(seq, &[1], Purpose::Agent);
        assert!(matches!(
            refused,
            Err(EngineError::ContextFull { asked: 4, limit: 3 })
        ));
    }
}
