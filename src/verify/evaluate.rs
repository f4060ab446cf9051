//! From patches to runs and classes: the suite is run on the base again and on
//! each patch, each time in a directory of its own.
use super::VerifyError;
use super::bench::Bench;
use super::classes::{classify, written_tests};
use super::not_run::NotRun;
use super::suite::shows_today;
use crate::base::BranchId;
use crate::record::{SuiteBuilt, SuiteClassified, SuiteRun, TestResult};
use crate::workspace::TreeId;
use std::collections::HashMap;

/// A run longer than this is not repeated to look for flaky tests, nor is the
/// coverage of its patch measured, ms: a person waits for it.
const REPEAT_MS_MAX: u64 = 30_000;

/// All runs and what they say of each test.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// One run for each patch, in the order asked for, as far as time went.
    pub patches: Vec<SuiteRun>,
    pub classified: SuiteClassified,
    /// Patches that leave a file that does not compile, with the first fault.
    pub compile_faults: Vec<(BranchId, String)>,
}

/// Runs the planned suite on every patch's tree, and classes its tests.
///
/// A patch is judged by the base's version of the test files. Equal trees are
/// run once. Set aside are tests whose result on one and the same tree, the
/// base or a patch, was not the same twice, examples that may show today's
/// fault and hold on the base, and tests that the base's run did not come to.
///
/// Where the run's time is over, the patches that were not tested yet have no run: they
/// have neither passed nor failed.
///
/// Cost: for the base one more copy of the tree and run of the tests; for each
/// patch three, the second to find flaky tests, the third for its coverage.
/// What runs longer than 30 s is run once.
pub fn evaluate(
    bench: &Bench<'_>,
    suite: &SuiteBuilt,
    base: &SuiteRun,
    patches: &[(BranchId, TreeId)],
) -> Result<Evaluation, VerifyError> {
    let mut aside = SetAside::default();
    aside.shown_faults(suite, base);
    if is_repeated(base)
        && let Some(again) = in_time(bench.run_base(&suite.text, &suite.repository_tests))?
    {
        aside.flaky(base, &again, "the base");
    }
    let mut runs: Vec<SuiteRun> = Vec::with_capacity(patches.len());
    let mut compile_faults = Vec::new();
    let mut done: HashMap<&TreeId, (usize, Option<String>)> = HashMap::new();
    for (branch, tree) in patches {
        if let Some((twin, fault)) = done.get(tree) {
            let mut run = runs[*twin].clone();
            run.branch = Some(*branch);
            runs.push(run);
            compile_faults.extend(fault.clone().map(|fault| (*branch, fault)));
            continue;
        }
        let Some((mut run, fault)) = in_time(bench.run_patch(*branch, tree, suite))? else {
            break;
        };
        if is_repeated(&run)
            && fault.is_none()
            && let Some((again, coverage)) = in_time(bench.run_again(*branch, tree, suite))?
        {
            aside.flaky(&run, &again, &format!("branch {branch}'s patch"));
            run.coverage = coverage;
        }
        aside.unknown(base, &run);
        done.insert(tree, (runs.len(), fault.clone()));
        runs.push(run);
        compile_faults.extend(fault.map(|fault| (*branch, fault)));
    }
    let mut different: Vec<usize> = done
        .iter()
        .filter(|(tree, (_, fault))| **tree != bench.base && fault.is_none())
        .map(|(_, (at, _))| *at)
        .collect();
    different.sort_unstable();
    let different: Vec<&SuiteRun> = different.into_iter().map(|at| &runs[at]).collect();
    let classes = classify(base, &runs, &aside.tests);
    let classified = SuiteClassified {
        written: written_tests(suite, &classes, &different),
        classes,
        set_aside: aside.tests,
    };
    Ok(Evaluation {
        patches: runs,
        classified,
        compile_faults,
    })
}

/// A run's result; `None` where the run's time was over before it.
fn in_time<T>(run: Result<T, VerifyError>) -> Result<Option<T>, VerifyError> {
    match run {
        Err(error) if error.is_deadline() => Ok(None),
        run => run.map(Some),
    }
}

fn is_repeated(run: &SuiteRun) -> bool {
    run.tests.iter().map(|test| test.ms).sum::<u64>() <= REPEAT_MS_MAX
}

/// Tests whose results say nothing of a patch, each with the first reason found.
#[derive(Default)]
struct SetAside {
    tests: Vec<(String, String)>,
}

impl SetAside {
    fn put(&mut self, id: &str, why: String) {
        if !self.tests.iter().any(|(known, _)| known == id) {
            self.tests.push((id.to_owned(), why));
        }
    }

    /// Examples of the issue that may show today's fault, and do: they pass on
    /// the base.
    fn shown_faults(&mut self, suite: &SuiteBuilt, base: &SuiteRun) {
        let shown = base.tests.iter();
        for test in shown.filter(|test| shows_today(suite, test)) {
            let why =
                "the issue shows it without saying that it should hold, and it holds on the base";
            self.put(&test.id, why.to_owned());
        }
    }

    /// Tests that the base's run did not come to: a patch's result has nothing to be
    /// compared with.
    fn unknown(&mut self, base: &SuiteRun, run: &SuiteRun) {
        let not_run = NotRun::of(base);
        for test in run.tests.iter().filter(|test| not_run.has(&test.id)) {
            let why = "the run on the base ended before it came to this test";
            self.put(&test.id, why.to_owned());
        }
    }

    /// Tests whose result on the same tree was not the same twice.
    fn flaky(&mut self, first: &SuiteRun, second: &SuiteRun, place: &str) {
        let again: HashMap<&str, TestResult> = second
            .tests
            .iter()
            .map(|test| (test.id.as_str(), test.result))
            .collect();
        let passed = |result| result == TestResult::Passed;
        for test in &first.tests {
            if let Some(&other) = again.get(test.id.as_str())
                && passed(test.result) != passed(other)
            {
                let why = format!("flaky: its result on {place} was not the same twice");
                self.put(&test.id, why);
            }
        }
    }
}
