//! The pipeline: an issue and a repository in, a selected patch out.
//!
//! [`resume`] runs the base's tests again before it goes on. If tests that passed fail now, twice,
//! it refuses: patches would be judged by something other than the code.
use super::base::{Base, BaseRequest, likely_files, plan_base, with_base};
use super::check::SuiteCheck;
use super::clock::Clock;
use super::decoder::{Decoder, Others};
use super::error::SearchError;
use super::places::Places;
use super::recorder::Recorder;
use super::run::Search;
use super::state::RunState;
use super::views::Views;
use super::watch::Watcher;
use super::workspaces::Workspaces;
use crate::agent::{AfterEdit, AgentConfig, Dialect, GrammarContext, Scope, first_prompt};
use crate::base::{
    AgentProfile, Budget, Deadline, Gates, PromptStyle, Strategy, ToolName, UsageByPurpose,
};
use crate::engine::Engine;
use crate::index::{Index, Links, RepoView, Weights};
use crate::lang::{self, RunnerLimits};
use crate::record::{
    Event, RECORD_FILE, RECORD_VERSION, RunStarted, SuiteBuilt, SuiteRun, TestOutcome, TestResult,
};
use crate::verify::{Bench, OwnTests, TestRunner, is_stated};
use crate::workspace::{Environment, Sandbox, Shadow, TreeId};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The request of a run.
pub struct SolveRequest<'a> {
    /// Read, never written.
    pub repo: &'a Path,
    pub issue: &'a str,
    /// As the user named it, for the record.
    pub model: &'a str,
    /// The model's device, as its backend describes it.
    pub device: &'a str,
    pub strategy: &'a Strategy,
    pub seed: u64,
    pub budget: Budget,
    /// Of the model, of which the strategy takes one.
    pub gates: Gates,
    /// The abilities that are assumed of the model.
    pub profile: &'a AgentProfile,
    pub own_tests: OwnTests,
    /// The environment that is installed for the repository; `tools.sandbox` is a sandbox in it.
    pub environment: Option<&'a Environment>,
    /// The folder that indices of repositories, and their tests, are kept in between runs; `None`:
    /// they are not kept.
    pub index_dir: Option<&'a Path>,
}

/// The tools of a run, new or resumed.
pub struct Tools<'a> {
    pub engine: &'a mut dyn Engine,
    /// The models that the strategy names as judge or voters.
    pub others: Others<'a>,
    pub dialect: &'a dyn Dialect,
    pub sandbox: &'a Sandbox,
    pub watcher: &'a dyn Watcher,
    /// When the time of the run began: a model that was loaded for it is part of it.
    pub began: Instant,
}

impl<'a> SolveRequest<'a> {
    fn base(&self) -> BaseRequest<'a> {
        BaseRequest {
            repo: self.repo,
            issue: self.issue,
            budget: self.budget,
            own_tests: self.own_tests.clone(),
            environment: self.environment,
            index_dir: self.index_dir,
        }
    }
}

impl Tools<'_> {
    /// The same tools for a shorter time, in another sandbox.
    fn in_sandbox<'b>(&'b mut self, sandbox: &'b Sandbox) -> Tools<'b> {
        Tools {
            engine: &mut *self.engine,
            others: self.others.reborrow(),
            dialect: self.dialect,
            sandbox,
            watcher: self.watcher,
            began: self.began,
        }
    }
}

/// Solves an issue in a new run directory. Returns the run's final state.
///
/// The directory holds `record.jsonl`, the shadow git directory and the living
/// branches' workspaces. Errors leave the record as far as it came: the run
/// can be resumed. The budget's wall time is a deadline: each stage has its own, and what
/// is not done by then ends the stage, not the run.
pub fn solve(
    run_dir: &Path,
    request: &SolveRequest<'_>,
    tools: Tools<'_>,
) -> Result<RunState, SearchError> {
    let wall = Duration::from_secs(request.budget.wall_s_max);
    let clock = Clock::new(wall, Deadline::after(tools.began, wall));
    let asked = request.base();
    with_base(run_dir, &asked, tools.sandbox, tools.watcher, |base| {
        solve_from(&base, request, clock, tools)
    })
}

/// The run itself: from the tests on the base to a patch.
fn solve_from(
    base: &Base<'_>,
    request: &SolveRequest<'_>,
    clock: Clock,
    mut tools: Tools<'_>,
) -> Result<RunState, SearchError> {
    let (bench, view, located) = (&base.bench, &base.view, &base.located);
    let suite = base.planned(&request.base(), &clock, tools.watcher)?;
    if let Some(sentences) = view.unread(request.repo, |_| true) {
        tools.watcher.stage(&format!("not read: {sentences}"));
    }
    let profile = request.profile.clone();
    let profile = profile.in_context(tools.engine.context_max());
    let own = base.own_tests.shown();
    let mut config = agent_config(request.strategy, profile, own, bench, view);
    config.scope = Scope::of(view, &suite.suite, &base.checkout.source_folders);
    let is_goal = |test: &TestOutcome| is_stated(&suite.suite, test);
    config.is_reproduced = suite.base.tests.iter().any(is_goal);
    let prompt_for = |config: &AgentConfig| {
        let vocabulary = tools.engine.vocabulary();
        let ctx_tokens = tools.engine.context_max();
        first_prompt(
            config,
            view,
            located,
            request.issue,
            vocabulary,
            tools.dialect,
            ctx_tokens,
        )
    };
    let mut prompt = prompt_for(&config)?;
    // What is shown whole need not be looked for; of what lies outside the scope
    // the model can still print and write any file.
    let mut sources = view
        .files
        .iter()
        .filter(|file| file.is_source() && config.scope.shows(&file.path))
        .filter(|file| {
            file.text
                .as_deref()
                .is_some_and(|text| !text.trim().is_empty())
        });
    let shows_files = config.profile.prompt == PromptStyle::Files;
    if shows_files && sources.all(|file| prompt.shown.contains(&file.path)) {
        let is_open = |tool| !matches!(tool, ToolName::View | ToolName::Search);
        config.tools = config.tools.only(is_open);
        prompt = prompt_for(&config)?;
    }
    let prompt_tokens = prompt.tokens(tools.engine.vocabulary(), tools.dialect);
    let grammar = GrammarContext::of(
        view,
        tools.engine.vocabulary(),
        tools.dialect.calls(),
        config.limits(),
    );
    let strategy = request.strategy;
    let start = RunStarted {
        record_version: RECORD_VERSION,
        egss_version: env!("CARGO_PKG_VERSION").into(),
        model: request.model.into(),
        device: request.device.into(),
        strategy: strategy.clone(),
        seed: request.seed,
        ctx_tokens: tools.engine.context_max(),
        budget: request.budget,
        gate: strategy.gate(&request.gates),
        repo: base.repo.display().to_string(),
        python: match request.environment {
            Some(_) => None,
            None => Some(base.sandbox.python().to_owned()),
        },
        checkout: base.checkout.clone(),
        issue: request.issue.into(),
        test_cmd: base.own_tests.command.clone(),
        junit: base.own_tests.junit.clone(),
        tools: config
            .tools
            .names()
            .into_iter()
            .map(|tool| tool.name().to_owned())
            .collect(),
        locations: prompt.locations,
        cuts: prompt.cuts.into_iter().chain(grammar.cuts).collect(),
        profile: config.profile.clone(),
        environment: request
            .environment
            .map(|environment| environment.id.clone()),
        base_tree: bench.base.0.clone(),
        prompt_text: tools.engine.vocabulary().decode(&prompt_tokens),
        prompt_tokens,
        started_at_s: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    };
    let mut recorder = Recorder::create(&base.places.record, start)?;
    for event in [Event::SuiteBuilt(suite.suite), Event::SuiteRun(suite.base)] {
        tools.watcher.event(&event, &recorder.state);
        recorder.emit(event)?;
    }
    let tools = tools.in_sandbox(base.sandbox);
    run(
        base.places,
        recorder,
        strategy,
        &config,
        bench,
        view,
        clock,
        tools,
    )
}

/// Goes on with a killed run from its last finished agent step, in the time that it has
/// left.
pub fn resume(run_dir: &Path, tools: Tools<'_>) -> Result<RunState, SearchError> {
    resume_by(run_dir, tools, |clock| clock)
}

/// [`resume`] by another clock than the one that is left.
pub(super) fn resume_by(
    run_dir: &Path,
    mut tools: Tools<'_>,
    clock: impl FnOnce(Clock) -> Clock,
) -> Result<RunState, SearchError> {
    let recorder = Recorder::resume(&run_dir.join(RECORD_FILE))?;
    let start = recorder.state.start.clone();
    let wall = Duration::from_secs(start.budget.wall_s_max);
    let before = Duration::from_millis(recorder.elapsed_ms());
    let end = Deadline::after(tools.began, wall.saturating_sub(before));
    let clock = clock(Clock::new(wall, end));
    let sandbox = tools.sandbox.for_one_run();
    with_bench(run_dir, &start, &sandbox, |places, bench, sandbox| {
        let tools = tools.in_sandbox(sandbox);
        go_on(places, bench, recorder, &start, clock, tools)
    })
}

/// Does `work` with the run's folder and its base, as they are on disk, and the sandbox as
/// its workspaces need it.
pub(super) fn with_bench<T>(
    run_dir: &Path,
    start: &RunStarted,
    sandbox: &Sandbox,
    work: impl FnOnce(&Places, &Bench<'_>, &Sandbox) -> Result<T, SearchError>,
) -> Result<T, SearchError> {
    let places = Places::make(run_dir)?;
    let shadow = Shadow::open(&places.shadow)?;
    let base = TreeId(start.base_tree.clone());
    let checkout = &start.checkout;
    let shadow = shadow.beside(&checkout.large_data);
    let repo = Path::new(&start.repo);
    let (shadow, read_only) = places.layered(shadow, &base, repo, checkout);
    let sandbox = places.sandbox(sandbox.clone(), checkout.has_git, &shadow, &base)?;
    let sandbox = sandbox.with_data(repo, &read_only);
    let runner = TestRunner::for_files(
        &sandbox,
        RunnerLimits::of_run(&start.budget),
        OwnTests {
            command: start.test_cmd.clone(),
            junit: start.junit.clone(),
        },
        &shadow.files(&base)?,
    )?;
    let links = Links::default();
    let bench = places.bench(&shadow, &runner, &base, &links);
    work(&places, &bench, &sandbox)
}

fn go_on(
    places: &Places,
    bench: &Bench<'_>,
    mut recorder: Recorder,
    start: &RunStarted,
    clock: Clock,
    tools: Tools<'_>,
) -> Result<RunState, SearchError> {
    let strategy = start.strategy.clone();
    let folders = &start.checkout.source_folders;
    let view = RepoView::of_tree(bench.shadow, bench.base, folders)?;
    let index = Index::of(&view);
    let located = index.locate(&view, &start.issue, &Weights::default());
    let links = index.links(&view, &located);
    let bench = &Bench {
        links: &links,
        ..*bench
    };
    let own_tests = OwnTests {
        command: start.test_cmd.clone(),
        junit: start.junit.clone(),
    };
    let (profile, own) = (start.profile.clone(), own_tests.shown());
    let mut config = agent_config(&strategy, profile, own, bench, &view);
    if !start.tools.is_empty() {
        let is_open = |tool: ToolName| start.tools.iter().any(|name| name == tool.name());
        config.tools = config.tools.only(is_open);
    }
    if recorder.state.ended.is_none() {
        tools
            .watcher
            .stage("running the tests on the base, as the run began with them");
        check_base(bench, &recorder, &clock)?;
    }
    if recorder.state.suite.is_none() || recorder.state.base_run().is_none() {
        let near = likely_files(&view, &located);
        let check_s_max = RunnerLimits::check_s_max(&start.budget);
        let sandbox = tools.sandbox;
        let suite = plan_base(bench, sandbox, &clock, &start.issue, &near, check_s_max)?;
        recorder.emit(Event::SuiteBuilt(suite.suite))?;
        recorder.emit(Event::SuiteRun(suite.base))?;
    }
    let suite = recorder
        .state
        .suite
        .as_ref()
        .expect("the suite comes first");
    config.scope = Scope::of(&view, suite, folders);
    run(
        places, recorder, &strategy, &config, bench, &view, clock, tools,
    )
}

#[allow(clippy::too_many_arguments)] // two callers, which have all of it
fn run(
    places: &Places,
    mut recorder: Recorder,
    strategy: &Strategy,
    config: &AgentConfig,
    bench: &Bench<'_>,
    view: &RepoView,
    mut clock: Clock,
    tools: Tools<'_>,
) -> Result<RunState, SearchError> {
    let (suite, base): (SuiteBuilt, SuiteRun) = (
        recorder.state.suite.clone().expect("the suite comes first"),
        recorder
            .state
            .base_run()
            .cloned()
            .expect("and its run on the base"),
    );
    let suite_ms = base.tests.iter().map(|test| test.ms).sum();
    clock.keep(Duration::from_millis(suite_ms), strategy.n);
    let folders = &config.scope.source_folders;
    let views = Views::new(bench.shadow, bench.base, view, folders);
    let check_runner = bench
        .runner
        .within(RunnerLimits::check_s_max(&recorder.state.start.budget));
    let check_bench = Bench {
        runner: &check_runner,
        ..*bench
    };
    let check = SuiteCheck::new(check_bench, &suite, &base, &views);
    let mut others = tools.others;
    let mut search = Search {
        decoder: Decoder::new(
            tools.engine,
            others.reborrow(),
            tools.dialect,
            (strategy, config),
            &views,
            tools.watcher,
        ),
        workspaces: Workspaces {
            sandbox: tools.sandbox,
            bench,
            check: Some(&check as &dyn AfterEdit),
            config,
            views: &views,
            work_dir: places.work.clone(),
        },
        recorder: &mut recorder,
        strategy,
        config,
        watcher: tools.watcher,
        clock,
        recorded: UsageByPurpose::default(),
    };
    search.search()?;
    search.finish()?;
    search.release();
    Ok(recorder.state)
}

fn agent_config(
    strategy: &Strategy,
    profile: AgentProfile,
    own_command: Option<String>,
    bench: &Bench<'_>,
    view: &RepoView,
) -> AgentConfig {
    let config = match strategy.one_turn {
        true => AgentConfig::one_turn(profile),
        false => AgentConfig::agent(profile),
    };
    let by_runner = bench.runner.runner().test_command();
    AgentConfig {
        language: lang::of_repository(view.files.iter().map(|file| file.path.as_str())),
        test_cmd: own_command.unwrap_or_else(|| by_runner.to_owned()),
        ..config
    }
}

/// Names of tests in a sentence.
const NAMES_MAX: usize = 3;

/// Refuses to go on where tests that passed on the base fail there now, and do so again:
/// patches would be judged by something else than the code.
fn check_base(bench: &Bench<'_>, recorder: &Recorder, clock: &Clock) -> Result<(), SearchError> {
    let (Some(suite), Some(before)) = (&recorder.state.suite, recorder.state.base_run()) else {
        return Ok(());
    };
    let passed_of = |run: &SuiteRun| -> HashSet<String> {
        let passed = run
            .tests
            .iter()
            .filter(|test| test.result == TestResult::Passed);
        passed.map(|test| test.id.clone()).collect()
    };
    let mut lost = passed_of(before);
    let check_s_max = RunnerLimits::check_s_max(&recorder.state.start.budget);
    let runner = bench.runner.within(check_s_max);
    let bench = Bench {
        runner: &runner,
        ..*bench
    };
    bench.runner.sandbox().set_deadline(clock.base());
    for _ in 0..2 {
        if lost.is_empty() {
            return Ok(());
        }
        let now = match bench.run_base_again(suite) {
            Err(_) if clock.base().is_over() => return Ok(()),
            now => now?,
        };
        // A test that did not come to run says nothing.
        let ran: HashSet<&str> = now.tests.iter().map(|test| test.id.as_str()).collect();
        let passes = passed_of(&now);
        lost.retain(|id| !passes.contains(id) && ran.contains(id.as_str()));
    }
    let mut names: Vec<String> = lost.into_iter().collect();
    names.sort();
    let n = names.len();
    names.truncate(NAMES_MAX);
    match n {
        0 => Ok(()),
        n => Err(SearchError::BaseChanged { n, names }),
    }
}
