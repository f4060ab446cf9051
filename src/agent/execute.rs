//! Carries out an action in a workspace.
use super::action::{Action, Change};
use super::check::AfterEdit;
use super::config::AgentConfig;
use super::context::numbered;
use super::edit::{candidates, rewritten};
use super::observation::{Observation, cut_middle};
use super::paths::resolve;
use super::prompt::{CHECK_FAILED, CHECK_PASSED, EDITED, SYNTAX, UNCHANGED, fill};
use super::repo::{FILE_BYTES_MAX, RepoView};
use super::tool::ParamKind;
use super::{AgentError, parse::ParseError};
use crate::lang::{self, ChangedFile, Merged, nearest_names, nearest_place};
use crate::record::StepOutcome;
use crate::workspace::{CommandEnd, Sandbox};
use std::path::Path;

/// Executes actions. It holds no state: a workspace's directory is an argument.
pub struct Executor<'a> {
    sandbox: &'a Sandbox,
    config: &'a AgentConfig,
    check: Option<&'a dyn AfterEdit>,
}

impl<'a> Executor<'a> {
    /// `check` runs after an edit where [`AgentConfig::check_after_edit`] asks for it.
    pub fn new(
        sandbox: &'a Sandbox,
        config: &'a AgentConfig,
        check: Option<&'a dyn AfterEdit>,
    ) -> Self {
        Self {
            sandbox,
            config,
            check: check.filter(|_| config.check_after_edit),
        }
    }

    /// Carries out `action` in `dir`. What the model did wrong is an
    /// observation; errors are the world's.
    pub fn execute(&self, dir: &Path, action: &Action) -> Result<Observation, AgentError> {
        let result = match action {
            Action::View { path, lines } => Ok(self.view(dir, path, *lines)),
            Action::Search { text } => self.search(dir, text),
            Action::Edit { path, change } => self.edit(dir, path, change),
            Action::Write { path, text } => self.write(dir, path, text),
            Action::Run { command } => self.run(dir, command),
            Action::Submit => Ok(Observation::new(StepOutcome::Submitted, "Submitted.")),
        };
        result.map(|mut observation| {
            observation.text = cut_middle(
                observation.text.trim_end(),
                self.config.observation_chars_max,
            );
            observation
        })
    }

    /// What the model is told when its text held no action.
    pub fn unreadable(&self, error: &ParseError) -> Observation {
        Observation::rejected(fill(super::prompt::NO_CALL, &[("reason", &error.0)]))
    }

    fn view(&self, dir: &Path, path: &str, lines: Option<(usize, usize)>) -> Observation {
        let text = match read(dir, path) {
            Ok(text) => text,
            Err(sentence) => return Observation::rejected(sentence),
        };
        let all: Vec<&str> = text.lines().collect();
        if all.is_empty() {
            return Observation::new(StepOutcome::Ok, format!("{path} is empty."));
        }
        let (start, asked_end) = lines.unwrap_or((1, all.len()));
        if start > all.len() {
            return Observation::rejected(format!(
                "{path} has {} lines; there is no line {start}.",
                all.len()
            ));
        }
        let end = asked_end
            .min(all.len())
            .min(start - 1 + self.config.view_lines_max);
        let part = all[start - 1..end].join("\n");
        // Numbers only for tools that name lines by them.
        let shown = match self.config.line_numbers || self.config.tools.takes(ParamKind::Line) {
            true => numbered(&part, start - 1),
            false => part + "\n",
        };
        let mut shown = format!("{path}, lines {start} to {end} of {}:\n{shown}", all.len());
        if end < asked_end.min(all.len()) {
            shown += &format!("There is more: view lines {} on.", end + 1);
        }
        Observation::new(StepOutcome::Ok, shown)
    }

    fn search(&self, dir: &Path, wanted: &str) -> Result<Observation, AgentError> {
        let view = RepoView::read(dir)?;
        let hits = |matches: &dyn Fn(&str) -> bool| -> Vec<String> {
            let mut hits = Vec::new();
            for file in &view.files {
                let lines = file.text.as_deref().unwrap_or_default().lines();
                for (at, line) in lines.enumerate().filter(|(_, line)| matches(line)) {
                    hits.push(format!("{}:{}: {}", file.path, at + 1, line.trim_end()));
                }
            }
            hits
        };
        let lower = wanted.to_lowercase();
        let mut found = hits(&|line| line.contains(wanted));
        if found.is_empty() {
            found = hits(&|line| line.to_lowercase().contains(&lower));
        }
        if found.is_empty() {
            let mut sentence = format!("\"{wanted}\" occurs in no file.");
            let nearest = view.files.iter().find_map(|file| {
                let text = file.text.as_deref()?;
                let at = nearest_place(text, wanted)?.start;
                Some(format!(
                    "{}:{}: {}",
                    file.path,
                    at + 1,
                    text.lines().nth(at)?
                ))
            });
            if let Some(nearest) = nearest {
                sentence += &format!(" The nearest line:\n{nearest}");
            }
            return Ok(Observation::new(StepOutcome::Ok, sentence));
        }
        let (n, max) = (found.len(), self.config.search_hits_max);
        found.truncate(max);
        if n > max {
            found.push(format!("... and {} more", n - max));
        }
        Ok(Observation::new(StepOutcome::Ok, found.join("\n")))
    }

    fn edit(&self, dir: &Path, path: &str, change: &Change) -> Result<Observation, AgentError> {
        let text = match read(dir, path) {
            Ok(text) => text,
            Err(sentence) => return Ok(Observation::rejected(sentence)),
        };
        match candidates(path, &text, change) {
            Ok(candidates) => self.put(dir, path, Some(&text), candidates),
            Err(sentence) => Ok(Observation::new(StepOutcome::EditFailed, sentence)),
        }
    }

    fn write(&self, dir: &Path, path: &str, text: &str) -> Result<Observation, AgentError> {
        let old = match resolve(dir, path) {
            Err(sentence) => return Ok(Observation::rejected(sentence)),
            Ok(full) if full.symlink_metadata().is_err() => None,
            Ok(_) => match read(dir, path) {
                Ok(old) => Some(old),
                Err(sentence) => return Ok(Observation::rejected(sentence)),
            },
        };
        let merged = rewritten(path, old.as_deref().unwrap_or_default(), text);
        self.put(dir, path, old.as_deref(), vec![merged])
    }

    /// Writes the first candidate that compiles, and runs the check.
    fn put(
        &self,
        dir: &Path,
        path: &str,
        old: Option<&str>,
        candidates: Vec<Merged>,
    ) -> Result<Observation, AgentError> {
        let full = match resolve(dir, path) {
            Ok(full) => full,
            Err(sentence) => return Ok(Observation::rejected(sentence)),
        };
        let tests = &self.config.scope.tests;
        let root = dir.canonicalize().unwrap_or_default();
        let plain = full.strip_prefix(&root).ok().and_then(Path::to_str);
        if plain.is_some_and(|plain| tests.contains(plain)) {
            return Ok(Observation::rejected(format!(
                "{path} is one of the repository's own tests: they stay as they are. Change the code that they test, or write a test file of a new name."
            )));
        }
        let io = |what, source| AgentError::Io {
            what,
            path: full.clone(),
            source,
        };
        if candidates.iter().any(|c| Some(c.text.as_str()) == old) {
            let text = fill(UNCHANGED, &[("path", path)]);
            return Ok(Observation::new(StepOutcome::EditFailed, text));
        }
        if let Some(parent) = full.parent()
            && let Err(e) = std::fs::create_dir_all(parent)
        {
            return Ok(Observation::rejected(format!(
                "{path} cannot be made: {e}."
            )));
        }
        let before = match old {
            Some(_) => Some(std::fs::read(&full).map_err(|e| io("read", e))?),
            None => None,
        };
        let crlf = before
            .as_ref()
            .is_some_and(|bytes| bytes.windows(2).any(|w| w == b"\r\n"));
        let mut first_error = None;
        for candidate in &candidates {
            let text = match crlf {
                true => candidate.text.replace('\n', "\r\n"),
                false => candidate.text.clone(),
            };
            std::fs::write(&full, text).map_err(|e| io("write", e))?;
            match self.fault(dir, path, old, &candidate.text)? {
                None => return self.put_done(dir, path, old.unwrap_or(""), candidate),
                Some(error) => first_error = first_error.or(Some(error)),
            }
        }
        match &before {
            Some(bytes) => std::fs::write(&full, bytes).map_err(|e| io("write", e))?,
            None => std::fs::remove_file(&full).map_err(|e| io("remove", e))?,
        }
        let error = first_error.unwrap_or_default();
        let text = fill(SYNTAX, &[("path", path), ("error", error.trim_end())]);
        Ok(Observation::new(StepOutcome::EditFailed, text))
    }

    fn put_done(
        &self,
        dir: &Path,
        path: &str,
        old: &str,
        new: &Merged,
    ) -> Result<Observation, AgentError> {
        let diff = similar::TextDiff::from_lines(old, &new.text);
        let count = |tag| {
            diff.iter_all_changes()
                .filter(|c| c.tag() == tag)
                .count()
                .to_string()
        };
        let notes: String = new.notes.iter().map(|note| format!(" {note}")).collect();
        let edited = fill(
            EDITED,
            &[
                ("path", path),
                ("added", &count(similar::ChangeTag::Insert)),
                ("removed", &count(similar::ChangeTag::Delete)),
                ("notes", &notes),
            ],
        );
        let report = match self.check {
            Some(check) => check.check(dir)?,
            None => None,
        };
        Ok(match report {
            None => Observation::new(StepOutcome::Ok, edited),
            Some(report) if report.passed => Observation::new(
                StepOutcome::TestsPassed,
                fill(CHECK_PASSED, &[("edited", &edited)]),
            ),
            Some(report) => Observation {
                new_failure: report.new_failure,
                ..Observation::new(
                    StepOutcome::TestsFailed,
                    fill(
                        CHECK_FAILED,
                        &[("edited", &edited), ("report", report.text.trim_end())],
                    ),
                )
            },
        })
    }

    /// What keeps a changed file from being parsed.
    fn fault(
        &self,
        dir: &Path,
        path: &str,
        before: Option<&str>,
        after: &str,
    ) -> Result<Option<String>, AgentError> {
        let fault = lang::of_path(path).fault(&ChangedFile {
            sandbox: self.sandbox,
            dir,
            path,
            before,
            after,
            limits: self.config.command_limits,
        });
        Ok(fault?)
    }

    fn run(&self, dir: &Path, command: &str) -> Result<Observation, AgentError> {
        let limits = &self.config.command_limits;
        let output = self.sandbox.shell(dir, command, limits)?;
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

/// A text file's content, line ends as `\n`. Errors: one sentence.
fn read(dir: &Path, path: &str) -> Result<String, String> {
    let full = resolve(dir, path)?;
    let Ok(meta) = full.metadata() else {
        return Err(no_such_file(dir, path));
    };
    if meta.is_dir() {
        return Err(format!("{path} is a directory.{}", children(&full)));
    }
    if !meta.is_file() {
        return Err(format!("{path} is no regular file."));
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(format!(
            "{path} is too long to show or change ({} kB); search in it.",
            meta.len() / 1_000
        ));
    }
    let bytes = std::fs::read(&full).map_err(|e| format!("{path} cannot be read: {e}."))?;
    if bytes.contains(&0) {
        return Err(format!("{path} is a binary file."));
    }
    String::from_utf8(bytes)
        .map(|text| text.replace("\r\n", "\n"))
        .map_err(|_| format!("{path} is not UTF-8 text."))
}

fn no_such_file(dir: &Path, path: &str) -> String {
    let view = RepoView::read(dir).unwrap_or_default();
    let paths: Vec<&str> = view.files.iter().map(|f| f.path.as_str()).collect();
    let near = nearest_names(path, &paths, 3);
    match near.is_empty() {
        true => format!("There is no file {path}."),
        false => format!("There is no file {path}. The nearest: {}.", near.join(", ")),
    }
}

/// The files of a directory that a model took for a file.
fn children(full: &Path) -> String {
    let entries = std::fs::read_dir(full).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.truncate(30);
    match names.is_empty() {
        true => String::new(),
        false => format!(" It holds: {}.", names.join(", ")),
    }
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
