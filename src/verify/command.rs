//! A repository that no language's runner fits: its tests run by the user's command
//! alone, and there is no suite of the program's own.
use crate::lang::{
    Consolidated, Dropped, LangError, Ran, Runner, RunnerLimits, TestSource, is_test,
};
use crate::workspace::{Limits, Sandbox};
use std::path::Path;

#[derive(Clone)]
pub(super) struct CommandRunner<'a> {
    sandbox: &'a Sandbox,
    limits: RunnerLimits,
}

impl<'a> CommandRunner<'a> {
    pub fn new(sandbox: &'a Sandbox, limits: RunnerLimits) -> Self {
        Self { sandbox, limits }
    }
}

impl Runner for CommandRunner<'_> {
    fn name(&self) -> &'static str {
        "test command"
    }

    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_> {
        let mut runner = self.clone();
        runner.limits.run_s_max = run_s_max;
        Box::new(runner)
    }

    fn test_command(&self) -> &'static str {
        ""
    }

    fn suite_file(&self) -> &'static str {
        ""
    }

    fn is_test_file(&self, path: &str) -> bool {
        is_test(path)
    }

    fn is_source(&self, _: &str) -> bool {
        false
    }

    fn targets(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }

    /// No source becomes a test: nothing is known that would run it.
    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        let dropped = sources.iter().map(|source| Dropped {
            origin: source.origin.clone(),
            why: "no runner of this repository's tests is known".to_owned(),
        });
        Ok(Consolidated {
            dropped: dropped.collect(),
            ..Consolidated::default()
        })
    }

    fn source_fault(&self, _: &Path, _: &str) -> Result<Option<String>, LangError> {
        Ok(Some(
            "no runner of this repository's tests is known".to_owned(),
        ))
    }

    fn request_for_tests(&self) -> &'static str {
        "Write tests for this issue, one file in one fenced code block; there are {{known}}."
    }

    fn run(&self, _: &Path, _: &[String]) -> Result<Ran, LangError> {
        Ok(Ran::default())
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max)
    }
}
