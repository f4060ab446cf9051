//! Synthetic records for tests of the report. Nothing here was run by a
//! model: entropies, scores and tests are made up, from a fixed seed.
mod runs;

pub use runs::{beam, long, realistic};

use egss::base::{
    ActionEntropy, AgentProfile, BranchDecision, BranchId, Budget, ChoiceEntropy, Gate, GateSignal,
    RngKey, StepId, TokenEntropy, Usage, UsageByPurpose,
};
use egss::record::*;
use egss::search::strategy_named;

/// A record under construction.
pub struct Synthetic {
    lines: Vec<RecordLine>,
    elapsed_ms: u64,
    draws: u64,
    next_step: u32,
}

const DIMENSIONS: [&str; 5] = [
    "step_consistency",
    "context_awareness",
    "goal_prioritisation",
    "expected_tool_use",
    "diagnostic_precision",
];
const THRESHOLD_NATS: f32 = 1.9;

const NONE: Usage = Usage {
    decoded_tokens: 0,
    computed_tokens: 0,
    reused_tokens: 0,
    forks: 0,
    blocks_copied: 0,
    decode_steps: 0,
    rejected_rows: 0,
    wall_ms: 0,
};

/// What writing the suite spent.
const AUGMENTATION: UsageByPurpose = UsageByPurpose {
    agent: NONE,
    judge: NONE,
    augmentation: Usage {
        decoded_tokens: 412,
        computed_tokens: 690,
        reused_tokens: 1_486,
        forks: 2,
        blocks_copied: 2,
        decode_steps: 0,
        rejected_rows: 0,
        wall_ms: 31_000,
    },
    selection: NONE,
};

/// What a synthetic step is made of.
pub struct Step<'a> {
    pub branch: u32,
    pub depth: u32,
    pub tool: &'a str,
    pub text: &'a str,
    pub signal_nats: f32,
    pub outcome: StepOutcome,
    pub observation: &'a str,
    /// Texts of the siblings; the step branched if there are any.
    pub siblings: &'a [&'a str],
}

impl Synthetic {
    pub fn new(issue: &str) -> Self {
        let mut record = Self {
            lines: Vec::new(),
            elapsed_ms: 0,
            draws: 0,
            next_step: 0,
        };
        record.push(Event::RunStarted(RunStarted {
            checkout: Checkout::default(),
            python: None,
            record_version: RECORD_VERSION,
            egss_version: "0.0.0-synthetic".into(),
            model: "synthetic-model".into(),
            device: "cpu".into(),
            strategy: strategy_named("egss-judged", 4, 4, &AgentProfile::small()).unwrap(),
            seed: 1,
            ctx_tokens: 8_192,
            budget: Budget::default(),
            gate: Some(Gate {
                signal: GateSignal::ArgsMax,
                threshold_nats: THRESHOLD_NATS,
                quantile: Some(0.8),
                provenance: "synthetic".into(),
            }),
            repo: "tests/synthetic/repo".into(),
            issue: issue.into(),
            test_cmd: None,
            junit: None,
            profile: AgentProfile::small(),
            locations: Vec::new(),
            cuts: Vec::new(),
            tools: Vec::new(),
            environment: None,
            base_tree: "0".repeat(40),
            prompt_text: format!("<|im_start|>system\nYou fix bugs.<|im_end|>\n{issue}"),
            prompt_tokens: (0..1_486).collect(),
            started_at_s: 1_700_000_000,
        }));
        record
    }

    pub fn push(&mut self, event: Event) {
        self.lines.push(RecordLine {
            elapsed_ms: self.elapsed_ms,
            event,
        });
        self.elapsed_ms += 2_300;
    }

    /// Changes the first line.
    pub fn start(&mut self) -> &mut RunStarted {
        match &mut self.lines[0].event {
            Event::RunStarted(start) => start,
            _ => unreachable!("the first line starts the run"),
        }
    }

    pub fn lines(&self) -> Vec<RecordLine> {
        self.lines.clone()
    }

    fn uniform(&mut self) -> f32 {
        self.draws += 1;
        RngKey::from_seed(11).split(self.draws).uniform() as f32
    }

    pub fn branch(&mut self, branch: u32, from: Option<(u32, u32)>, reason: &str) {
        self.push(Event::BranchStarted(BranchStarted {
            branch: BranchId(branch),
            forked_from: from.map(|(branch, step)| ForkPoint {
                branch: BranchId(branch),
                step: StepId(step),
            }),
            reason: reason.into(),
        }));
    }

    fn candidate(&mut self, tool: &str, text: &str, peak_nats: f32, judged: bool) -> Candidate {
        let pieces = pieces(text);
        let peak_at = pieces.len() * 2 / 3;
        let tokens: Vec<TokenEntropy> = (0..pieces.len())
            .map(|at| {
                let skewed = self.uniform().powi(7) * peak_nats;
                let entropy_nats = if at == peak_at { peak_nats } else { skewed };
                TokenEntropy {
                    token: at as u32,
                    logprob: -entropy_nats * 0.6,
                    entropy_nats,
                    varentropy: 0.1,
                    top1_prob: 0.9,
                    margin: 0.8,
                    masked_entropy_nats: None,
                    forced: at < 6,
                }
            })
            .collect();
        let judge = judged.then(|| {
            let dimensions: Vec<(String, f32)> = DIMENSIONS
                .iter()
                .map(|name| ((*name).into(), 1.2 + 1.7 * self.uniform()))
                .collect();
            let score = dimensions.iter().map(|(_, value)| value).sum::<f32>() / 15.0;
            JudgeScore {
                dimensions,
                score,
                rationale: None,
            }
        });
        Candidate {
            text: text.into(),
            canonical: canonical(text),
            tool: Some(tool.into()),
            entropy: ActionEntropy {
                tool: Some(tool_entropy(tool)),
                args_mean_nats: Some(peak_nats * 0.18),
                args_max_nats: Some(peak_nats),
                args_max_at: Some(peak_at),
                n_free_tokens: tokens.len().saturating_sub(6),
                n_tokens: tokens.len(),
                ..ActionEntropy::default()
            },
            tokens,
            pieces,
            judge,
            merged: 1,
            forked_at: 0,
            temperature: 0.8,
            tried: None,
        }
    }

    /// Adds a step and returns its id.
    pub fn step(&mut self, step: Step) -> u32 {
        self.step_but(step, |_| {})
    }

    /// Adds a step with something about it changed, and returns its id.
    pub fn step_but(&mut self, step: Step, change: impl FnOnce(&mut StepFinished)) -> u32 {
        let branches = !step.siblings.is_empty();
        let mut candidates = vec![self.candidate(step.tool, step.text, step.signal_nats, branches)];
        for text in step.siblings {
            let sibling = self.candidate(step.tool, text, step.signal_nats * 0.8, branches);
            candidates.push(sibling);
        }
        let chosen = candidates.len() / 2;
        let id = self.next_step;
        self.next_step += 1;
        let agent = Usage {
            decoded_tokens: candidates.iter().map(|c| c.tokens.len() as u64).sum(),
            computed_tokens: 180,
            reused_tokens: 1_900 * candidates.len() as u64,
            forks: candidates.len() as u64,
            blocks_copied: candidates.len() as u64 - 1,
            decode_steps: 0,
            rejected_rows: 0,
            wall_ms: 6_100 + 900 * candidates.len() as u64,
        };
        let mut usage = UsageByPurpose {
            agent,
            ..UsageByPurpose::default()
        };
        if branches {
            usage.judge = Usage {
                decoded_tokens: 0,
                computed_tokens: 96 * candidates.len() as u64,
                reused_tokens: 2_100 * candidates.len() as u64,
                forks: 5 * candidates.len() as u64,
                blocks_copied: 5,
                decode_steps: 0,
                rejected_rows: 0,
                wall_ms: 1_800,
            };
        }
        let sign = if branches { ">=" } else { "<" };
        let mut finished = StepFinished {
            step: StepId(id),
            branch: BranchId(step.branch),
            depth: step.depth,
            chosen,
            decision: BranchDecision {
                branch: branches,
                candidates: candidates.len(),
                signal_nats: Some(step.signal_nats),
                threshold_nats: Some(THRESHOLD_NATS),
                gate: None,
                reason: format!(
                    "args_max {:.2} {sign} {THRESHOLD_NATS:.2} nats",
                    step.signal_nats
                ),
            },
            candidates,
            outcome: step.outcome,
            cuts: Vec::new(),
            observation: step.observation.into(),
            observation_tokens: vec![1, 2, 3],
            tree: "1".repeat(40),
            usage,
        };
        change(&mut finished);
        self.push(Event::StepFinished(finished));
        id
    }

    pub fn end_branch(&mut self, branch: u32, status: BranchStatus, patch: &str, score: f32) {
        self.push(Event::BranchEnded(BranchEnded {
            code: None,
            usage: UsageByPurpose::default(),
            branch: BranchId(branch),
            status,
            patch: patch.into(),
            ignored: Vec::new(),
            parts: Vec::new(),
            score: Some(score),
            entropy_mean_nats: Some(0.84),
        }));
    }

    pub fn suite_run(&mut self, branch: Option<u32>, tests: &[(&str, TestResult)]) {
        let count = |wanted| tests.iter().filter(|(_, r)| *r == wanted).count() as u32;
        let tests_run = tests.iter().map(|(id, result)| TestOutcome {
            id: (*id).into(),
            result: *result,
            message: match result {
                TestResult::Failed => "assert 41 == 42".into(),
                _ => String::new(),
            },
            ms: 3,
        });
        self.push(Event::SuiteRun(SuiteRun {
            branch: branch.map(BranchId),
            counts: SuiteCounts {
                passed: count(TestResult::Passed),
                failed: count(TestResult::Failed),
                error: count(TestResult::Error),
                total: tests.len() as u32,
                not_run: 0,
            },
            tests: tests_run.collect(),
            coverage: branch.map(|_| Coverage {
                lines: 2,
                covered: 2,
            }),
            ..SuiteRun::default()
        }));
    }

    pub fn end_run(&mut self, patch: &str) {
        let mut usage = UsageByPurpose::default();
        for line in &self.lines {
            if let Event::StepFinished(step) = &line.event {
                usage += step.usage;
            }
        }
        usage += AUGMENTATION;
        usage.selection = Usage {
            computed_tokens: 1_204,
            reused_tokens: 4_400,
            forks: 12,
            wall_ms: 9_400,
            ..Usage::default()
        };
        self.push(Event::RunEnded(RunEnded {
            patch: patch.into(),
            not_applying: None,
            usage,
            wall_ms: self.elapsed_ms,
        }));
    }
}

fn tool_entropy(tool: &str) -> ChoiceEntropy {
    let others = ["view", "search", "edit", "run", "submit"];
    let share = |name: &str| if name == tool { 0.87 } else { 0.025 };
    ChoiceEntropy {
        entropy_nats: 0.52,
        probs: others
            .iter()
            .map(|name| ((*name).into(), share(name)))
            .collect(),
        outside_mass: 0.03,
    }
}

/// The call's line of JSON, or the text where there is none.
fn canonical(text: &str) -> String {
    let call = text.lines().find(|line| line.starts_with('{'));
    call.unwrap_or(text).into()
}

/// Splits text roughly as a tokenizer would: words with the space before them.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut word = false;
    for c in text.chars() {
        let joins = word && c.is_alphanumeric();
        match pieces.last_mut() {
            Some(last) if joins || (last == " " && c.is_alphanumeric()) => last.push(c),
            _ => pieces.push(c.into()),
        }
        word = c.is_alphanumeric();
    }
    pieces
}

pub const PATCH: &str = "diff --git a/stock/ledger.py b/stock/ledger.py
--- a/stock/ledger.py
+++ b/stock/ledger.py
@@ -31,7 +31,7 @@ def balance(entries, day):
     total = 0
     for entry in entries:
-        if entry.day < day:
+        if entry.day <= day:
             total += entry.quantity
     return total
 
";
