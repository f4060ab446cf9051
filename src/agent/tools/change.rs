//! `edit` and `write`: files changed, checked, and put back where they do not parse.
use super::Executor;
use crate::agent::AgentError;
use crate::agent::action::Change;
use crate::agent::edit::{candidates, rewritten};
use crate::agent::observation::Observation;
use crate::agent::paths::resolve;
use crate::agent::prompt::{CHECK_FAILED, CHECK_PASSED, EDITED, SYNTAX, UNCHANGED, fill};
use crate::lang::{self, ChangedFile, Merged, TextFile};
use crate::record::StepOutcome;
use std::io::ErrorKind;
use std::path::Path;

impl Executor<'_> {
    pub(super) fn edit(
        &self,
        dir: &Path,
        path: &str,
        change: &Change,
    ) -> Result<Observation, AgentError> {
        let file = match self.read(dir, path) {
            Ok(file) => file,
            Err(sentence) => return Ok(Observation::rejected(sentence)),
        };
        match candidates(path, file.text(), change) {
            Ok(candidates) => self.put(dir, path, Some(&file), &candidates),
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
            Ok(_) => match self.read(dir, path) {
                Ok(old) => Some(old),
                Err(sentence) => return Ok(Observation::rejected(sentence)),
            },
        };
        let merged = rewritten(path, old.as_ref().map_or("", TextFile::text), text);
        self.put(dir, path, old.as_ref(), &[merged])
    }

    /// Writes the first candidate that compiles, and runs the check.
    fn put(
        &self,
        dir: &Path,
        path: &str,
        old: Option<&TextFile>,
        candidates: &[Merged],
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
        let new_file = TextFile::new(path);
        let file = old.unwrap_or(&new_file);
        let encoded: Result<Vec<Vec<u8>>, String> =
            candidates.iter().map(|new| file.encode(new)).collect();
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(sentence) => return Ok(Observation::new(StepOutcome::EditFailed, sentence)),
        };
        if old.is_some() && encoded.iter().any(|bytes| bytes == file.bytes()) {
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
        let mut first_error = None;
        for (candidate, bytes) in candidates.iter().zip(&encoded) {
            match std::fs::write(&full, bytes) {
                // A name that the file system does not take.
                Err(e) if old.is_none() => {
                    return Ok(Observation::rejected(format!(
                        "{path} cannot be made: {e}."
                    )));
                }
                Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                    return Ok(Observation::rejected(format!(
                        "{path} cannot be changed: {e}."
                    )));
                }
                written => written.map_err(|e| io("write", e))?,
            }
            match self.fault(dir, path, old.map(TextFile::text), &candidate.text)? {
                None => return self.put_done(dir, path, file.text(), candidate),
                Some(error) => first_error = first_error.or(Some(error)),
            }
        }
        match old {
            Some(old) => std::fs::write(&full, old.bytes()).map_err(|e| io("write", e))?,
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
        let (added, removed) = new.counts(old.lines().count());
        let notes: String = new.notes.iter().map(|note| format!(" {note}")).collect();
        let edited = fill(
            EDITED,
            &[
                ("path", path),
                ("added", &added.to_string()),
                ("removed", &removed.to_string()),
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
