//! What a branch does next: decode an action, measure it, roll it out where it
//! is uncertain, judge the candidates, choose.
use super::controller::{Controller, SearchError};
use super::judge::judge;
use crate::agent::{
    GrammarContext, RepoView, ToolSet, changes_nothing, grammar, locate_call, parse,
};
use crate::base::{
    ActionEntropy, BranchDecision, BranchId, Purpose, RngKey, SamplerSettings, SeqId, StepId,
    ToolEntropy,
};
use crate::decode::{BranchAsk, BranchPolicy, BranchRoom, ToolPaths, action_entropy, vote_entropy};
use crate::engine::{Finish, GenerateJob, Generated, ScoreJob};
use crate::record::{Candidate, token_pieces};

/// A step that is decided but not carried out.
pub struct Proposal {
    pub branch: BranchId,
    /// Distinct candidates, each with the sequence that ends with it.
    pub candidates: Vec<(Candidate, SeqId)>,
    pub chosen: usize,
    pub decision: BranchDecision,
    /// How the first candidate's decoding ended.
    pub finish: Finish,
}

/// A branch at the start of a step.
struct Start {
    branch: BranchId,
    seq: SeqId,
    /// Tokens before the action.
    len: usize,
    depth: u32,
    /// The step that this one replaces, and the actions tried there.
    redo: Option<StepId>,
    /// What may be called here.
    tools: ToolSet,
    /// What the workspace holds.
    view: RepoView,
    /// What of it can be named, and what of that lies in the scope.
    everything: GrammarContext,
    grammar: GrammarContext,
}

impl Controller<'_> {
    /// Proposes a step for each branch, decoding all of them in one batch.
    /// `None` for a branch that went back to a step and found nothing new there.
    pub(super) fn propose(
        &mut self,
        branches: &[BranchId],
    ) -> Result<Vec<Option<Proposal>>, SearchError> {
        let mut starts = Vec::new();
        for &branch in branches {
            starts.push(self.start(branch)?);
        }
        let mut proposals: Vec<Option<Proposal>> = Vec::new();
        let (fresh, redone): (Vec<Start>, Vec<Start>) =
            starts.into_iter().partition(|start| start.redo.is_none());
        proposals.extend(self.propose_fresh(&fresh)?.into_iter().map(Some));
        for start in &redone {
            proposals.push(self.propose_again(start)?);
        }
        let order = |proposal: &Option<Proposal>| proposal.as_ref().map(|p| p.branch);
        let mut by_branch: Vec<Option<Proposal>> = Vec::new();
        for &branch in branches {
            let at = proposals.iter().position(|p| order(p) == Some(branch));
            by_branch.push(at.and_then(|at| proposals[at].take()));
        }
        Ok(by_branch)
    }

    fn start(&mut self, branch: BranchId) -> Result<Start, SearchError> {
        let dir = self.workspace(branch)?;
        let view = RepoView::read(&dir)?;
        let everything = GrammarContext::of(&view, self.engine.vocabulary());
        let grammar = everything
            .clone()
            .without_symbols(&self.config.scope.closed);
        let share = self.strategy.share_prompt;
        let seq = self
            .sequences
            .of_branch(self.engine, &self.recorder.state, branch, share)?;
        Ok(Start {
            branch,
            seq,
            len: self.engine.tokens(seq).len(),
            depth: self.recorder.state.branch(branch).steps.len() as u32,
            redo: self.redo_of(branch),
            tools: self.tools_of(branch),
            view,
            everything,
            grammar,
        })
    }

    /// The step that the branch's next one replaces: it was forked there and
    /// has not moved yet.
    fn redo_of(&self, branch: BranchId) -> Option<StepId> {
        let state = &self.recorder.state;
        let moved = state.branch(branch).steps.len() > state.branch(branch).n_inherited;
        state
            .branch(branch)
            .forked_from
            .filter(|_| !moved)
            .map(|from| from.step)
    }

    /// Decodes an action a branch, then rolls out those that the policy picks.
    fn propose_fresh(&mut self, starts: &[Start]) -> Result<Vec<Proposal>, SearchError> {
        let jobs: Vec<GenerateJob> = starts
            .iter()
            .map(|start| self.job(start, start.seq, 0, self.strategy.sampler))
            .collect();
        let generated = self.generate(&jobs)?;
        let mut proposals = Vec::new();
        for (start, generated) in starts.iter().zip(generated) {
            let tool = self.tool_entropy(start, &generated)?;
            let candidate = self.candidate(start, &generated, tool);
            let policy = self.strategy.policy;
            let mut decision = self.decide(policy, start, &candidate.entropy);
            if !decision.branch && self.strategy.backtrack && self.is_copy(start, &candidate) {
                let asked = self.decide(BranchPolicy::Always, start, &candidate.entropy);
                decision = BranchDecision {
                    reason: format!("the edit gives the code back as it is; {}", asked.reason),
                    ..asked
                };
            }
            let mut candidates = vec![(candidate, start.seq)];
            if decision.branch {
                self.roll_out(start, decision.candidates - 1, 1, &mut candidates, &[])?;
            }
            let chosen = self.judge_and_choose(start, &mut candidates)?;
            proposals.push(Proposal {
                branch: start.branch,
                candidates,
                chosen,
                decision,
                finish: generated.finish,
            });
        }
        Ok(proposals)
    }

    /// Another action at a point that was decided before: the best of what was
    /// decoded there and not taken, else newly rolled out.
    fn propose_again(&mut self, start: &Start) -> Result<Option<Proposal>, SearchError> {
        let step = start.redo.expect("a step to do again");
        let state = &self.recorder.state;
        let mut spares = state.untried_at(step).into_iter();
        let spare = spares
            .find(|(_, _, candidate)| !self.is_copy(start, candidate))
            .map(|(step, index, candidate)| (step, index, candidate.clone()));
        if let Some((from, index, mut candidate)) = spare {
            let seq = self.sequence_of(start, from, index, &candidate)?;
            candidate.merged = 1;
            return Ok(Some(Proposal {
                branch: start.branch,
                candidates: vec![(candidate, seq)],
                chosen: 0,
                decision: decided(
                    1,
                    format!("back at step {step}: its best candidate not yet taken"),
                ),
                finish: Finish::GrammarEnd,
            }));
        }
        let tried: Vec<String> = state
            .tried_at(step)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let wanted = (self.strategy.k as usize).max(2);
        let first_index = state.n_decoded_at(step);
        let mut candidates = Vec::new();
        self.roll_out(start, wanted, first_index, &mut candidates, &tried)?;
        if candidates.is_empty() {
            return Ok(None);
        }
        let chosen = self.judge_and_choose(start, &mut candidates)?;
        Ok(Some(Proposal {
            branch: start.branch,
            candidates,
            chosen,
            decision: decided(
                wanted,
                format!("back at step {step}: rolled out from its start"),
            ),
            finish: Finish::GrammarEnd,
        }))
    }

    /// A sequence that ends with a candidate decoded earlier.
    fn sequence_of(
        &mut self,
        start: &Start,
        step: StepId,
        index: usize,
        candidate: &Candidate,
    ) -> Result<SeqId, SearchError> {
        if let Some(spare) = self.sequences.take_spare(step, index) {
            return Ok(spare);
        }
        let seq = self.engine.fork(start.seq, start.len, Purpose::Agent);
        let tokens: Vec<u32> = candidate.tokens.iter().map(|token| token.token).collect();
        self.engine.append(seq, &tokens, Purpose::Agent)?;
        Ok(seq)
    }

    /// Rolls out `n` siblings from the step's start and adds those that are new.
    fn roll_out(
        &mut self,
        start: &Start,
        n: usize,
        first_index: usize,
        candidates: &mut Vec<(Candidate, SeqId)>,
        tried: &[String],
    ) -> Result<(), SearchError> {
        // The last sibling has to edit what no failed edit of this run went for,
        // the scope left aside: what a small model is sure of and wrong about it
        // samples again and again, and a trace does not see everything.
        let known = candidates.iter().map(|(c, _)| c.canonical.as_str());
        let failed = self.recorder.state.failed_edits();
        let targets: Vec<(String, String)> = known.chain(failed).filter_map(edit_target).collect();
        let context = start.everything.clone().without_symbols(&targets);
        let only_edits = start.tools.clone().only(&["edit"]);
        let elsewhere = (context.has_symbols() && !only_edits.is_empty())
            .then(|| grammar::lark(&only_edits, self.config.thought, &context));
        let jobs: Vec<GenerateJob> = (0..n)
            .map(|i| {
                let seq = self.engine.fork(start.seq, start.len, Purpose::Agent);
                let mut job = self.job(start, seq, first_index + i, self.strategy.sibling_sampler);
                if let Some(elsewhere) = elsewhere.as_ref().filter(|_| i + 1 == n && n > 1) {
                    job.grammar = Some(elsewhere.clone());
                }
                job
            })
            .collect();
        let generated = self.generate(&jobs)?;
        // The vote is over what was sampled freely from one distribution.
        let known = candidates.iter().map(|(c, _)| c.canonical.clone());
        let n_free = n - usize::from(elsewhere.is_some() && n > 1);
        let free = generated[..n_free].iter();
        let sampled = free.map(|generated| self.candidate(start, generated, None).canonical);
        let all: Vec<String> = known.chain(sampled).collect();
        let (jobs, generated) = self.fork_copies(start, jobs, generated)?;
        for (job, generated) in jobs.iter().zip(&generated) {
            let candidate = self.candidate(start, generated, None);
            let twin = candidates
                .iter_mut()
                .find(|(other, _)| other.canonical == candidate.canonical);
            if let Some((twin, _)) = twin {
                twin.merged += 1;
                self.engine.release(job.seq);
            } else if tried.contains(&candidate.canonical) {
                self.engine.release(job.seq);
            } else {
                candidates.push((candidate, job.seq));
            }
        }
        let vote = vote_entropy(&all);
        if let Some((first, _)) = candidates.first_mut() {
            first.entropy.vote_nats = vote;
        }
        Ok(())
    }

    /// Siblings that only give the code back as it is are forked in its midst,
    /// at the token of which the model was least sure, and go on from there with
    /// another one. Equal copies fork at different places.
    fn fork_copies(
        &mut self,
        start: &Start,
        mut jobs: Vec<GenerateJob>,
        mut generated: Vec<Generated>,
    ) -> Result<(Vec<GenerateJob>, Vec<Generated>), SearchError> {
        let mut forks: Vec<(usize, usize, GenerateJob)> = Vec::new();
        for (index, (job, copy)) in jobs.iter().zip(&generated).enumerate() {
            let candidate = self.candidate(start, copy, None);
            if !self.is_copy(start, &candidate) {
                continue;
            }
            let n_before = forks.len();
            let Some(at) = self.least_sure(copy, n_before) else {
                continue;
            };
            let seq = self.engine.fork(job.seq, start.len + at, Purpose::Agent);
            let fork = GenerateJob {
                seq,
                rng: job.rng.split(u64::MAX),
                grammar_prefix: at,
                first_token_not: vec![copy.tokens[at].token],
                tokens_max: job.tokens_max.saturating_sub(at).max(1),
                ..job.clone()
            };
            forks.push((index, at, fork));
        }
        if forks.is_empty() {
            return Ok((jobs, generated));
        }
        let tails: Vec<GenerateJob> = forks.iter().map(|(_, _, job)| job.clone()).collect();
        let tails = self.generate(&tails)?;
        for ((index, at, job), tail) in forks.into_iter().zip(tails) {
            self.engine.release(jobs[index].seq);
            jobs[index].seq = job.seq;
            let whole = &mut generated[index];
            whole.tokens.truncate(at);
            whole.tokens.extend(tail.tokens);
            whole.finish = tail.finish;
        }
        Ok((jobs, generated))
    }

    /// The position in a copy's code at which the model was least sure of what
    /// it took; the `nth` of them, counted round.
    fn least_sure(&self, copy: &Generated, nth: usize) -> Option<usize> {
        let ids: Vec<u32> = copy.tokens.iter().map(|token| token.token).collect();
        let code = locate_call(self.engine.vocabulary(), &ids)?.code;
        let mut open: Vec<usize> = code.filter(|&at| !copy.tokens[at].forced).collect();
        let entropy = |at: usize| copy.tokens[at].entropy_nats;
        open.sort_by(|&a, &b| entropy(b).total_cmp(&entropy(a)).then(a.cmp(&b)));
        (!open.is_empty()).then(|| open[nth % open.len()])
    }

    /// True for an edit that gives back what the file holds, on a branch that
    /// has yet to change something.
    fn is_copy(&self, start: &Start, candidate: &Candidate) -> bool {
        candidate.tool.is_some()
            && !self.recorder.state.has_work(start.branch)
            && parse(&start.tools, &candidate.text)
                .is_ok_and(|action| changes_nothing(&start.view, &action))
    }

    fn judge_and_choose(
        &mut self,
        start: &Start,
        candidates: &mut [(Candidate, SeqId)],
    ) -> Result<usize, SearchError> {
        let context_left = self.engine.context_max() - start.len;
        let lens = candidates.iter().map(|(c, _)| c.tokens.len());
        let longest = lens.max().unwrap_or(0);
        if candidates.len() > 1 && longest + JUDGE_TOKENS_MAX <= context_left {
            let seqs: Vec<SeqId> = candidates.iter().map(|(_, seq)| *seq).collect();
            let scores = judge(self.engine, self.dialect, &seqs)?;
            for ((candidate, _), score) in candidates.iter_mut().zip(scores) {
                candidate.judge = Some(score);
            }
        }
        let mut best = 0;
        // What cannot be read is never taken before what can, nor what changes
        // nothing before what does.
        let score = |at: usize| {
            let candidate = &candidates[at].0;
            let judged = candidate.judge.as_ref().map_or(0.0, |judge| judge.score);
            if candidate.tool.is_none() {
                -2.0
            } else if self.is_copy(start, candidate) {
                -1.0
            } else {
                judged
            }
        };
        for index in 1..candidates.len() {
            if score(index) > score(best) {
                best = index;
            }
        }
        Ok(best)
    }

    fn job(
        &self,
        start: &Start,
        seq: SeqId,
        candidate: usize,
        sampler: SamplerSettings,
    ) -> GenerateJob {
        GenerateJob {
            seq,
            sampler,
            rng: self.key(start).split(candidate as u64),
            tokens_max: self.recorder.state.start.budget.action_tokens_max,
            grammar: Some(grammar::lark(
                &start.tools,
                self.config.thought,
                &start.grammar,
            )),
            grammar_prefix: 0,
            stop_tokens: self.stop_tokens.clone(),
            first_token_not: Vec::new(),
            purpose: Purpose::Agent,
        }
    }

    /// The random stream of a step: by what stands before it, so that a resumed
    /// run draws the same numbers.
    fn key(&self, start: &Start) -> RngKey {
        RngKey::from_seed(self.recorder.state.start.seed)
            .split(u64::from(self.point_branch(start).0))
            .split(u64::from(start.depth))
    }

    /// The branch on which the point was first reached.
    fn point_branch(&self, start: &Start) -> BranchId {
        start
            .redo
            .map_or(start.branch, |step| self.recorder.state.step(step).branch)
    }

    fn decide(
        &self,
        policy: BranchPolicy,
        start: &Start,
        entropy: &ActionEntropy,
    ) -> BranchDecision {
        let state = &self.recorder.state;
        let budget = &state.start.budget;
        policy.decide(&BranchAsk {
            gate: state.start.gate.as_ref(),
            entropy,
            candidates: self.strategy.k as usize,
            step: start.depth,
            key: self.key(start).split(u64::MAX),
            room: BranchRoom {
                branches_left: (budget.branches_max as usize).saturating_sub(state.branches.len()),
                tokens_left: budget.tokens_max.saturating_sub(self.spent_tokens()),
                tokens_per_candidate: (entropy.n_tokens + JUDGE_TOKENS_MAX) as u64,
            },
        })
    }

    /// Exact tool entropy of a decoded action: each allowed name's probability
    /// where the name starts.
    fn tool_entropy(
        &mut self,
        start: &Start,
        generated: &Generated,
    ) -> Result<Option<ToolEntropy>, SearchError> {
        let tokens: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
        let Some(call) = locate_call(self.engine.vocabulary(), &tokens) else {
            return Ok(None);
        };
        let names = start.tools.tool_names_with_delimiter();
        let names: Vec<(String, Vec<u32>)> = names
            .into_iter()
            .map(|(name, text)| (name, self.engine.vocabulary().encode(&text)))
            .collect();
        if names.len() < 2 {
            return Ok(None);
        }
        let Ok(paths) = ToolPaths::new(names) else {
            return Ok(None);
        };
        let seq = self
            .engine
            .fork(start.seq, start.len + call.name_at, Purpose::Agent);
        let job = ScoreJob {
            seq,
            continuations: paths.continuations().to_vec(),
            purpose: Purpose::Agent,
        };
        let scores = self.engine.score(&[job]);
        self.engine.release(seq);
        let scores = scores?.pop().expect("one result a job");
        Ok(Some(
            paths
                .tool_entropy(&scores)
                .map_err(|error| SearchError::Signal(error.to_string()))?,
        ))
    }

    fn candidate(
        &self,
        start: &Start,
        generated: &Generated,
        tool: Option<ToolEntropy>,
    ) -> Candidate {
        let vocabulary = self.engine.vocabulary();
        let ids: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
        let text = vocabulary.decode(&ids);
        let parsed = parse(&start.tools, &text);
        let arguments = locate_call(vocabulary, &ids).map_or(0..ids.len(), |call| call.arguments);
        Candidate {
            tool: parsed.as_ref().ok().map(|action| action.tool().to_owned()),
            canonical: match &parsed {
                Ok(action) => action.canonical(),
                Err(_) => format!("unreadable: {}", text.trim()),
            },
            entropy: action_entropy(&generated.tokens, tool, arguments),
            pieces: token_pieces(&ids, |tokens| vocabulary.decode(tokens)),
            tokens: generated.tokens.clone(),
            judge: None,
            merged: 1,
            text,
        }
    }

    fn generate(&mut self, jobs: &[GenerateJob]) -> Result<Vec<Generated>, SearchError> {
        let watcher = self.watcher;
        let generated = self
            .engine
            .generate(jobs, &mut |progress| watcher.progress(&progress))?;
        let is_cut = |generated: &Generated| generated.finish == Finish::KvPoolFull;
        if !self.made_room && generated.iter().any(is_cut) {
            return Err(SearchError::Crowded);
        }
        Ok(generated)
    }
}

/// File and symbol of an edit in canonical form.
fn edit_target(canonical: &str) -> Option<(String, String)> {
    let call: serde_json::Value = serde_json::from_str(canonical.lines().next()?).ok()?;
    let argument = |name: &str| Some(call["arguments"][name].as_str()?.to_owned());
    Some((argument("path")?, argument("symbol")?))
}

/// Tokens that judging a candidate takes at most: the question and one answer.
const JUDGE_TOKENS_MAX: usize = 300;

fn decided(candidates: usize, reason: String) -> BranchDecision {
    BranchDecision {
        branch: candidates > 1,
        candidates,
        signal_nats: None,
        threshold_nats: None,
        reason,
    }
}
