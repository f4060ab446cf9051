//! `run`: a shell command in the sandbox.
use super::Executor;
use crate::agent::AgentError;
use crate::agent::observation::Observation;
use crate::lang;
use crate::record::StepOutcome;
use crate::workspace::CommandEnd;
use std::path::Path;

impl Executor<'_> {
    pub(super) fn run(&self, dir: &Path, command: &str) -> Result<Observation, AgentError> {
        let limits = self.config.command_limits();
        let output = self.sandbox.shell(dir, command, &limits)?;
        let passed = self.tests_passed(command, output.end, &output.text);
        let (outcome, end) = match (passed, output.end) {
            (Some(true), _) => (StepOutcome::TestsPassed, String::new()),
            (Some(false), _) => (StepOutcome::TestsFailed, String::new()),
            (None, CommandEnd::Exited(0)) => (StepOutcome::Ok, String::new()),
            (None, CommandEnd::Exited(code)) => (
                StepOutcome::CommandFailed,
                format!("The command ended with status {code}."),
            ),
            (None, CommandEnd::Signalled(signal)) => (
                StepOutcome::CommandFailed,
                format!("The command was killed by signal {signal}: it broke a limit or crashed."),
            ),
            (None, CommandEnd::TimedOut) => (
                StepOutcome::CommandFailed,
                format!(
                    "The command was stopped after {} seconds.",
                    limits.wall_s_max
                ),
            ),
        };
        let mut text = output.text.trim_end().to_string();
        if text.is_empty() && end.is_empty() {
            text = "The command printed nothing.".into();
        }
        if !end.is_empty() {
            text = format!("{text}\n{end}").trim_start().to_string();
        }
        Ok(Observation::new(outcome, text))
    }

    /// Whether a command was a run of tests that came to an end, and whether all passed.
    fn tests_passed(&self, command: &str, end: CommandEnd, output: &str) -> Option<bool> {
        let own = self.config.test_cmd.trim();
        let by_own = || match end {
            CommandEnd::Exited(status @ 0..=2) if !own.is_empty() && command.contains(own) => {
                Some(status == 0)
            }
            _ => None,
        };
        lang::tests_passed(command, end, output).or_else(by_own)
    }
}
