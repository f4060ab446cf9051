//! A check after an edit, of a whole patch that somebody else wrote.
use super::base::{BaseRequest, with_base};
use super::check::SuiteCheck;
use super::clock::Clock;
use super::error::SearchError;
use super::views::Views;
use super::watch::Watcher;
use crate::base::Deadline;
use crate::lang::RunnerLimits;
use crate::record::{SuiteBuilt, SuiteRun};
use crate::verify::{Bench, apply_patch};
use crate::workspace::Sandbox;
use std::path::Path;
use std::time::{Duration, Instant};

/// The check of a patch, and what it was compared with.
pub struct PatchCheck {
    /// The suite; its order of the repository's tests is by their nearness to the patch.
    pub suite: SuiteBuilt,
    pub base: SuiteRun,
    pub base_time: Duration,
    pub run: SuiteRun,
    pub check_time: Duration,
    /// Tests that fail with the patch and pass on the base: those that did not come to run
    /// there before were run for it.
    pub regressions: Vec<String>,
}

/// Checks a patch of `request.repo` as a run checks an agent's edit: the tests on the base
/// first, and then on the patch those nearest to it, each for `--check-s-max`.
///
/// The issue is read as a run's. Errors: `BadPatch` where the patch does not apply.
pub fn check_patch(
    run_dir: &Path,
    request: &BaseRequest<'_>,
    sandbox: &Sandbox,
    watcher: &dyn Watcher,
    patch: &str,
) -> Result<PatchCheck, SearchError> {
    with_base(run_dir, request, sandbox, watcher, |base| {
        let wall = Duration::from_secs(request.budget.wall_s_max);
        let clock = Clock::new(wall, Deadline::NEVER);
        let began = Instant::now();
        let plan = base.planned(request, &clock, watcher)?;
        let base_time = began.elapsed();
        let check_s_max = RunnerLimits::check_s_max(&request.budget);
        let runner = base.bench.runner.within(check_s_max);
        let bench = Bench {
            runner: &runner,
            ..base.bench
        };
        let dir = bench.scratch.copy(bench.shadow, bench.base)?;
        if let Some(why) = apply_patch(dir.path(), patch)? {
            return Err(SearchError::BadPatch(why));
        }
        let folders = &base.checkout.source_folders;
        let views = Views::new(bench.shadow, bench.base, &base.view, folders);
        let check = SuiteCheck::new(bench, &plan.suite, &plan.base, &views);
        watcher.stage(&format!("checking the patch, {check_s_max} s at most"));
        base.sandbox.set_deadline(Deadline::NEVER);
        let began = Instant::now();
        let (suite, run) = check.ran(&bench.shadow.snapshot(dir.path())?)?;
        let check_time = began.elapsed();
        Ok(PatchCheck {
            regressions: check.regressions(&run),
            suite,
            run,
            base: plan.base,
            base_time,
            check_time,
        })
    })
}
