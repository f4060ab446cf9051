//! A run put together by hand, to ask what comes next.
use crate::agent::{Action, AgentConfig};
use crate::base::{
    ActionEntropy, AgentProfile, BranchDecision, BranchId, Budget, ChoiceEntropy, Gate, GateSignal,
    SeqId, StepId, Strategy, TokenEntropy, UsageByPurpose,
};
use crate::engine::Finish;
use crate::record::*;
use crate::search::{
    Command, Draft, Facts, Proposal, Round, Rules, RunState, next, strategy_named,
};

/// Tokens of the prompt, of each action and of each observation.
const TOKENS: usize = 10;

#[derive(Clone)]
pub struct World {
    pub state: RunState,
    pub round: Round,
    pub facts: Facts,
    config: AgentConfig,
}

/// A run of a strategy with nothing in it, of four trajectories and four candidates.
pub fn world(strategy: &str) -> World {
    let profile = AgentProfile::small();
    let strategy = strategy_named(strategy, 4, 4, &profile).expect("a known name");
    let state = RunState::new(RunStarted {
        record_version: RECORD_VERSION,
        egss_version: String::new(),
        model: String::new(),
        device: String::new(),
        strategy,
        seed: 0,
        ctx_tokens: 0,
        budget: Budget::default(),
        gate: None,
        repo: String::new(),
        python: None,
        checkout: Checkout::default(),
        issue: String::new(),
        test_cmd: None,
        junit: None,
        tools: Vec::new(),
        profile: profile.clone(),
        locations: Vec::new(),
        cuts: Vec::new(),
        environment: None,
        base_tree: "base".into(),
        prompt_text: String::new(),
        prompt_tokens: vec![0; TOKENS],
        started_at_s: 0,
    });
    World {
        state,
        round: Round::default(),
        facts: Facts {
            context_max: 4_000,
            spent_tokens: 0,
            is_over: false,
        },
        config: AgentConfig::agent(profile),
    }
}

/// An action that was decoded; `name` is its canonical form.
pub fn candidate(name: &str) -> Candidate {
    let token = TokenEntropy {
        token: 0,
        logprob: 0.0,
        entropy_nats: 0.0,
        varentropy: 0.0,
        top1_prob: 1.0,
        margin: 1.0,
        masked_entropy_nats: None,
        forced: false,
    };
    Candidate {
        text: name.into(),
        tokens: vec![token; TOKENS],
        pieces: Vec::new(),
        tool: Some("edit".into()),
        canonical: name.into(),
        entropy: ActionEntropy {
            n_tokens: TOKENS,
            ..ActionEntropy::default()
        },
        judge: None,
        merged: 1,
        forked_at: 0,
        temperature: 0.0,
        tried: None,
    }
}

pub fn draft(name: &str) -> Draft {
    Draft {
        candidate: candidate(name),
        action: Ok(Action::Submit),
        seq: SeqId(0),
        is_copy: false,
        call: None,
        finish: Finish::GrammarEnd,
        grammar: None,
    }
}

impl Draft {
    /// With a tool entropy.
    pub fn unsure(mut self, nats: f32) -> Self {
        self.candidate.entropy.tool = Some(ChoiceEntropy {
            entropy_nats: nats,
            probs: Vec::new(),
            outside_mass: 0.0,
        });
        self
    }

    /// That calls another tool; an empty name is an answer that no call could be read in.
    pub fn calling(mut self, tool: &str) -> Self {
        self.candidate.tool = (!tool.is_empty()).then(|| tool.to_owned());
        self
    }

    pub fn copy(mut self) -> Self {
        self.is_copy = true;
        self
    }

    /// That was decoded so often.
    pub fn merged(mut self, n: u32) -> Self {
        self.candidate.merged = n;
        self
    }

    pub fn judged(mut self, score: f32) -> Self {
        self.candidate.judge = Some(judge(score));
        self
    }

    /// That was carried out in a copy.
    pub fn tried(mut self, outcome: StepOutcome) -> Self {
        self.candidate.tried = Some(Tried {
            outcome,
            observation: String::new(),
            cuts: Vec::new(),
            tree: "tried".into(),
        });
        self
    }
}

pub fn judge(score: f32) -> JudgeScore {
    JudgeScore {
        dimensions: Vec::new(),
        score,
        rationale: None,
    }
}

pub fn gate(signal: GateSignal, threshold_nats: f32) -> Gate {
    Gate {
        signal,
        threshold_nats,
        quantile: None,
        provenance: "a test".into(),
    }
}

pub fn no_branch() -> BranchDecision {
    decision(1)
}

/// Whether to have so many candidates.
pub fn decision(candidates: usize) -> BranchDecision {
    BranchDecision {
        branch: candidates > 1,
        candidates,
        signal_nats: None,
        threshold_nats: None,
        gate: None,
        reason: "a test".into(),
    }
}

impl World {
    pub fn with(mut self, change: impl FnOnce(&mut Strategy)) -> Self {
        change(&mut self.state.start.strategy);
        self
    }

    pub fn budget(mut self, change: impl FnOnce(&mut Budget)) -> Self {
        change(&mut self.state.start.budget);
        self
    }

    pub fn gated(mut self, gate: Gate) -> Self {
        self.state.start.gate = Some(gate);
        self
    }

    pub fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    pub fn folding(mut self) -> Self {
        self.config.profile.limits.unfolded_min = 1;
        self
    }

    /// A suite with a test that fails on the base: passing the check means something.
    pub fn decisive(mut self) -> Self {
        let suite = SuiteBuilt {
            file: "suite.py".into(),
            goals: vec!["t.py::test_it".into()],
            ..SuiteBuilt::default()
        };
        let run = SuiteRun {
            branch: None,
            counts: SuiteCounts::default(),
            tests: vec![TestOutcome {
                id: "t.py::test_it".into(),
                result: TestResult::Failed,
                message: String::new(),
                ms: 0,
            }],
            not_run: Vec::new(),
            fault: None,
            coverage: None,
        };
        self.state.apply(&Event::SuiteBuilt(suite));
        self.state.apply(&Event::SuiteRun(run));
        self
    }

    pub fn open(mut self) -> Self {
        self.start(None);
        self
    }

    pub fn fork(mut self, branch: u32, step: u32) -> Self {
        self.start(Some(ForkPoint {
            branch: BranchId(branch),
            step: StepId(step),
        }));
        self
    }

    fn start(&mut self, forked_from: Option<ForkPoint>) {
        self.state.apply(&Event::BranchStarted(BranchStarted {
            branch: BranchId(self.state.branches.len() as u32),
            forked_from,
            reason: String::new(),
        }));
    }

    /// A step that left the tree `tree`; the first of `candidates` was carried out.
    pub fn took(
        mut self,
        branch: u32,
        candidates: Vec<Candidate>,
        outcome: StepOutcome,
        tree: &str,
    ) -> Self {
        let own = self.state.branch(BranchId(branch));
        self.state.apply(&Event::StepFinished(StepFinished {
            step: StepId(self.state.steps.len() as u32),
            branch: BranchId(branch),
            depth: own.steps.len() as u32,
            candidates,
            chosen: 0,
            decision: no_branch(),
            outcome,
            observation: "seen\nand more\n".repeat(20),
            cuts: Vec::new(),
            observation_tokens: vec![0; TOKENS],
            tree: tree.into(),
            usage: UsageByPurpose::default(),
        }));
        self
    }

    /// A step that only looked.
    pub fn looked(self, branch: u32, name: &str) -> Self {
        let tree = self.state.tree(BranchId(branch)).to_owned();
        let seen = Candidate {
            tool: Some("view".into()),
            ..candidate(name)
        };
        self.took(branch, vec![seen], StepOutcome::Ok, &tree)
    }

    pub fn ended(mut self, branch: u32, status: BranchStatus, patch: &str) -> Self {
        self.state.apply(&Event::BranchEnded(BranchEnded {
            branch: BranchId(branch),
            status,
            patch: patch.into(),
            ignored: Vec::new(),
            parts: Vec::new(),
            score: None,
            entropy_mean_nats: None,
            code: None,
            usage: UsageByPurpose::default(),
        }));
        self
    }

    /// A round of these branches, none of which has taken its step.
    pub fn round(mut self, branches: &[u32]) -> Self {
        let branches: Vec<BranchId> = branches.iter().map(|&branch| BranchId(branch)).collect();
        self.round.begin(&self.state, &branches);
        self
    }

    /// A round that began with step `first`, of which every branch has taken its step.
    pub fn closing(mut self, first: u32) -> Self {
        self.round.first = Some(StepId(first));
        self
    }

    pub fn rounds(mut self, change: impl FnOnce(&mut Round)) -> Self {
        change(&mut self.round);
        self
    }

    /// A step that is being decided.
    pub fn proposes(self, branch: u32, drafts: Vec<Draft>) -> Self {
        self.proposing(branch, drafts, |_| {})
    }

    pub fn proposing(
        mut self,
        branch: u32,
        drafts: Vec<Draft>,
        change: impl FnOnce(&mut Proposal),
    ) -> Self {
        let branch = BranchId(branch);
        let redo = self.state.redo_of(branch);
        let mut proposal = Proposal::new(branch, redo, false, TOKENS);
        proposal.drafts = drafts;
        change(&mut proposal);
        self.round.proposals.push(proposal);
        self
    }

    /// The next command.
    pub fn next(&self) -> Command {
        let rules = Rules {
            strategy: &self.state.start.strategy,
            config: &self.config,
        };
        next(&self.state, &self.round, &rules, &self.facts)
    }
}
