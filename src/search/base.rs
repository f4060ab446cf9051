//! The repository that a run begins from: read, indexed, and with a bench for its tests.
//!
//! One place reads a repository, indexes it, and makes the bench for its tests: for a run and for a
//! check of somebody else's patch (`check_patch`). The functions that a failing example runs are
//! traced: the files that hold them are shown, and can be named (`agent::Scope`).
use super::clock::Clock;
use super::error::SearchError;
use super::found::{checkout_of, tell_what_is_left_out};
use super::places::Places;
use super::watch::Watcher;
use crate::base::Budget;
use crate::index::{FoundFile, Index, Located, RepoView, Weights};
use crate::lang::{self, LangError, RunnerLimits};
use crate::record::Checkout;
use crate::verify::{Bench, OwnTests, Plan, TestRunner, VerifyError, plan, untested};
use crate::workspace::{Environment, Sandbox, Shadow, WorkspaceError, folder_key};
use std::path::{Path, PathBuf};

/// A repository and an issue, and what is to be known of them before anything is decoded.
pub struct BaseRequest<'a> {
    /// Read, never written.
    pub repo: &'a Path,
    pub issue: &'a str,
    pub budget: Budget,
    pub own_tests: OwnTests,
    /// The environment that is installed for the repository.
    pub environment: Option<&'a Environment>,
    /// The folder that indices of repositories, and their tests, are kept in between runs; `None`:
    /// they are not kept.
    pub index_dir: Option<&'a Path>,
}

/// The base of a run.
pub(super) struct Base<'a> {
    pub places: &'a Places,
    pub bench: Bench<'a>,
    /// Of this run's workspaces.
    pub sandbox: &'a Sandbox,
    pub view: RepoView,
    /// The places that the issue is about, the likeliest first.
    pub located: Located,
    pub checkout: Checkout,
    /// The repository's absolute path.
    pub repo: PathBuf,
    /// The user's way to run the tests, or the environment's.
    pub own_tests: OwnTests,
}

/// Below the folder of indices: tests that were collected.
const TESTS_DIR: &str = "tests";

/// Reads the repository into a shadow below `run_dir`, indexes it, and does `work` with that.
pub(super) fn with_base<T>(
    run_dir: &Path,
    request: &BaseRequest<'_>,
    sandbox: &Sandbox,
    watcher: &dyn Watcher,
    work: impl FnOnce(Base<'_>) -> Result<T, SearchError>,
) -> Result<T, SearchError> {
    let places = Places::make(run_dir)?;
    let shadow = Shadow::open(&places.shadow)?;
    let sandbox = sandbox.for_one_run();
    watcher.stage("reading the repository");
    let found = shadow.snapshot_repository(request.repo)?;
    let (shadow, mut base) = (shadow.beside(&found.large_data), found.tree.clone());
    let checkout = checkout_of(request.repo, &shadow, found)?;
    if let Some(environment) = request.environment {
        base = environment.furnished(&shadow, &base)?;
    }
    let repo = whole_path(request.repo)?;
    watcher.stage("preparing workspaces");
    let (shadow, read_only) = places.layered(shadow, &base, &repo, &checkout);
    tell_what_is_left_out(&checkout, &read_only, watcher);
    let sandbox = places.sandbox(sandbox, checkout.has_git, &shadow, &base)?;
    let sandbox = sandbox.with_data(&repo, &read_only);
    let (files, limits) = (shadow.files(&base)?, RunnerLimits::of_run(&request.budget));
    let (asked, environment) = (&request.own_tests, request.environment);
    let (own_tests, runner) = test_runner(&sandbox, limits, asked, environment, &files)?;
    let runner = runner.keeping_in(request.index_dir.map(|dir| dir.join(TESTS_DIR)));
    let view = RepoView::of_tree(&shadow, &base, &checkout.source_folders)?;
    watcher.stage(&format!("indexing {} files", view.files.len()));
    let index = match request.index_dir {
        Some(dir) => Index::kept(&view, dir, &folder_key(&repo)),
        None => Index::of(&view),
    };
    let located = index.locate(&view, request.issue, &Weights::default());
    let links = index.links(&view, &located);
    drop(index);
    work(Base {
        places: &places,
        bench: places.bench(&shadow, &runner, &base, &links),
        sandbox: &sandbox,
        view,
        located,
        checkout,
        repo,
        own_tests,
    })
}

impl Base<'_> {
    /// The suite and its run on the base, in the time for it.
    pub fn planned(
        &self,
        request: &BaseRequest<'_>,
        clock: &Clock,
        watcher: &dyn Watcher,
    ) -> Result<Plan, SearchError> {
        let check_s_max = RunnerLimits::check_s_max(&request.budget);
        let base_s = clock.base().left().as_secs().min(check_s_max);
        watcher.stage(&format!(
            "running the tests on the base, {base_s} s at most"
        ));
        let near = likely_files(&self.view, &self.located);
        let (bench, sandbox) = (&self.bench, self.sandbox);
        plan_base(bench, sandbox, clock, request.issue, &near, check_s_max)
    }
}

fn whole_path(repo: &Path) -> Result<PathBuf, WorkspaceError> {
    repo.canonicalize().map_err(|source| WorkspaceError::Io {
        what: "read",
        path: repo.to_owned(),
        source,
    })
}

/// The runner of a repository's tests, and the user's way to run them: as was asked, or by its
/// environment's test command where the language's runner is not in the environment.
///
/// Errors as [`TestRunner::for_files`]'s.
pub fn test_runner<'a>(
    sandbox: &'a Sandbox,
    limits: RunnerLimits,
    asked: &OwnTests,
    environment: Option<&Environment>,
    files: &[String],
) -> Result<(OwnTests, TestRunner<'a>), VerifyError> {
    let mut own = asked.clone();
    let spec = environment.map(|environment| &environment.spec);
    if let Some(spec) = spec.filter(|_| asked.command.is_none()) {
        let has_runner = || {
            let found = lang::runner_for(sandbox, limits, files);
            !matches!(
                found,
                Err(LangError::NoPytest { .. } | LangError::NoRunner(_))
            )
        };
        // A suite that takes modules is no other runner's, whichever is there.
        match (&spec.test, &spec.test_modules) {
            (Some(test), Some(folder)) => {
                own.command = Some(format!("{test} {{modules:{}}}", folder.display()));
            }
            (Some(test), None) if !has_runner() => own.command = Some(test.clone()),
            _ => {}
        }
    }
    let runner = TestRunner::for_files(sandbox, limits, own.clone(), files)?;
    Ok((own, runner))
}

/// The suite and its run on the base; no tests at all where those take too long.
pub(super) fn plan_base(
    bench: &Bench<'_>,
    sandbox: &Sandbox,
    clock: &Clock,
    issue: &str,
    near: &[String],
    check_s_max: u64,
) -> Result<Plan, SearchError> {
    let deadline = clock.base();
    let left_s = deadline.left().as_secs_f32();
    sandbox.set_deadline(deadline);
    // Reading the issue and finding the tests take their time, too.
    let runner = bench
        .runner
        .within(check_s_max.min(deadline.left().as_secs() / 2));
    let bench = &Bench {
        runner: &runner,
        ..*bench
    };
    let planned = plan(bench, &[], issue, near).and_then(|mut plan| {
        plan.suite.reached = bench.reached(&plan.suite, &plan.base)?;
        Ok(plan)
    });
    match planned {
        Err(_) if deadline.is_over() => Ok(untested(
            bench,
            &format!(
                "nothing is tested: the tests on the base did not end within {left_s:.1} s, a third of the run's time; raise --wall-s-max, or name fewer tests by --test-cmd"
            ),
        )),
        planned => Ok(planned?),
    }
}

/// Files that the issue is likeliest about, before anything is changed: tests near them come first.
const LIKELY_FILES_MAX: usize = 5;
/// Of the score of the likeliest of them, what the others have at least.
const LIKELY_SHARE: f32 = 0.25;

pub(super) fn likely_files(view: &RepoView, located: &Located) -> Vec<String> {
    let files = located.files.iter();
    let sources = files.filter(|found| found.score > 0.0 && view.files[found.file].is_source());
    let likely: Vec<&FoundFile> = sources.take(LIKELY_FILES_MAX).collect();
    let least = likely.first().map_or(0.0, |best| LIKELY_SHARE * best.score);
    likely
        .into_iter()
        .filter(|found| found.score >= least)
        .map(|found| view.files[found.file].path.clone())
        .collect()
}
