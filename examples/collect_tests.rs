//! Prints the tests of a repository as egss sees them, an id a line:
//! `cargo run --release --example collect_tests -- DIR PYTHON [run|compare [FILE...]]`.
//!
//! With `run` the tests are run, and the ids are those of the results and of the tests that
//! were not run. Options of the project that do not hold go to standard error, as does how
//! a run went wrong. `scripts/collect-parity` compares the ids with the runner's own.
//!
//! With `compare` the files' tests are run by pytest as it is and by egss, one after the other in
//! the same sandbox, three times: outcomes that differ are printed, and the seconds of each run.
use egss::lang::{RunnerLimits, list_files, parse_junit};
use egss::record::{TestOutcome, TestResult};
use egss::verify::{OwnTests, Scratch, TestRunner};
use egss::workspace::{Limits, Sandbox, SandboxMode, Shadow};
use std::collections::{BTreeMap, BTreeSet};
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
        // Pytest as it is has no limit: a test that looks for a network may take long.
        test_s_max: 60,
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
    if let [word, files @ ..] = rest
        && word == "compare"
    {
        let targets = match files {
            [] => &found.targets,
            files => files,
        };
        return compare(&sandbox, &tests, copy.path(), targets);
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

/// Limits of pytest as it is.
const PLAIN: Limits = Limits {
    wall_s_max: 500,
    memory_bytes_max: 8 << 30,
    processes_max: 256,
    file_bytes_max: 1 << 30,
    output_bytes_max: 64 << 10,
};
const REPORT: &str = "pytest-report.xml";
const ROUNDS: usize = 3;

fn compare(
    sandbox: &Sandbox,
    tests: &TestRunner<'_>,
    dir: &Path,
    targets: &[String],
) -> Result<(), Box<dyn std::error::Error>> {
    let xml = format!("--junitxml={REPORT}");
    let argv = [
        "python3",
        "-B",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        &xml,
    ];
    let argv: Vec<&str> = argv
        .into_iter()
        .chain(targets.iter().map(String::as_str))
        .collect();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let output = sandbox.run(dir, &argv, &PLAIN)?;
        let plain_s = began.elapsed().as_secs_f64();
        let report = std::fs::read_to_string(dir.join(REPORT))
            .map_err(|error| format!("pytest left no report ({error}): {}", output.text))?;
        std::fs::remove_file(dir.join(REPORT))?;
        let plain = results(parse_junit(&report, dir).ok_or("pytest's report does not parse")?);
        let began = Instant::now();
        let ran = tests.runner().run(dir, targets)?;
        let own_s = began.elapsed().as_secs_f64();
        let own = results(ran.tests);
        let ids: BTreeSet<&String> = plain.keys().chain(own.keys()).collect();
        for id in ids.into_iter().filter(|id| plain.get(*id) != own.get(*id)) {
            println!(
                "{id}: {:?} by pytest, {:?} by egss",
                plain.get(id),
                own.get(id)
            );
        }
        println!(
            "{} tests by pytest in {plain_s:.2} s, {} by egss in {own_s:.2} s",
            plain.len(),
            own.len()
        );
        ratios.push(own_s / plain_s);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ROUNDS / 2]);
    Ok(())
}

fn results(tests: Vec<TestOutcome>) -> BTreeMap<String, TestResult> {
    tests
        .into_iter()
        .map(|test| (test.id, test.result))
        .collect()
}
