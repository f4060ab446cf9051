//! The `small` profile's first prompts, byte for byte as they were when the recorded
//! evaluation (`benches/evaluation`) was decoded: its figures hold for these prompts only.
//!
//! `EGSS_BLESS=1` writes the fixtures anew. `EGSS_PROMPT_TASKS=FILE.jsonl` takes the tasks
//! of another file and prints a digest for each.
#[path = "models/real.rs"]
mod real;

use egss::agent::SplicedDialect;
use egss::base::{AgentProfile, Budget, Deadline, Gates, Purpose, SeqId, UsageByPurpose};
use egss::checkpoint::{Checkpoint, Tokenizer};
use egss::engine::{
    Engine, EngineError, GenerateJob, Generated, PrefixCache, Progress, ScoreJob, Vocabulary,
};
use egss::eval::read_tasks;
use egss::record::{Event, RECORD_FILE, read_record};
use egss::search::{NoWatcher, Others, SolveRequest, Tools, solve, strategy_named};
use egss::verify::OwnTests;
use egss::workspace::{Sandbox, SandboxMode};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What one sequence may hold: the default of the runs that were recorded.
const CTX_TOKENS: usize = 8_192;
/// The agent's prompt and the one of a single answer.
const STRATEGIES: [&str; 2] = ["egss", "one-turn"];
/// Tasks whose prompts are kept whole: all files shown, a listing, an excerpt.
const KEPT_WHOLE: [&str; 3] = ["demo", "chess-clock", "sparse-matrix"];

/// An engine with a real vocabulary that refuses the first prompt: a run ends there.
struct Stalled {
    vocabulary: Arc<Tokenizer>,
}

const STALLED: &str = "the prompt is all that is wanted";

impl Engine for Stalled {
    fn vocabulary(&self) -> &dyn Vocabulary {
        &*self.vocabulary
    }
    fn context_max(&self) -> usize {
        CTX_TOKENS
    }
    fn new_sequence(&mut self, _: PrefixCache) -> SeqId {
        SeqId(0)
    }
    fn tokens(&self, _: SeqId) -> &[u32] {
        &[]
    }
    fn append(&mut self, _: SeqId, _: &[u32], _: Purpose) -> Result<(), EngineError> {
        Err(EngineError::Model(STALLED.into()))
    }
    fn fork(&mut self, seq: SeqId, _: usize, _: Purpose) -> SeqId {
        seq
    }
    fn release(&mut self, _: SeqId) {}
    fn forget_prefixes(&mut self) {}
    fn new_bill(&mut self) {}
    fn set_deadline(&mut self, _: Deadline) {}
    fn living(&self) -> Vec<SeqId> {
        Vec::new()
    }
    fn compute(
        &mut self,
        _: &[SeqId],
        _: Purpose,
        _: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        Err(EngineError::Model(STALLED.into()))
    }
    fn generate(
        &mut self,
        _: &[GenerateJob],
        _: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        Err(EngineError::Model(STALLED.into()))
    }
    fn score(&mut self, _: &[ScoreJob]) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        Err(EngineError::Model(STALLED.into()))
    }
    fn usage(&self) -> UsageByPurpose {
        UsageByPurpose::default()
    }
}

/// Makes first prompts as a run does.
struct Prompts {
    vocabulary: Arc<Tokenizer>,
    dialect: SplicedDialect,
    sandbox: Sandbox,
}

impl Prompts {
    fn new() -> Self {
        let checkpoint = Checkpoint::open(&real::model_path()).unwrap();
        let stops = vec!["<|im_end|>".to_string(), "<|endoftext|>".to_string()];
        let template = checkpoint.chat_template().unwrap();
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        Self {
            vocabulary: Arc::new(checkpoint.tokenizer().unwrap()),
            dialect: SplicedDialect::of(&template, stops, false).unwrap(),
            sandbox: Sandbox::new(SandboxMode::Bubblewrap, &python).unwrap(),
        }
    }

    /// The text that every branch of a run would start from.
    fn of(&self, repo: &Path, issue: &str, strategy: &str) -> String {
        let run = tempfile::tempdir().unwrap();
        let strategy = strategy_named(strategy, 4, 4, &AgentProfile::small()).unwrap();
        let request = SolveRequest {
            repo,
            issue,
            device: "cpu",
            model: "stalled",
            strategy: &strategy,
            seed: 0,
            budget: Budget::default(),
            gates: Gates::default(),
            profile: &AgentProfile::small(),
            own_tests: OwnTests::default(),
            environment: None,
            index_dir: None,
        };
        let mut engine = Stalled {
            vocabulary: self.vocabulary.clone(),
        };
        let tools = Tools {
            engine: &mut engine,
            others: Others::default(),
            dialect: &self.dialect,
            sandbox: &self.sandbox,
            watcher: &NoWatcher,
            began: std::time::Instant::now(),
        };
        let error = solve(run.path(), &request, tools).unwrap_err();
        assert!(error.to_string().contains(STALLED), "{error}");
        let (lines, _) = read_record(&run.path().join(RECORD_FILE)).unwrap();
        match lines.into_iter().next().unwrap().event {
            Event::RunStarted(start) => start.prompt_text,
            other => panic!("the record begins with {other:?}"),
        }
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bundled Python tasks: the demo's and those of the evaluation.
fn bundled() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tasks = vec![
        ("demo".to_owned(), root.join("demo")),
        ("demo-barrel".to_owned(), root.join("demo-barrel")),
    ];
    for entry in std::fs::read_dir(root.join("tasks")).unwrap() {
        let entry = entry.unwrap();
        tasks.push((entry.file_name().into_string().unwrap(), entry.path()));
    }
    tasks.sort();
    tasks
}

#[test]
fn real_model_first_prompts_of_the_small_profile_are_as_recorded() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first_prompts");
    let prompts = Prompts::new();
    if let Some(file) = std::env::var_os("EGSS_PROMPT_TASKS") {
        for task in read_tasks(Path::new(&file)).unwrap() {
            let repo = tempfile::tempdir().unwrap();
            task.materialise(repo.path()).unwrap();
            for strategy in STRATEGIES {
                let text = prompts.of(repo.path(), &task.problem_statement, strategy);
                println!("{} {strategy} {}", task.instance_id, digest(&text));
            }
        }
        return;
    }
    let bless = std::env::var_os("EGSS_BLESS").is_some();
    let mut digests: BTreeMap<String, String> = BTreeMap::new();
    for (name, dir) in bundled() {
        let issue = std::fs::read_to_string(dir.join("issue.md")).unwrap();
        for strategy in STRATEGIES {
            let text = prompts.of(&dir.join("repo"), &issue, strategy);
            let whole = fixtures.join(format!("{name}.{strategy}.txt"));
            if KEPT_WHOLE.contains(&name.as_str()) {
                match bless {
                    true => std::fs::write(&whole, &text).unwrap(),
                    false => assert_eq!(text, std::fs::read_to_string(&whole).unwrap(), "{name}"),
                }
            }
            digests.insert(format!("{name} {strategy}"), digest(&text));
        }
    }
    let kept = fixtures.join("sha256.json");
    if bless {
        let text = serde_json::to_string_pretty(&digests).unwrap() + "\n";
        std::fs::write(&kept, text).unwrap();
        return;
    }
    let wanted: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    assert_eq!(digests, wanted);
}
