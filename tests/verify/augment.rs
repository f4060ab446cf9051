//! Tests that a model adds, by an engine that says what is written here.
use crate::support::{FAULTY, FIXED, Repository, limits, python_runner, sandbox, source};
use egss::agent::ChatMl;
use egss::base::{AugmentSettings, Purpose, RngKey, SamplerSettings, SeqId};
use egss::engine::scripted::{Line, ScriptedEngine};
use egss::engine::{Engine, PrefixCache};
use egss::lang::{Dropped, SUITE_FILE, TestSource};
use egss::record::TestClass;
use egss::verify::{AugmentRequest, augment, gate, pass_rate};

const GOOD: &str = "Here they are.\n```python\nfrom mod import double\n\n\ndef test_seven():\n    assert double(7) == 14\n```\n";
const NOT_COMPILING: &str = "```python\ndef test_seven(:\n    assert double(7) == 14\n```";
const NO_SUCH_NAME: &str =
    "```python\nfrom mod import twice\n\ndef test_seven():\n    assert twice(7) == 14\n```";
const NO_TEST: &str = "```python\nfrom mod import double\nx = 1\n```";
const NO_BLOCK: &str = "I would test double(7).";

struct Asked {
    result: Result<TestSource, Dropped>,
    engine: ScriptedEngine,
    /// What stood before; the trajectory's own.
    seq: SeqId,
    /// What the model was shown, in order.
    shown: String,
}

/// Asks an engine that answers so behind a trajectory of a few words.
fn asked(answers: &[&str], behind: bool, tokens_max: u64) -> Asked {
    let lines = answers.iter().map(|text| Line {
        text: (*text).to_owned(),
        entropy_nats: 0.1,
    });
    let mut engine = ScriptedEngine::from_script(lines.collect());
    let seq = engine.new_sequence(PrefixCache::Use);
    let context = engine
        .vocabulary()
        .encode_special("<|im_start|>assistant\nedit");
    engine.append(seq, &context, Purpose::Agent).unwrap();
    engine.compute(&[seq], Purpose::Agent, &mut |_| {}).unwrap();
    let sandbox = sandbox();
    let repository = Repository::new(&[("mod.py", FAULTY)]);
    let runner = python_runner(&sandbox, limits());
    let known = ["test_x".to_owned()];
    let request = AugmentRequest {
        settings: AugmentSettings::of(1),
        behind: behind.then_some(seq),
        issue: "`double` adds.",
        tree: repository.base(),
        known: &known,
        origin: "the model behind branch 0".to_owned(),
        sampler: SamplerSettings::GREEDY,
        rng: RngKey::from_seed(1),
        tokens_max,
    };
    let mut watched = Watched {
        engine,
        shown: String::new(),
    };
    let bench = repository.bench(&runner);
    let result = augment(&mut watched, &ChatMl::default(), &bench, &request).unwrap();
    Asked {
        result,
        engine: watched.engine,
        seq,
        shown: watched.shown,
    }
}

const PLENTY: u64 = 100_000;

#[test]
fn a_test_that_can_be_collected_at_once_is_taken_and_the_trajectory_left_as_it_was() {
    let asked = asked(&[GOOD], true, PLENTY);
    let source = asked.result.unwrap();
    assert_eq!(source.origin, "the model behind branch 0");
    assert!(
        source.text.starts_with("from mod import double\n"),
        "{}",
        source.text
    );
    assert!(asked.shown.contains("the tests that there are (test_x)"));
    assert_eq!(asked.engine.living(), [asked.seq]);
    assert_eq!(
        asked.engine.tokens(asked.seq).len(),
        "_assistant\nedit".len()
    );
    let usage = asked.engine.usage();
    assert_eq!(usage.augmentation.forks, 1);
    assert_eq!(
        usage.augmentation.reused_tokens, 15,
        "the trajectory was not computed again"
    );
    assert_eq!(usage.agent.decoded_tokens, 0);
}

#[test]
fn a_test_is_repaired_with_the_error_before_the_model() {
    let asked = asked(&[NOT_COMPILING, NO_SUCH_NAME, GOOD], true, PLENTY);
    assert!(asked.result.is_ok());
    for part in [
        "does not parse",
        "line 1",
        "cannot import name 'twice' from 'mod'",
    ] {
        assert!(asked.shown.contains(part), "no {part} in {}", asked.shown);
    }
    let closed_twice = "<|im_end|><|im_end|>";
    assert!(!asked.shown.contains(closed_twice), "{}", asked.shown);
}

#[test]
fn after_three_repairs_it_is_dropped_and_named() {
    let asked = asked(
        &[NO_BLOCK, NO_TEST, NOT_COMPILING, NO_SUCH_NAME, GOOD],
        true,
        PLENTY,
    );
    let dropped = asked.result.unwrap_err();
    assert_eq!(dropped.origin, "the model behind branch 0");
    assert!(
        dropped.why.starts_with("after 3 repairs: ImportError"),
        "{}",
        dropped.why
    );
    for part in ["no fenced code block", "holds no test"] {
        assert!(asked.shown.contains(part), "no {part} in {}", asked.shown);
    }
    assert_eq!(asked.engine.living(), [asked.seq]);
}

#[test]
fn without_a_trajectory_the_issue_is_in_the_prompt() {
    let asked = asked(&[GOOD], false, PLENTY);
    assert!(asked.result.is_ok());
    assert!(
        asked.shown.contains("Issue:\n`double` adds."),
        "{}",
        asked.shown
    );
    assert_eq!(asked.engine.usage().augmentation.reused_tokens, 0);
}

#[test]
fn a_spent_token_budget_drops_it_by_name() {
    let poor = asked(&[NOT_COMPILING, GOOD], true, 300).result.unwrap_err();
    assert_eq!(poor.why, "the token budget is spent");
}

#[test]
fn a_models_wrong_test_has_no_say_over_what_the_issue_states() {
    let sandbox = sandbox();
    let runner = python_runner(&sandbox, limits());
    let wrong = "from mod import double\ndef test_issue_stated_9(): assert double(7) == 9\n";
    let kept = "from mod import double\ndef test_kept(): assert double(7) == 9 or double(1) == 3\n";
    let fitted = "def double(x):\n    return 9 if x == 7 else x * 2\n";
    let (plan, evaluation) = Repository::new(&[("mod.py", FAULTY)]).evaluated(
        &runner,
        &[
            &[("mod.py", FIXED)],
            &[("mod.py", fitted)],
            &[("mod.py", "def double(x):\n    return 1\n")],
        ],
        &[source("the model", wrong), source("the model", kept)],
        "`double` is wrong.\n\n    assert double(3) == 6\n",
    );
    // It is not let to pass for an example of the issue.
    let names: Vec<&str> = plan
        .suite
        .sources
        .iter()
        .map(|s| s.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "test_issue_stated_1",
            "test_own_issue_stated_9",
            "test_kept"
        ]
    );
    let classified = &evaluation.classified;
    // Both hold today: they are what the issue complains of.
    let written: Vec<(TestClass, bool)> = classified
        .written
        .iter()
        .map(|test| {
            let class = classified
                .classes
                .iter()
                .find(|(id, _)| *id == test.id)
                .unwrap()
                .1;
            (class, test.agreed)
        })
        .collect();
    assert_eq!(written, [(TestClass::Regression, false); 2]);
    assert_eq!(pass_rate(&evaluation.patches[0], classified), Some(1.0));
    assert!(gate(&evaluation.patches[0], classified));
    assert!(!gate(&evaluation.patches[2], classified));
    let stated = format!("{SUITE_FILE}::test_issue_stated_1");
    assert!(
        classified
            .classes
            .contains(&(stated, TestClass::Discriminating))
    );
}

/// Keeps what is appended, which is gone with its sequence.
struct Watched {
    engine: ScriptedEngine,
    shown: String,
}

impl Engine for Watched {
    fn vocabulary(&self) -> &dyn egss::engine::Vocabulary {
        self.engine.vocabulary()
    }
    fn context_max(&self) -> usize {
        self.engine.context_max()
    }
    fn new_sequence(&mut self, prefix: PrefixCache) -> SeqId {
        self.engine.new_sequence(prefix)
    }
    fn new_bill(&mut self) {
        self.engine.new_bill();
    }

    fn forget_prefixes(&mut self) {
        self.engine.forget_prefixes();
    }
    fn tokens(&self, seq: SeqId) -> &[u32] {
        self.engine.tokens(seq)
    }
    fn append(
        &mut self,
        seq: SeqId,
        tokens: &[u32],
        purpose: Purpose,
    ) -> Result<(), egss::engine::EngineError> {
        self.shown += &self.engine.vocabulary().decode(tokens);
        self.engine.append(seq, tokens, purpose)
    }
    fn fork(&mut self, seq: SeqId, len: usize, purpose: Purpose) -> SeqId {
        self.engine.fork(seq, len, purpose)
    }
    fn release(&mut self, seq: SeqId) {
        self.engine.release(seq);
    }
    fn set_deadline(&mut self, deadline: egss::base::Deadline) {
        self.engine.set_deadline(deadline);
    }
    fn living(&self) -> Vec<SeqId> {
        self.engine.living()
    }
    fn compute(
        &mut self,
        seqs: &[SeqId],
        purpose: Purpose,
        on_step: &mut dyn FnMut(egss::engine::Progress<'_>),
    ) -> Result<(), egss::engine::EngineError> {
        self.engine.compute(seqs, purpose, on_step)
    }
    fn generate(
        &mut self,
        jobs: &[egss::engine::GenerateJob],
        on_step: &mut dyn FnMut(egss::engine::Progress<'_>),
    ) -> Result<Vec<egss::engine::Generated>, egss::engine::EngineError> {
        let generated = self.engine.generate(jobs, on_step)?;
        for one in &generated {
            let tokens: Vec<u32> = one.tokens.iter().map(|token| token.token).collect();
            self.shown += &self.engine.vocabulary().decode(&tokens);
        }
        Ok(generated)
    }
    fn score(
        &mut self,
        jobs: &[egss::engine::ScoreJob],
    ) -> Result<Vec<Vec<Vec<f32>>>, egss::engine::EngineError> {
        self.engine.score(jobs)
    }
    fn usage(&self) -> egss::base::UsageByPurpose {
        self.engine.usage()
    }
}
