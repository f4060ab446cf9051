//! Task files: SWE-bench's schema, a JSON object a line, with a small
//! repository inline.
use super::EvalError;
use crate::base::FixedPatch;
use crate::workspace::Mirror;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// One task. An agent sees [`Task::problem_statement`] and the repository
/// ([`Task::materialise`]), and nothing else of it. Unknown fields are let be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Task {
    pub instance_id: String,
    pub repo: String,
    #[serde(default)]
    pub base_commit: String,
    /// The release line that the base commit belongs to, by which SWE-bench knows its
    /// environment.
    #[serde(default)]
    pub version: String,
    /// The commit whose requirement files that environment has; empty: the base commit.
    #[serde(default)]
    pub environment_setup_commit: String,
    /// The release that stands in for the base commit, where the repository could not be
    /// cloned; results are then not the benchmark's.
    #[serde(default)]
    pub stands_on: Option<String>,
    /// The container image that holds its environment.
    #[serde(default, alias = "image_name", alias = "docker_image")]
    pub image: Option<String>,
    /// The issue's text.
    pub problem_statement: String,
    #[serde(default)]
    pub hints_text: String,
    /// The repository's files by path, for a task that needs no clone.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The reference solution, as `git apply` takes it. Hidden.
    pub patch: String,
    /// Adds the tests that judge. Hidden.
    pub test_patch: String,
    /// Ids of tests that fail before and pass after. Hidden.
    #[serde(rename = "FAIL_TO_PASS", deserialize_with = "ids")]
    pub fail_to_pass: Vec<String>,
    /// Ids of tests that pass before and after. Hidden.
    #[serde(rename = "PASS_TO_PASS", deserialize_with = "ids")]
    pub pass_to_pass: Vec<String>,
    /// The file and the line that it was read from, for messages.
    #[serde(skip)]
    place: String,
    /// Where the repository is, if it is not inline.
    #[serde(skip)]
    mirror: Option<Mirror>,
}

/// A list, or, as the published data sets have it, a list written as a JSON string.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        List(Vec<String>),
        Text(String),
    }
    match Ids::deserialize(deserializer)? {
        Ids::List(list) => Ok(list),
        Ids::Text(text) => serde_json::from_str(&text).map_err(serde::de::Error::custom),
    }
}

/// Reads a task file; empty lines are passed over.
///
/// Errors name the file and the line: no JSON, a field that is missing or of
/// another type, an empty issue, no FAIL_TO_PASS, an id that occurred before.
pub fn read_tasks(path: &Path) -> Result<Vec<Task>, EvalError> {
    let text = fs::read_to_string(path).map_err(|source| EvalError::io("read", path, source))?;
    let mut tasks: Vec<Task> = Vec::new();
    let mut seen = HashSet::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |why: String| EvalError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            why,
        };
        let mut task: Task =
            serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
        task.place = format!("{}:{}", path.display(), index + 1);
        if task.problem_statement.trim().is_empty() {
            return Err(malformed("its problem_statement is empty".into()));
        }
        if task.fail_to_pass.is_empty() {
            return Err(malformed(
                "its FAIL_TO_PASS is empty: nothing could tell a solution".into(),
            ));
        }
        if !seen.insert(task.instance_id.clone()) {
            return Err(malformed(format!(
                "{} occurs a second time",
                task.instance_id
            )));
        }
        tasks.push(task);
    }
    if tasks.is_empty() {
        return Err(EvalError::NoTask {
            path: path.to_owned(),
        });
    }
    Ok(tasks)
}

impl Task {
    /// Finds the repository of a task without inline files among the clones below
    /// `mirrors`. Errors: it is not there, or has not the base commit.
    pub fn locate(&mut self, mirrors: Option<&Path>) -> Result<(), EvalError> {
        if !self.files.is_empty() {
            return Ok(());
        }
        let Some(mirrors) = mirrors else {
            return Err(self.error(&format!(
                "it has no inline `files`; clone {} and name the folder that holds the clone by --mirrors",
                self.repo
            )));
        };
        let Some(mirror) = Mirror::find(mirrors, &self.repo) else {
            return Err(self.error(&format!(
                "there is no clone of {} in {}; clone it there",
                self.repo,
                mirrors.display()
            )));
        };
        if self.base_commit.is_empty() || !mirror.has(&self.base_commit) {
            return Err(self.error(&format!(
                "the clone of {} has no commit {:?}; fetch it",
                self.repo, self.base_commit
            )));
        }
        self.mirror = Some(mirror);
        Ok(())
    }

    /// Writes the repository's files below `dir`, which is made if need be.
    ///
    /// Errors: a task without inline files that was not [`locate`](Self::locate)d, a
    /// path that is absolute, leads out of `dir` (`..`) or into a `.git`; nothing is
    /// written then.
    pub fn materialise(&self, dir: &Path) -> Result<(), EvalError> {
        if let Some(mirror) = &self.mirror {
            fs::create_dir_all(dir).map_err(|source| EvalError::io("make", dir, source))?;
            return Ok(mirror.check_out(&self.base_commit, dir)?);
        }
        if self.files.is_empty() {
            return Err(self.error("its repository was not looked for"));
        }
        if let Some(path) = self.files.keys().find(|path| !is_inside(path)) {
            return Err(self.error(&format!(
                "the path {path:?} in its `files` is refused: it must be relative, without `..` and `.git`"
            )));
        }
        for (path, text) in &self.files {
            let file = dir.join(path);
            let parent = file.parent().unwrap_or(dir);
            fs::create_dir_all(parent).map_err(|source| EvalError::io("make", parent, source))?;
            fs::write(&file, text).map_err(|source| EvalError::io("write", &file, source))?;
        }
        Ok(())
    }

    /// A patch that is known of every task, as `git apply` takes it.
    pub fn fixed(&self, which: FixedPatch) -> &str {
        match which {
            FixedPatch::Gold => &self.patch,
            FixedPatch::Empty => "",
        }
    }

    /// The git directory of the clone that was found for it.
    pub fn git_dir(&self) -> Option<PathBuf> {
        Some(self.mirror.as_ref()?.git_dir().to_owned())
    }

    /// The commit whose requirement files its environment has: its own where the clone has
    /// that, else the base's.
    pub fn setup_commit(&self) -> &str {
        let own = &self.environment_setup_commit;
        let has = |mirror: &Mirror| !own.is_empty() && mirror.has(own);
        match self.mirror.as_ref().is_some_and(has) {
            true => own,
            false => &self.base_commit,
        }
    }

    pub(super) fn error(&self, why: &str) -> EvalError {
        EvalError::Task {
            place: self.place.clone(),
            task: self.instance_id.clone(),
            why: why.to_owned(),
        }
    }
}

fn is_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some()
        && !path.ends_with('/')
        && components.all(|part| matches!(part, Component::Normal(name) if name != ".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"instance_id": "a", "repo": "a", "problem_statement": "wrong", "files": {"pkg/m.py": "x = 1\n"}, "patch": "", "test_patch": "", "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": "[\"t.py::b\"]", "difficulty": 3}"#;

    fn read(text: &str) -> Result<Vec<Task>, EvalError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read_tasks(file.path())
    }

    #[test]
    fn both_forms_of_id_lists_and_unknown_fields_are_read() {
        let tasks = read(&format!("{LINE}\n\n")).unwrap();
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0].fail_to_pass, ["t.py::a"]);
        assert_eq!(tasks[0].pass_to_pass, ["t.py::b"]);
    }

    #[test]
    fn a_bad_line_is_named_with_its_file_and_number() {
        for (text, says) in [
            (
                format!("{LINE}\n{{]"),
                ":2: not a task: key must be a string",
            ),
            (
                LINE.replace("\"patch\": \"\", ", ""),
                ":1: not a task: missing field `patch`",
            ),
            (
                format!("{LINE}\n{LINE}"),
                ":2: not a task: a occurs a second time",
            ),
            (
                LINE.replace("\"wrong\"", "\" \""),
                "its problem_statement is empty",
            ),
            (
                LINE.replace("[\"t.py::a\"]", "[]"),
                "its FAIL_TO_PASS is empty",
            ),
            (String::new(), "holds no task"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused_before_anything_is_written() {
        for bad in [
            "/etc/x",
            "../x",
            "a/../../x",
            ".git/config",
            "",
            "a/",
            "./.git/hooks/x",
        ] {
            let mut task = read(LINE).unwrap().remove(0);
            task.files.insert(bad.to_owned(), "x".to_owned());
            let dir = tempfile::tempdir().unwrap();
            let error = task.materialise(dir.path()).unwrap_err().to_string();
            assert!(error.contains("is refused"), "{bad}: {error}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{bad}");
        }
    }

    #[test]
    fn a_repository_that_is_not_at_hand_is_named_with_the_line() {
        let inline = r#""files": {"pkg/m.py": "x = 1\n"}, "#;
        let mut task = read(&LINE.replace(inline, "")).unwrap().remove(0);
        let empty = tempfile::tempdir().unwrap();
        for (mirrors, says) in [
            (None, "by --mirrors"),
            (Some(empty.path()), "no clone of a"),
        ] {
            let error = task.locate(mirrors).unwrap_err().to_string();
            assert!(
                error.contains(":1: task a: ") && error.contains(says),
                "{error}"
            );
        }
        assert!(task.materialise(empty.path()).is_err());
    }

    #[test]
    fn files_are_written_below_the_folder() {
        let task = read(LINE).unwrap().remove(0);
        let dir = tempfile::tempdir().unwrap();
        task.materialise(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("pkg/m.py")).unwrap();
        assert_eq!(text, "x = 1\n");
    }
}
