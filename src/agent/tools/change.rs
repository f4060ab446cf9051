//! `edit` and `write`: files changed, checked, and put back where they do not parse.
use super::{Executor, read};
use crate::agent::AgentError;
use crate::agent::action::Change;
use crate::agent::edit::{candidates, rewritten};
use crate::agent::observation::Observation;
use crate::agent::paths::resolve;
use crate::agent::prompt::{CHECK_FAILED, CHECK_PASSED, EDITED, SYNTAX, UNCHANGED, fill};
use crate::lang::{self, ChangedFile, Merged};
use crate::record::StepOutcome;
use std::path::Path;

impl Executor<'_> {
    pub(super) fn edit(
        &self,
        dir: &Path,
        path: &str,
        change: &Change,
    ) -> Result<Observation, AgentError> {
        let text = match read(dir, path) {
            Ok(text) => text,
            Err(sentence) => return Ok(Observation::rejected(sentence)),
        };
        match candidates(path, &text, change) {
            Ok(candidates) => self.put(dir, path, Some(&text), candidates),
            Err(sentence) => Ok(Observation::new(StepOutcome::EditFailed, sentence)),
        }
    }

    pub(super) fn write(
        &self,
        dir: &Path,
        path: &str,
        text: &str,
    ) -> Result<Observation, AgentError> {
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
        // A link to a test is that test.
        let real = full.canonicalize().unwrap_or_else(|_| full.clone());
        let plain = real.strip_prefix(&root).ok().and_then(Path::to_str);
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
        let original = before.as_deref().map(String::from_utf8_lossy);
        let mut first_error = None;
        for candidate in &candidates {
            let text = with_line_ends_of(original.as_deref().unwrap_or_default(), &candidate.text);
            match std::fs::write(&full, text) {
                // A name that the file system does not take.
                Err(e) if old.is_none() => {
                    return Ok(Observation::rejected(format!(
                        "{path} cannot be made: {e}."
                    )));
                }
                written => written.map_err(|e| io("write", e))?,
            }
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

    /// The fault that keeps a changed file from being parsed.
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
            limits: self.config.command_limits(),
        });
        Ok(fault?)
    }
}

/// `new`, which has plain line ends, with the line ends of `original`: a line that stays
/// keeps its own, another takes the one that most lines have.
fn with_line_ends_of(original: &str, new: &str) -> String {
    const CRLF: &str = "\r\n";
    let n_crlf = original.matches(CRLF).count();
    if n_crlf == 0 {
        return new.to_owned();
    }
    let most_are_crlf = 2 * n_crlf >= original.matches('\n').count();
    let had: Vec<&str> = original.split_inclusive('\n').collect();
    let plain = original.replace(CRLF, "\n");
    let mut text = String::with_capacity(new.len() + n_crlf);
    let diff = similar::TextDiff::from_lines(plain.as_str(), new);
    let lines = diff.iter_all_changes();
    for line in lines.filter(|line| line.tag() != similar::ChangeTag::Delete) {
        let is_crlf = match line.old_index() {
            Some(at) => had[at].ends_with(CRLF),
            None => most_are_crlf,
        };
        match line.value().strip_suffix('\n') {
            Some(bare) if is_crlf => text.extend([bare, CRLF]),
            _ => text.push_str(line.value()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_line_ends_of;

    #[test]
    fn lines_that_stay_keep_their_line_ends() {
        let mixed = "a\r\nb\nc\r\n";
        assert_eq!(
            with_line_ends_of(mixed, "a\nb\nx\nc\n"),
            "a\r\nb\nx\r\nc\r\n"
        );
        assert_eq!(with_line_ends_of("a\nb\nc\r\n", "a\nx\nc\n"), "a\nx\nc\r\n");
        assert_eq!(with_line_ends_of("a\nb", "a\nc"), "a\nc");
        // A last line without an end.
        assert_eq!(with_line_ends_of("a\r\nb", "x\nb"), "x\r\nb");
        assert_eq!(with_line_ends_of("", "x\n"), "x\n");
    }
}
