//! Prints the tests of a repository as egss sees them, an id a line:
//! `cargo run --release --example collect_tests -- DIR PYTHON [run]`.
//!
//! With `run` the tests are run, and the ids are those of the results and of the tests that
//! were not run. Options of the project that do not hold go to standard error, as does how
//! a run went wrong. `scripts/collect-parity` compares the ids with the runner's own.
use egss::lang::{RunnerLimits, list_files};
use egss::verify::{OwnTests, Scratch, TestRunner};
use egss::workspace::{Sandbox, SandboxMode, Shadow};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, python, rest @ ..] = arguments.as_slice() else {
        return Err("usage: collect_tests DIR PYTHON [run]".into());
    };
    let (dir, python) = (Path::new(dir).canonicalize()?, Path::new(python));
    let sandbox = Sandbox::new(SandboxMode::Bubblewrap, python)?.seen_at(&dir);
    let own = tempfile::tempdir()?;
    let shadow = Shadow::open(&own.path().join("shadow"))?;
    let tree = shadow.snapshot(&dir)?;
    let scratch = Scratch::new(own.path());
    let copy = scratch.copy(&shadow, &tree)?;
    let files = list_files(copy.path())?;
    let limits = RunnerLimits {
        run_s_max: 500,
        ..RunnerLimits::default()
    };
    let tests = TestRunner::for_files(&sandbox, limits, OwnTests::default(), &files)?;
    let began = Instant::now();
    let found = tests.runner().collect(copy.path(), &files)?;
    for option in &found.options_dropped {
        eprintln!("dropped: {option}");
    }
    if let Some(fault) = &found.fault {
        eprintln!("fault: {fault}");
    }
    let mut ids = found.ids;
    if rest.first().is_some_and(|word| word == "run") {
        let ran = tests.runner().run(copy.path(), &found.targets)?;
        eprintln!(
            "{} ended, {} not run, {:.1} s{}",
            ran.tests.len(),
            ran.not_run.len(),
            began.elapsed().as_secs_f32(),
            ran.fault
                .map_or(String::new(), |fault| format!(": {fault}"))
        );
        ids = ran.tests.into_iter().map(|test| test.id).collect();
        ids.extend(ran.not_run);
    }
    for id in ids {
        println!("{id}");
    }
    Ok(())
}
