//! Synthetic records for tests of the report. Nothing here was run by a
//! model: entropies, scores and tests are made up, from a fixed seed.
use egss::base::{
    ActionEntropy, BranchDecision, BranchId, Budget, Gate, GateSignal, RngKey, SamplerSettings,
    StepId, TokenEntropy, ToolEntropy, Usage, UsageByPurpose,
};
use egss::record::*;

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
            repo_prefix: String::new(),
            record_version: RECORD_VERSION,
            egss_version: "0.0.0-synthetic".into(),
            model: "synthetic-model".into(),
            device: "cpu".into(),
            strategy: "egss".into(),
            n: 4,
            k: 4,
            seed: 1,
            ctx_tokens: 8_192,
            sampler: SamplerSettings::at(0.8),
            budget: Budget::default(),
            gate: Some(Gate {
                signal: GateSignal::ArgsMax,
                threshold_nats: THRESHOLD_NATS,
                quantile: 0.8,
                provenance: "synthetic".into(),
            }),
            repo: "tests/synthetic/repo".into(),
            issue: issue.into(),
            test_cmd: None,
            tools: Vec::new(),
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
            JudgeScore { dimensions, score }
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
                vote_nats: None,
                n_free_tokens: tokens.len().saturating_sub(6),
                n_tokens: tokens.len(),
            },
            tokens,
            pieces,
            judge,
            merged: 1,
        }
    }

    /// Adds a step and returns its id.
    pub fn step(&mut self, step: Step) -> u32 {
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
                wall_ms: 1_800,
            };
        }
        let sign = if branches { ">=" } else { "<" };
        self.push(Event::StepFinished(StepFinished {
            step: StepId(id),
            branch: BranchId(step.branch),
            depth: step.depth,
            chosen,
            decision: BranchDecision {
                branch: branches,
                candidates: candidates.len(),
                signal_nats: Some(step.signal_nats),
                threshold_nats: Some(THRESHOLD_NATS),
                reason: format!(
                    "args_max {:.2} {sign} {THRESHOLD_NATS:.2} nats",
                    step.signal_nats
                ),
            },
            candidates,
            outcome: step.outcome,
            observation: step.observation.into(),
            observation_tokens: vec![1, 2, 3],
            tree: "1".repeat(40),
            usage,
        }));
        id
    }

    pub fn end_branch(&mut self, branch: u32, status: BranchStatus, patch: &str, score: f32) {
        self.push(Event::BranchEnded(BranchEnded {
            usage: UsageByPurpose::default(),
            branch: BranchId(branch),
            status,
            patch: patch.into(),
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
            },
            tests: tests_run.collect(),
            fault: None,
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
            usage,
            wall_ms: self.elapsed_ms,
        }));
    }
}

fn tool_entropy(tool: &str) -> ToolEntropy {
    let others = ["view", "search", "edit", "run", "submit"];
    let share = |name: &str| if name == tool { 0.87 } else { 0.025 };
    ToolEntropy {
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

const VIEW: &str = "<tool_call>\n{\"name\": \"view\", \"arguments\": {\"path\":\"stock/ledger.py\",\"start\":29,\"end\":35}}\n</tool_call>";
const SEARCH: &str =
    "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"text\":\"def report\"}}\n</tool_call>";
const RUN: &str = "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"command\":\"python -m pytest -q\"}}\n</tool_call>";
const SUBMIT: &str = "<tool_call>\n{\"name\": \"submit\", \"arguments\": {}}\n</tool_call>";
const EDIT: &str = "The day itself is left out.\n<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\":\"stock/ledger.py\",\"symbol\":\"balance\"}}\n</tool_call>\n```python\ndef balance(entries, day):\n    total = 0\n    for entry in entries:\n        if entry.day <= day:\n            total += entry.quantity\n    return total\n```";
const EDIT_WRONG: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\":\"stock/ledger.py\",\"symbol\":\"balance\"}}\n</tool_call>\n```python\ndef balance(entries, day):\n    return sum(e.quantity for e in entries if e.day < day + 2)\n```";
const SOURCE: &str = "    29  def balance(entries, day):\n    30      \"\"\"Quantity on hand at the end of `day`.\"\"\"\n    31      total = 0\n    32      for entry in entries:\n    33          if entry.day < day:\n    34              total += entry.quantity\n    35      return total";

/// Three trajectories: one abandoned, one that went wrong, one that won.
pub fn realistic() -> Synthetic {
    use StepOutcome::*;
    let mut r = Synthetic::new(
        "# Deliveries on the day itself are missing from the stock report\n\nI booked 12 crates on 4 March and printed the report of 4 March. It says 30; I expect 42.\n",
    );
    let step = |branch, depth, tool, text, signal_nats, outcome, observation, siblings| Step {
        branch,
        depth,
        tool,
        text,
        signal_nats,
        outcome,
        observation,
        siblings,
    };
    r.branch(0, None, "first trajectory");
    r.step(step(
        0,
        0,
        "search",
        SEARCH,
        0.41,
        Ok,
        "stock/report.py:12: def report(store, day):",
        &[],
    ));
    r.step(step(0, 1, "view", VIEW, 0.12, Ok, SOURCE, &[]));
    let fork = r.step(step(
        0,
        2,
        "edit",
        EDIT_WRONG,
        2.64,
        EditFailed,
        "The text to replace was not found. The nearest text is:\n        if entry.day < day:",
        &[EDIT, RUN],
    ));
    r.end_branch(0, BranchStatus::Abandoned, "", 0.48);
    r.branch(1, Some((0, fork)), "the edit of step 2 did not apply");
    let second = r.step(step(
        1,
        2,
        "edit",
        EDIT,
        2.13,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[EDIT_WRONG, EDIT_WRONG],
    ));
    r.step(step(
        1,
        3,
        "run",
        RUN,
        0.33,
        TestsPassed,
        "9 passed in 0.04s",
        &[],
    ));
    r.step(step(
        1,
        4,
        "submit",
        SUBMIT,
        0.02,
        Submitted,
        "Handed in.",
        &[],
    ));
    r.end_branch(1, BranchStatus::Submitted, PATCH, 0.81);
    r.branch(2, Some((1, second)), "the most uncertain step of branch 1");
    r.step(step(
        2,
        2,
        "edit",
        EDIT_WRONG,
        1.42,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[],
    ));
    r.step(step(
        2,
        3,
        "run",
        RUN,
        0.72,
        TestsFailed,
        "2 failed, 7 passed in 0.05s",
        &[],
    ));
    r.end_branch(2, BranchStatus::Abandoned, "", 0.52);
    r.branch(3, None, "second trajectory");
    r.step(step(3, 0, "view", VIEW, 3.31, Ok, SOURCE, &[VIEW, SEARCH]));
    r.step(step(
        3,
        1,
        "edit",
        EDIT_WRONG,
        1.11,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[],
    ));
    r.step(step(
        3,
        2,
        "submit",
        SUBMIT,
        0.09,
        Submitted,
        "Handed in.",
        &[],
    ));
    let other = PATCH.replace("<= day", "<= day + 1");
    r.end_branch(3, BranchStatus::Submitted, &other, 0.44);

    let [new, report, old] = [
        "test_current_issue.py::test_delivery_of_the_day_counts",
        "test_current_issue.py::test_report_of_the_day",
        "tests/test_ledger.py::test_empty_ledger_is_zero",
    ];
    let wrong = "test_current_issue.py::test_yesterday_is_42";
    r.push(Event::SuiteBuilt(SuiteBuilt {
        file: "test_current_issue.py".into(),
        text: "from stock.ledger import balance\n\n\ndef test_delivery_of_the_day_counts():\n    assert balance([Entry(4, 42)], 4) == 42\n".into(),
        repository_tests: vec!["tests/test_ledger.py".into()],
        sources: vec!["test_delivery_of_the_day_counts: written for the issue".into()],
        reached: vec![],
            usage: AUGMENTATION,
    }));
    use TestResult::{Failed, Passed};
    r.suite_run(
        None,
        &[
            (new, Failed),
            (report, Failed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.suite_run(
        Some(1),
        &[
            (new, Passed),
            (report, Passed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.suite_run(
        Some(3),
        &[
            (new, Passed),
            (report, Failed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.push(Event::SuiteClassified(SuiteClassified {
        classes: vec![
            (new.into(), TestClass::Discriminating),
            (report.into(), TestClass::Discriminating),
            (wrong.into(), TestClass::Unsatisfied),
            (old.into(), TestClass::Regression),
        ],
    }));
    let vote = |branch, total, gated| {
        let names = [
            "requirement_relevance",
            "code_accuracy",
            "change_precision",
            "dependency_awareness",
            "code_quality",
            "functionality_validation",
        ];
        Event::Voted(Voted {
            voter: "T = 0".into(),
            branch: BranchId(branch),
            dimensions: names
                .iter()
                .map(|name| ((*name).into(), total / 6.0))
                .collect(),
            total,
            gated,
            usage: UsageByPurpose::default(),
        })
    };
    r.push(vote(1, 14.7, false));
    r.push(vote(3, 7.2, true));
    let row = |branch, rate, score, total| Ranked {
        branch: BranchId(branch),
        pass_rate: Some(rate),
        score: Some(score),
        vote_total: Some(total),
        patch_lines: 2,
        dropped: String::new(),
    };
    r.push(Event::Selected(Selected {
        branch: Some(BranchId(1)),
        reason: "branch 1 passes 3 of 3 counted tests, branch 3 passes 2 of 3; its votes total 14.70 against 7.20".into(),
        ranking: vec![row(1, 1.0, 0.81, 14.7), row(3, 0.667, 0.44, 7.2)],
    }));
    r.end_run(PATCH);
    r
}

/// A run of exactly `n_steps` steps, each branch forked from an earlier one.
pub fn long(n_steps: u32) -> Synthetic {
    let mut r = Synthetic::new("A long run\n\nMany branches.");
    let mut branch = 0;
    let mut starts: Vec<(u32, u32)> = Vec::new();
    r.branch(0, None, "first trajectory");
    let mut left_on_branch = 22;
    for at in 0..n_steps {
        let signal = r.uniform().powi(3) * 3.6;
        let wrong = left_on_branch == 1;
        let siblings: &[&str] = if signal >= THRESHOLD_NATS {
            &[EDIT_WRONG, VIEW]
        } else {
            &[]
        };
        let id = r.step(Step {
            branch,
            depth: at,
            tool: if signal > 1.0 { "edit" } else { "view" },
            text: if signal > 1.0 { EDIT } else { VIEW },
            signal_nats: signal,
            outcome: if wrong {
                StepOutcome::TestsFailed
            } else {
                StepOutcome::Ok
            },
            observation: SOURCE,
            siblings,
        });
        starts.push((branch, id));
        left_on_branch -= 1;
        if left_on_branch == 0 && at + 1 < n_steps {
            r.end_branch(branch, BranchStatus::Abandoned, "", 0.4);
            let pick = (r.uniform() * starts.len() as f32) as usize;
            branch += 1;
            r.branch(branch, Some(starts[pick]), "back to an uncertain step");
            left_on_branch = 4 + (r.uniform() * 20.0) as u32;
        }
    }
    r.end_branch(branch, BranchStatus::Submitted, PATCH, 0.9);
    r.push(Event::Selected(Selected {
        branch: Some(BranchId(branch)),
        reason: "the only branch with a patch".into(),
        ranking: Vec::new(),
    }));
    r.end_run(PATCH);
    r
}
