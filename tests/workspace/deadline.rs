//! Commands and the time of the run that they belong to.
use crate::sandbox::sandbox;
use egss::base::Deadline;
use egss::workspace::{Limits, Toolchain, WorkspaceError};
use std::time::{Duration, Instant};

#[test]
fn a_command_ends_with_the_deadline_of_its_run_and_of_no_other() {
    let sandbox = sandbox();
    let (one, other) = (sandbox.for_one_run(), sandbox.for_one_run());
    let dir = tempfile::tempdir().unwrap();
    one.set_deadline(Deadline::within(Duration::from_millis(500)));
    let began = Instant::now();
    // A copy has its deadline.
    let copy = one.clone().with_toolchain(Toolchain::default());
    let result = copy.shell(dir.path(), "sleep 100", &Limits::default());
    assert!(
        matches!(result, Err(WorkspaceError::DeadlinePassed)),
        "{result:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
    let marked = dir.path().join("ran");
    let result = one.shell(dir.path(), "touch ran", &Limits::default());
    assert!(
        matches!(result, Err(WorkspaceError::DeadlinePassed)),
        "{result:?}"
    );
    assert!(!marked.exists(), "a command began behind the deadline");
    for free in [&other, &sandbox] {
        let output = free
            .shell(dir.path(), "echo on", &Limits::default())
            .unwrap();
        assert_eq!(output.text, "on\n");
    }
}
