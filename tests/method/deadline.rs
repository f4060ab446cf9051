//! Wall time is a deadline: a run ends within it, with a result, whatever it is doing.
use crate::{SUBMIT, request, run_command, sandbox, tools};
use egss::base::{AgentProfile, Budget};
use egss::engine::scripted::ScriptedEngine;
use egss::record::{BranchStatus, RECORD_FILE, read_record};
use egss::search::{RunState, SolveRequest, Tools, solve, strategy_named};
use egss::verify::OwnTests;
use std::time::{Duration, Instant};

/// The time that a run may take beyond its wall time: a check-out, a record's last lines.
const GRACE: Duration = Duration::from_secs(5);

/// A run of an engine that says what `say` makes of how much was said before, in a package
/// of one line that is tested by `test_cmd`.
fn run(
    say: impl Fn(usize) -> String + Send + 'static,
    test_cmd: Option<&str>,
    wall_s_max: u64,
) -> RunState {
    run_after(Duration::ZERO, say, test_cmd, wall_s_max)
}

/// The same after a model that took `loading`.
fn run_after(
    loading: Duration,
    say: impl Fn(usize) -> String + Send + 'static,
    test_cmd: Option<&str>,
    wall_s_max: u64,
) -> RunState {
    let policy = move |tokens: &[u32]| vec![(say(tokens.len()), 1.0)];
    let mut engine = ScriptedEngine::from_policy(policy).with_context_max(1_000_000);
    let (repo, run_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(repo.path().join("notes.py"), "notes = []\n").unwrap();
    let profile = AgentProfile::small();
    let budget = Budget {
        wall_s_max,
        steps_max: 1_000,
        ..Budget::default()
    };
    let strategy = strategy_named("egss", 4, 4, &profile).unwrap();
    let request = SolveRequest {
        budget,
        own_tests: OwnTests {
            command: test_cmd.map(str::to_owned),
            junit: None,
        },
        ..request(repo.path(), &strategy, &profile)
    };
    let (sandbox, began) = (sandbox(), Instant::now());
    let tools = Tools {
        began: began
            .checked_sub(loading)
            .expect("a machine that runs for a while"),
        ..tools(&mut engine, &sandbox)
    };
    let state = solve(run_dir.path(), &request, tools).unwrap();
    let (wall, took) = (Duration::from_secs(wall_s_max), began.elapsed());
    assert!(took <= wall + GRACE, "{took:?} of {wall:?}");
    assert!(state.ended.is_some(), "the record lacks its end");
    let (lines, _) = read_record(&run_dir.path().join(RECORD_FILE)).unwrap();
    assert_eq!(RunState::of_record(&lines).ended, state.ended);
    state
}

fn statuses(state: &RunState) -> Vec<BranchStatus> {
    let ended = state.branches.iter().filter_map(|b| b.ended.as_ref());
    ended.map(|ended| ended.status).collect()
}

#[test]
fn a_command_that_does_not_end_ends_with_the_search() {
    let state = run(|_| run_command("sleep 600"), None, 8);
    assert_eq!(statuses(&state), [BranchStatus::WallTimeSpent]);
    assert!(state.steps.is_empty(), "what was cut short is no step");
}

#[test]
fn steps_without_end_end_with_the_search() {
    let state = run(|n| run_command(&format!("echo {n}; sleep 1")), None, 8);
    assert!(statuses(&state).contains(&BranchStatus::WallTimeSpent));
    assert!(!state.steps.is_empty());
}

#[test]
fn tests_of_the_base_that_take_too_long_leave_a_run_without_tests() {
    // Longer than a command of tests may take: it says nothing, and the run goes on.
    let state = run(|_| SUBMIT.to_owned(), Some("sleep 600"), 12);
    assert_eq!(state.base_run().unwrap().not_run, ["test-cmd"]);
    // Longer than the share of the base.
    let state = run(|_| SUBMIT.to_owned(), Some("sleep 600"), 2);
    let base = state.base_run().unwrap();
    assert!(base.tests.is_empty());
    let fault = base.fault.as_ref().unwrap();
    assert!(
        fault.starts_with("nothing is tested: the tests on the base did not end within 0."),
        "{fault}"
    );
}

#[test]
fn a_run_whose_time_went_into_loading_ends_with_a_record() {
    let loading = Duration::from_secs(10);
    let state = run_after(loading, |_| SUBMIT.to_owned(), None, 5);
    assert!(state.branches.is_empty());
    assert!(state.base_run().unwrap().fault.is_some());
}
