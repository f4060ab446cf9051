//! The method on a known distribution: what is measured, what is decided, what
//! the beam keeps, and what it all costs, against figures worked out by hand.
mod again;
mod deadline;
mod endings;
mod goals;
mod pythons;
mod running_gate;

use egss::agent::{ChatMl, Dialect, encode};
use egss::base::{
    AgentProfile, BranchId, BranchPolicy, Budget, Gate, GateSignal, Gates, JudgeMethod, JudgeWhen,
    Purpose, SelectBy, StepId, StopRule, Strategy,
};
use egss::engine::scripted::{ByteVocabulary, ScriptedEngine};
use egss::engine::{Engine, Vocabulary};
use egss::record::{BranchStatus, StepFinished, StepOutcome};
use egss::search::{
    JUDGE_CALL, NoWatcher, OtherModel, Others, RunState, SolveRequest, Tools, end_anew, solve,
    strategy_named,
};
use egss::verify::OwnTests;
use egss::workspace::{Sandbox, SandboxMode};
use std::path::Path;
use std::sync::LazyLock;

/// Nothing here can be turned into a test: no check steers the search.
const ISSUE: &str = "Notes are missing.";

/// An engine that says what `say` makes of the text so far.
fn engine(say: impl Fn(&str) -> Vec<(String, f64)> + Send + 'static) -> ScriptedEngine {
    let vocabulary = ByteVocabulary::chat_ml();
    let policy = move |tokens: &[u32]| say(&vocabulary.decode(tokens));
    ScriptedEngine::from_policy(policy).with_context_max(100_000)
}

/// Runs a strategy on an empty package with what `say` says.
fn run(
    strategy: &Strategy,
    gate: Option<Gate>,
    budget: Budget,
    say: impl Fn(&str) -> Vec<(String, f64)> + Send + 'static,
) -> (RunState, ScriptedEngine) {
    let mut engine = engine(say);
    let state = run_with(&mut engine, Others::default(), strategy, gate, budget);
    (state, engine)
}

fn run_with(
    engine: &mut ScriptedEngine,
    others: Others<'_>,
    strategy: &Strategy,
    gate: Option<Gate>,
    budget: Budget,
) -> RunState {
    let out = tempfile::tempdir().unwrap();
    asked(engine, others, strategy, gate, budget, |request, tools| {
        solve(out.path(), request, tools).unwrap()
    })
}

/// Does `work` with what is asked of a package of one line.
fn asked<T>(
    engine: &mut ScriptedEngine,
    mut others: Others<'_>,
    strategy: &Strategy,
    gate: Option<Gate>,
    budget: Budget,
    work: impl FnOnce(&SolveRequest<'_>, Tools<'_>) -> T,
) -> T {
    let sandbox = sandbox();
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("notes.py"), "notes = []\n").unwrap();
    let profile = AgentProfile::small();
    let request = SolveRequest {
        budget,
        gates: gate.into_iter().collect(),
        ..request(repo.path(), strategy, &profile)
    };
    let tools = Tools {
        others: others.reborrow(),
        ..tools(engine, &sandbox)
    };
    work(&request, tools)
}

/// The request of a test that asks for nothing else.
fn request<'a>(
    repo: &'a Path,
    strategy: &'a Strategy,
    profile: &'a AgentProfile,
) -> SolveRequest<'a> {
    SolveRequest {
        repo,
        issue: ISSUE,
        model: "scripted",
        device: "cpu",
        strategy,
        seed: 3,
        budget: Budget::default(),
        gates: Gates::default(),
        profile,
        own_tests: OwnTests::default(),
        environment: None,
        index_dir: None,
    }
}

fn tools<'a>(engine: &'a mut ScriptedEngine, sandbox: &'a Sandbox) -> Tools<'a> {
    static DIALECT: LazyLock<ChatMl> = LazyLock::new(ChatMl::default);
    Tools {
        engine,
        others: Others::default(),
        dialect: &*DIALECT,
        sandbox,
        watcher: &NoWatcher,
        began: std::time::Instant::now(),
    }
}

fn sandbox() -> Sandbox {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    Sandbox::new(SandboxMode::Bubblewrap, &python)
        .expect("scripts/setup makes .venv and installs bubblewrap")
}

/// A call that writes a new file of one line.
fn write(name: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"write\", \"arguments\": {{\"path\": \"{name}.py\"}}}}\n</tool_call>\n```python\nx = 1\n```"
    )
}

fn run_command(command: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"run\", \"arguments\": {{\"command\": \"{command}\"}}}}\n</tool_call>"
    )
}

const SUBMIT: &str = "<tool_call>\n{\"name\": \"submit\", \"arguments\": {}}\n</tool_call>";

/// `-sum p ln p`, nats.
fn entropy(p: &[f64]) -> f32 {
    let sum: f64 = p.iter().sum();
    p.iter().map(|p| -(p / sum) * (p / sum).ln()).sum::<f64>() as f32
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-5
}

fn first_step(strategy: &Strategy, gate: Option<Gate>) -> StepFinished {
    let budget = Budget {
        steps_max: 3,
        branches_max: 64,
        ..Budget::default()
    };
    let say = |_: &str| {
        vec![
            (write("a"), 0.5),
            (write("b"), 0.2),
            (run_command("ls"), 0.3),
        ]
    };
    let (state, _) = run(strategy, gate, budget, say);
    state.step(StepId(0)).clone()
}

fn gate(signal: GateSignal, threshold_nats: f32) -> Gate {
    Gate {
        signal,
        threshold_nats,
        quantile: None,
        provenance: "a test".into(),
    }
}

#[test]
fn every_signal_equals_its_closed_form() {
    // Candidates that vote are sampled freely.
    let mut strategy = strategy_named("egss-judged", 1, 40, &AgentProfile::small()).unwrap();
    strategy.siblings.sampler.temperature = 1.0;
    strategy.siblings.temperature_step = 0.0;
    let step = first_step(&strategy, Some(gate(GateSignal::Vote, 0.0)));
    let signals = &step.candidates[0].entropy;
    // The greedy action writes a.py. Its tool is one of two with text in them.
    let tool = signals.tool.as_ref().unwrap();
    assert!(close(tool.entropy_nats, entropy(&[0.7, 0.3])), "{tool:?}");
    assert!(close(tool.outside_mass, 0.0));
    let p = |name: &str| tool.probs.iter().find(|(tool, _)| tool == name).unwrap().1;
    assert!(close(p("write"), 0.7) && close(p("run"), 0.3) && close(p("edit"), 0.0));
    // One argument token is free: the file's first letter.
    let letter = entropy(&[0.5, 0.2]);
    assert!(close(signals.args_max_nats.unwrap(), letter));
    assert!(close(signals.args_mean_nats.unwrap(), letter));
    let at = signals.args_max_at.unwrap();
    assert_eq!(step.candidates[0].tokens[at].token, u32::from(b'a'));
    // The tool's first letter is the other free one.
    assert_eq!(signals.n_free_tokens, 2);
    // The vote is over what was sampled.
    let counts: Vec<f64> = step
        .candidates
        .iter()
        .map(|c| f64::from(c.merged))
        .collect();
    assert_eq!(counts.iter().sum::<f64>(), 40.0);
    assert_eq!(counts.len(), 3, "40 samples leave none of three out");
    assert!(close(signals.vote_nats.unwrap(), entropy(&counts)));
    // And is near the distribution's own entropy: three standard deviations of
    // a plug-in estimate from 40 samples are 0.3 nats.
    assert!((signals.vote_nats.unwrap() - entropy(&[0.5, 0.2, 0.3])).abs() < 0.3);
}

#[test]
fn the_gate_decides_as_a_hand_computed_table_says() {
    // H(0.7, 0.3) = 0.6109; H(5/7, 2/7) = 0.5983.
    let table = [
        (GateSignal::Tool, 0.61, true),
        (GateSignal::Tool, 0.62, false),
        (GateSignal::ArgsMax, 0.59, true),
        (GateSignal::ArgsMax, 0.60, false),
        (GateSignal::ArgsMean, 0.59, true),
        (GateSignal::ArgsMean, 0.60, false),
        // Of four samples, never more than ln 4.
        (GateSignal::Vote, 0.0, true),
        (GateSignal::Vote, 1.39, false),
    ];
    for (signal, threshold, branches) in table {
        let strategy = strategy_named("egss-judged", 1, 4, &AgentProfile::small()).unwrap();
        let step = first_step(&strategy, Some(gate(signal, threshold)));
        let decision = &step.decision;
        assert_eq!(decision.branch, branches, "{}", decision.reason);
        assert_eq!(decision.candidates, if branches { 4 } else { 1 });
        assert_eq!(decision.threshold_nats, Some(threshold));
        assert_eq!(
            decision.signal_nats,
            signal.of(&step.candidates[0].entropy),
            "{signal:?}"
        );
        assert!(decision.signal_nats.is_some(), "{signal:?} was measured");
        let judged = step.candidates.iter().any(|c| c.judge.is_some());
        assert_eq!(judged, branches, "only what branches is judged");
    }
    let none = first_step(
        &strategy_named("egss", 1, 4, &AgentProfile::small()).unwrap(),
        None,
    );
    assert!(!none.decision.branch, "no gate, no branch");
}

#[test]
fn siblings_at_a_token_share_what_stands_before_it_and_differ_there() {
    let mut strategy = strategy_named("branch-always", 1, 3, &AgentProfile::small()).unwrap();
    strategy.fork_at = egss::base::ForkAt::Token;
    let step = first_step(&strategy, None);
    let (lead, siblings) = step.candidates.split_first().unwrap();
    assert_eq!(siblings.len(), 2);
    for sibling in siblings {
        let at = sibling.forked_at;
        let ids = |c: &egss::record::Candidate, end: usize| -> Vec<u32> {
            c.tokens[..end].iter().map(|t| t.token).collect()
        };
        assert_eq!(ids(sibling, at), ids(lead, at));
        assert_ne!(sibling.tokens[at].token, lead.tokens[at].token);
        assert!(!lead.tokens[at].forced);
    }
    // The least sure token is the tool's first letter: one other is possible
    // there, so the second sibling leaves at the next.
    let texts: Vec<&str> = siblings.iter().map(|c| c.text.as_str()).collect();
    assert!(texts[0].contains("\"run\""), "{texts:?}");
    assert!(texts[1].contains("b.py"), "{texts:?}");
}

/// A judge's answer on every dimension: the digit, for sure.
fn rate(digit: u8) -> Vec<(String, f64)> {
    let dimensions = [
        "step consistency",
        "context awareness",
        "goal prioritisation",
        "expected tool use",
        "diagnostic precision",
    ];
    dimensions
        .iter()
        .map(|name| (format!("{name}: {digit}"), 0.2))
        .collect()
}

/// A world in which the likelier and better rated first action leads nowhere:
/// a1 (judged 2 of 3) is followed by what is judged 0, b1 (1 of 3) by what is
/// judged 3.
fn garden(text: &str) -> Vec<(String, f64)> {
    let wrote = |name: &str| text.contains(&format!("\"path\": \"{name}.py\""));
    if text.contains("You are now the reviewer") {
        let digit = [
            ("b3", 0),
            ("b2", 3),
            ("a3", 0),
            ("a2", 0),
            ("b1", 1),
            ("a1", 2),
        ];
        let last = digit.iter().find(|(name, _)| wrote(name)).unwrap();
        return rate(last.1);
    }
    let two = |a: &str, b: &str| vec![(write(a), 0.6), (write(b), 0.4)];
    if wrote("a2") || wrote("a3") || wrote("b2") || wrote("b3") {
        vec![(SUBMIT.into(), 1.0)]
    } else if wrote("a1") {
        two("a2", "a3")
    } else if wrote("b1") {
        two("b2", "b3")
    } else {
        two("a1", "b1")
    }
}

fn garden_strategy(beam: u32) -> Strategy {
    Strategy {
        beam,
        policy: BranchPolicy::Always,
        select: SelectBy::Tests,
        ..strategy_named("egss-judged", beam, 2, &AgentProfile::small()).unwrap()
    }
}

#[test]
fn a_beam_finds_the_planted_best_trajectory() {
    let (greedy, _) = run(&garden_strategy(1), None, Budget::default(), garden);
    let path = |state: &RunState| -> Vec<String> {
        let winner = state.selected.as_ref().unwrap().branch.unwrap();
        let names = state.path(winner).map(|step| {
            let text = &step.candidates[step.chosen].text;
            let at = text.find(".py").unwrap_or(2);
            text[at - 2..at].to_owned()
        });
        names.filter(|name| name.starts_with(['a', 'b'])).collect()
    };
    assert_eq!(
        path(&greedy),
        ["a1", "a2"],
        "one branch takes the garden path"
    );

    let (state, engine) = run(&garden_strategy(2), None, Budget::default(), garden);
    assert_eq!(path(&state), ["b1", "b2"]);
    let ends: Vec<BranchStatus> = state
        .branches
        .iter()
        .map(|branch| branch.ended.as_ref().unwrap().status)
        .collect();
    assert_eq!(ends, [BranchStatus::Submitted, BranchStatus::Submitted]);
    let scores: Vec<f32> = state
        .branches
        .iter()
        .map(|branch| branch.ended.as_ref().unwrap().score.unwrap())
        .collect();
    // (2/3 + 0) / 2 and (1/3 + 3/3) / 2.
    assert!(
        close(scores[0], 1.0 / 3.0) && close(scores[1], 2.0 / 3.0),
        "{scores:?}"
    );
    assert_eq!(
        state.usage,
        engine.usage(),
        "all that was spent is recorded"
    );
    costs_are_as_planned(&state, &engine);
}

/// The beam's run above, token by token.
fn costs_are_as_planned(state: &RunState, engine: &ScriptedEngine) {
    let vocabulary = engine.vocabulary();
    let dialect = ChatMl::default();
    let n = |text: &str| vocabulary.encode_special(text).len() as u64;
    let end = 1; // The token that ends a turn.
    let written = n(&write("a1")) + end;
    let submitted = n(SUBMIT) + end;
    // A sibling leaves the first action at the letter in which the two differ:
    // `a` or `b` of the first pair, the digit of the others.
    let before_letter = n(&write("a1")[..write("a1").find("a1").unwrap()]);
    // Three points with two writes each: (a1, b1), (a2, a3), (b2, b3).
    let writes = 3 * written + (written - before_letter) + 2 * (written - before_letter - 1);
    // Two points with nothing but handing in, said twice as two are wanted.
    let agent = &state.usage.agent;
    assert_eq!(agent.decoded_tokens, writes + 2 * 2 * submitted);

    // Computed for the agent: the prompt once, what four executed writes gave
    // to see, and each tool's name where a first action names one.
    let prompt = state.start.prompt_tokens.len() as u64;
    let observations: u64 = state.steps[..]
        .iter()
        .filter(|step| step.candidates[step.chosen].tool.as_deref() == Some("write"))
        .map(|step| step.observation_tokens.len() as u64)
        .sum();
    let names: u64 = state
        .steps
        .iter()
        .filter_map(|step| step.candidates[0].entropy.tool.as_ref())
        .map(|tool| {
            tool.probs
                .iter()
                .map(|(name, _)| n(&format!("{name}\",")))
                .sum::<u64>()
        })
        .sum();
    assert_eq!(agent.computed_tokens, prompt + observations + names);

    // The judge: three points of two candidates, the question behind each, and
    // twenty answers.
    let question = encode(vocabulary, &dialect.question(JUDGE_CALL)).len() as u64;
    let answers: u64 = (0..=3).flat_map(rate).map(|(answer, _)| n(&answer)).sum();
    let judge = &state.usage[Purpose::Judge];
    assert_eq!(judge.computed_tokens, 3 * 2 * (question + answers));
    assert_eq!(judge.decoded_tokens, 0);
    assert_eq!(state.usage[Purpose::Selection], Default::default());
}

#[test]
fn a_judge_that_sees_results_judges_candidates_that_were_carried_out() {
    let mut strategy = garden_strategy(1);
    strategy.judge.when = JudgeWhen::After;
    // The first action is a command that fails, its sibling a write.
    let say = |text: &str| {
        if text.contains("with the result shown") {
            rate(if text.contains("exit") { 0 } else { 3 })
        } else if text.contains("\"path\": \"a.py\"") {
            vec![(SUBMIT.into(), 1.0)]
        } else {
            vec![(run_command("exit 7"), 0.6), (write("a"), 0.4)]
        }
    };
    let (state, engine) = run(&strategy, None, Budget::default(), say);
    let step = state.step(StepId(0));
    let tried: Vec<StepOutcome> = step
        .candidates
        .iter()
        .map(|c| c.tried.as_ref().unwrap().outcome)
        .collect();
    assert_eq!(tried, [StepOutcome::CommandFailed, StepOutcome::Ok]);
    assert_eq!(step.chosen, 1);
    let taken = step.candidates[1].tried.as_ref().unwrap();
    assert_eq!(
        (&step.tree, &step.observation),
        (&taken.tree, &taken.observation)
    );
    assert_eq!(state.usage, engine.usage());
    let patch = &state.branch(BranchId(0)).ended.as_ref().unwrap().patch;
    assert!(patch.contains("a.py"), "{patch}");
}

#[test]
fn a_judge_that_is_asked_for_reasons_writes_them_before_it_rates() {
    let mut strategy = garden_strategy(1);
    strategy.judge.method = JudgeMethod::Rationale;
    let say = |text: &str| {
        if text.contains("Now rate it") {
            return rate(if text.contains("it is a one") { 1 } else { 2 });
        }
        if text.contains("Do not rate yet") {
            let name = if text.contains("a1.py") {
                "a one"
            } else {
                "b one"
            };
            return vec![(format!("I say it is {name}.\n"), 1.0)];
        }
        garden(text)
    };
    let (state, engine) = run(&strategy, None, Budget::default(), say);
    let step = state.step(StepId(0));
    assert_eq!(step.chosen, 1, "b1 is rated higher");
    let reasons: Vec<&str> = step
        .candidates
        .iter()
        .map(|c| c.judge.as_ref().unwrap().rationale.as_deref().unwrap())
        .collect();
    assert!(reasons[0].starts_with("I say it is a one."), "{reasons:?}");
    assert!(reasons[1].starts_with("I say it is b one."), "{reasons:?}");
    assert!(state.usage.judge.decoded_tokens > 0);
    assert_eq!(state.usage, engine.usage());
}

#[test]
fn another_model_judges_what_it_reads_and_its_cost_is_counted() {
    let mut strategy = garden_strategy(1);
    strategy.judge.model = Some("the other".into());
    let mut own = engine(|text| {
        assert!(
            !text.contains("You are now the reviewer"),
            "it judges itself"
        );
        garden(text)
    });
    // It sees things the other way round.
    let mut other = engine(|text| rate(if text.contains("\"b1.py\"") { 3 } else { 0 }));
    let dialect = ChatMl::default();
    let others = Others(vec![OtherModel {
        name: "the other".into(),
        engine: &mut other,
        dialect: &dialect,
    }]);
    let state = run_with(&mut own, others, &strategy, None, Budget::default());
    assert_eq!(state.step(StepId(0)).chosen, 1);
    let mut spent = own.usage();
    spent += other.usage();
    assert_eq!(state.usage, spent);
    assert!(other.usage().judge.computed_tokens > 0);
    assert_eq!(own.usage().judge, Default::default());
}

#[test]
fn a_branch_that_has_ended_ends_with_its_last_action() {
    let (state, _) = run(&garden_strategy(2), None, Budget::default(), garden);
    for branch in state.ids() {
        let text = ByteVocabulary::chat_ml().decode(&state.tokens(branch));
        assert!(text.ends_with(&format!("{SUBMIT}<|im_end|>")), "{text}");
    }
}

#[test]
fn a_second_trajectory_that_appends_corrections_is_not_the_first_again() {
    let strategy = Strategy {
        recovery: egss::base::Recovery::Append,
        stop: StopRule::NEVER,
        ..strategy_named("egss-judged", 6, 1, &AgentProfile::small()).unwrap()
    };
    let (state, _) = run(&strategy, None, Budget::default(), garden);
    assert_eq!(state.branches.len(), 6);
    let firsts = state.steps.iter().filter(|step| step.depth == 0);
    let firsts: Vec<&str> = firsts.map(|s| s.candidates[0].text.as_str()).collect();
    assert!(
        firsts.iter().any(|text| text.contains("b1.py")),
        "{firsts:?}"
    );
}
