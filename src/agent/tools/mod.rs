//! Carries out actions: one file a tool.
mod change;
mod list;
mod run;
mod search;
mod view;

use super::action::Action;
use super::check::AfterEdit;
use super::config::AgentConfig;
use super::observation::Observation;
use super::paths::resolve;
use super::prompt::{NO_CALL, fill};
use super::{AgentError, parse_error::ParseError};
use crate::index::{FILE_BYTES_MAX, RepoFile, RepoView};
use crate::lang::{TextFile, nearest_names};
use crate::record::StepOutcome;
use crate::workspace::Sandbox;
use std::borrow::Cow;
use std::path::Path;

const NOTHING_TO_UNDO: &str = "No file has been changed: there is nothing to undo.";

/// Executes actions. It holds no state: a workspace's directory is an argument.
pub struct Executor<'a> {
    sandbox: &'a Sandbox,
    config: &'a AgentConfig,
    check: Option<&'a dyn AfterEdit>,
    undo: Option<&'a Undo<'a>>,
    view: Option<&'a RepoView>,
}

/// Makes a workspace what it was before its last change and says what that was; `None`
/// where there was none. The agent knows no history.
pub type Undo<'a> = dyn Fn(&Path) -> Result<Option<String>, AgentError> + 'a;

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
            undo: None,
            view: None,
        }
    }

    /// The same with a way to take changes back.
    #[must_use]
    pub fn with_undo(self, undo: &'a Undo<'a>) -> Self {
        Self {
            undo: Some(undo),
            ..self
        }
    }

    /// The same for a workspace whose files were read already.
    #[must_use]
    pub fn with_view(self, view: &'a RepoView) -> Self {
        Self {
            view: Some(view),
            ..self
        }
    }

    /// The files of a workspace.
    fn files(&self, dir: &Path) -> Result<Cow<'a, RepoView>, AgentError> {
        match self.view {
            Some(view) => Ok(Cow::Borrowed(view)),
            None => Ok(Cow::Owned(self.config.scope.view(dir)?)),
        }
    }

    /// Carries out `action` in `dir`. What the model did wrong is an
    /// observation; errors are the world's.
    pub fn execute(&self, dir: &Path, action: &Action) -> Result<Observation, AgentError> {
        let observation = match action {
            Action::List { path } => self.list(dir, path)?,
            Action::View { path, lines } => self.view(dir, path, *lines),
            Action::ViewSymbol { path, symbol } => self.view_symbol(dir, path, symbol),
            Action::Search(query) => self.search(dir, query)?,
            Action::Edit { path, change } => self.edit(dir, path, change)?,
            Action::Write { path, text } => self.write(dir, path, text)?,
            Action::Run { command } => self.run(dir, command)?,
            Action::Undo => match self.undo.map_or(Ok(None), |undo| undo(dir))? {
                Some(what) => Observation::new(StepOutcome::Ok, format!("Taken back: {what}.")),
                None => Observation::rejected(NOTHING_TO_UNDO),
            },
            Action::Submit => Observation::new(StepOutcome::Submitted, "Submitted."),
        };
        Ok(observation.cut_to(self.config.limits().observation_chars_max))
    }

    /// The answer to a text that holds no action.
    pub fn unreadable(&self, error: &ParseError) -> Observation {
        Observation::rejected(fill(NO_CALL, &[("reason", &error.0)]))
    }

    /// A text file. Errors: one sentence.
    fn read(&self, dir: &Path, path: &str) -> Result<TextFile, String> {
        let full = resolve(dir, path)?;
        let Ok(meta) = full.metadata() else {
            return Err(self.no_such_file(dir, path));
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
        TextFile::decode(path, bytes)
    }

    fn no_such_file(&self, dir: &Path, path: &str) -> String {
        let view = self.files(dir).unwrap_or_default();
        let paths: Vec<&str> = view.files.iter().map(|f| f.path.as_str()).collect();
        let near = nearest_names(path, &paths, 3);
        match near.is_empty() {
            true => format!("There is no file {path}."),
            false => format!("There is no file {path}. The nearest: {}.", near.join(", ")),
        }
    }
}

/// A line on the code that cannot be read, of the files that `is_meant` takes; empty where all can.
fn unread_note(view: &RepoView, dir: &Path, is_meant: impl Fn(&RepoFile) -> bool) -> String {
    let sentences = view.unread(dir, is_meant);
    sentences.map_or(String::new(), |sentences| {
        format!("\nNot read: {sentences}")
    })
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
mod bytes_tests;
#[cfg(test)]
mod tests;
