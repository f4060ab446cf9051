//! From sources to a suite that can be collected on the base.
use super::VerifyError;
use super::bench::Bench;
use super::order::{in_order, reasons};
use super::suite::{goals, unclear};
use crate::lang::{Consolidated, Dropped, TestSource};
use crate::record::{SuiteBuilt, SuiteRun, TestOutcome};

/// The suite, and its first run on the base.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub suite: SuiteBuilt,
    pub base: SuiteRun,
    /// What did not get into the suite, and why.
    pub dropped: Vec<Dropped>,
}

/// Builds the suite out of the issue's own examples and `sources`, and runs it
/// and the repository's tests on the base: those that the issue names first, then by their
/// nearness to the files `near`, as far as time goes.
///
/// A source that makes the suite uncollectable on the base is dropped and named.
pub fn plan(
    bench: &Bench<'_>,
    sources: &[TestSource],
    issue: &str,
    near: &[String],
) -> Result<Plan, VerifyError> {
    let runner = bench.runner.runner();
    let found = bench.collect_base()?;
    // Reading changes nothing, so the first run takes the same copy.
    let dir = bench.copy(bench.base)?;
    let order = in_order(bench.links, &found, dir.path(), issue, near);
    let reasons = reasons(&order);
    let repository_tests: Vec<String> = order.into_iter().map(|(path, _)| path).collect();
    let examples = runner.issue_examples(dir.path(), issue)?;
    let mut sources = [examples.sources, sources.to_vec()].concat();
    let mut dropped = examples.dropped;
    let mut suite = runner.consolidate(&sources)?;
    let mut base = bench.run_base_in(dir.path(), &suite.text, &repository_tests)?;
    drop(dir);
    if !is_collectable(bench, &base) {
        let (kept, bad) = collectable(bench, sources)?;
        sources = kept;
        dropped.extend(bad);
        suite = runner.consolidate(&sources)?;
        base = bench.run_base(&suite.text, &repository_tests)?;
        if !is_collectable(bench, &base) {
            dropped.push(Dropped {
                origin: "the suite as a whole".to_owned(),
                why: "its sources can be collected alone, but not together".to_owned(),
            });
            suite = Consolidated::default();
            base = bench.run_base("", &repository_tests)?;
        }
    }
    dropped.extend(suite.dropped);
    dropped.extend(found.fault.map(|why| Dropped {
        origin: "the project's configuration".to_owned(),
        why,
    }));
    let sources = suite.tests.iter();
    let mut suite = SuiteBuilt {
        file: runner.suite_file().to_owned(),
        text: suite.text,
        repository_tests,
        order: reasons,
        documented: found.documented,
        options_dropped: found.options_dropped,
        sources: sources
            .map(|(name, origin)| format!("{name}: {origin}"))
            .collect(),
        dropped: dropped.iter().map(ToString::to_string).collect(),
        goals: goals(&base, issue),
        ..SuiteBuilt::default()
    };
    for (id, name) in unclear(&suite, &base, issue, |text| runner.foreign_exception(text)) {
        let why = format!("it raises {name} on the base, which the issue does not name");
        let origin = id.to_owned();
        let test = Dropped { origin, why };
        suite.unclear.push(id.to_owned());
        suite.dropped.push(test.to_string());
        dropped.push(test);
    }
    Ok(Plan {
        suite,
        base,
        dropped,
    })
}

/// The plan of a run without tests, and why it has none.
pub fn untested(bench: &Bench<'_>, why: &str) -> Plan {
    Plan {
        suite: SuiteBuilt {
            file: bench.runner.runner().suite_file().to_owned(),
            ..SuiteBuilt::default()
        },
        base: SuiteRun {
            fault: Some(why.to_owned()),
            ..SuiteRun::default()
        },
        dropped: Vec::new(),
    }
}

/// The sources whose suite of their own can be collected on the base.
fn collectable(
    bench: &Bench<'_>,
    sources: Vec<TestSource>,
) -> Result<(Vec<TestSource>, Vec<Dropped>), VerifyError> {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for source in sources {
        let alone = bench
            .runner
            .runner()
            .consolidate(std::slice::from_ref(&source))?;
        let run = bench.run_alone(bench.base, &alone.text)?;
        match suite_error(bench, &run) {
            None => kept.push(source),
            Some(error) => dropped.push(Dropped {
                origin: source.origin,
                why: format!("cannot be collected on the base: {}", error.message),
            }),
        }
    }
    Ok((kept, dropped))
}

pub(super) fn suite_error<'a>(bench: &Bench<'_>, run: &'a SuiteRun) -> Option<&'a TestOutcome> {
    let file = bench.runner.runner().suite_file();
    run.tests.iter().find(|test| test.id == file)
}

fn is_collectable(bench: &Bench<'_>, run: &SuiteRun) -> bool {
    suite_error(bench, run).is_none()
}
