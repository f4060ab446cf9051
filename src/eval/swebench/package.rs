//! The package `swebench`, asked by two helper scripts.
use crate::eval::{EvalError, Task};
use crate::workspace::{
    CommandEnd, Environment, EnvironmentSpec, EnvironmentStore, Limits, Sandbox, SandboxMode,
    Toolchain, WorkspaceError,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SPECS: &str = include_str!("specs.py");
const GRADE: &str = include_str!("grade.py");
const ADAPTIONS: &str = include_str!("adaptions.toml");

/// The last release that holds the instances' specs; later ones have them in images.
const PACKAGE: &str = "swebench==4.1.0";

/// Of one helper: the package imports half of PyPI.
const LIMITS: Limits = Limits {
    wall_s_max: 300,
    memory_bytes_max: 4 << 30,
    processes_max: 64,
    file_bytes_max: 256 << 20,
    output_bytes_max: 16 << 10,
};

/// Paths in the images that SWE-bench publishes.
const IMAGE_PYTHON: &str = "/opt/miniconda3/envs/testbed/bin/python";
const IMAGE_WORKDIR: &str = "/testbed";

/// The package in an environment of its own.
pub struct SwebenchPackage {
    environment: Environment,
}

/// The package's word on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InstanceSpec {
    #[serde(rename = "spec")]
    pub environment: EnvironmentSpec,
    /// Arguments of the test command: the test patch's files, in the command's own form.
    pub targets: Vec<String>,
}

/// The package's word on a log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Graded {
    /// Tests were run: the log has both marks and none of a failure before them.
    pub ran: bool,
    pub resolved: bool,
    pub fail_to_pass: Divided,
    pub pass_to_pass: Divided,
    /// Tests that the log has a status of.
    pub n_tests: usize,
}

/// Ids of tests by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Divided {
    pub success: Vec<String>,
    pub failure: Vec<String>,
}

#[derive(Serialize)]
struct TaskRequest<'a> {
    instance_id: &'a str,
    repo: &'a str,
    version: &'a str,
    commit: &'a str,
    git_dir: Option<&'a Path>,
    test_patch: &'a str,
    has_image: bool,
}

#[derive(Serialize)]
struct GradeRequest<'a> {
    instance_id: &'a str,
    repo: &'a str,
    version: &'a str,
    fail_to_pass: &'a [String],
    pass_to_pass: &'a [String],
    log: &'a Path,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpecReply {
    Known(Box<InstanceSpec>),
    Unknown { why: String },
}

impl SwebenchPackage {
    /// The environment that holds the package, for `egss env build --grader swebench`.
    pub fn spec() -> EnvironmentSpec {
        EnvironmentSpec {
            name: "swebench".into(),
            python: Some("3".into()),
            // uv builds the instances' environments.
            packages: vec![PACKAGE.into(), "uv".into()],
            ..EnvironmentSpec::default()
        }
    }

    /// The package as it was built. Error: it was not.
    pub fn of(store: &EnvironmentStore) -> Result<Self, EvalError> {
        let empty = temporary_dir()?;
        let environment = store.find(&Self::spec(), empty.path()).map_err(|_| {
            WorkspaceError::Environment(format!(
                "grading by SWE-bench's rules needs the package {PACKAGE}; install it by `egss env \
                 build --grader swebench`"
            ))
        })?;
        Ok(Self { environment })
    }

    /// The uv that instances' environments are built by.
    pub fn uv(&self) -> PathBuf {
        let python = self.environment.python().expect("the spec names one");
        python.with_file_name("uv")
    }

    /// The spec of each task's environment, or a sentence that says why nothing is known.
    pub fn specs(
        &self,
        tasks: &[Task],
    ) -> Result<BTreeMap<String, Result<InstanceSpec, String>>, EvalError> {
        let git_dirs: Vec<Option<PathBuf>> = tasks.iter().map(Task::git_dir).collect();
        let asked = tasks
            .iter()
            .zip(&git_dirs)
            .map(|(task, git_dir)| TaskRequest {
                instance_id: &task.instance_id,
                repo: &task.repo,
                version: &task.version,
                commit: task.setup_commit(),
                git_dir: git_dir.as_deref(),
                test_patch: &task.test_patch,
                has_image: task.image.is_some(),
            });
        let request = serde_json::json!({
            "tasks": asked.collect::<Vec<_>>(),
            "adaptions": adaptions(),
        });
        let sandbox = self.sandbox()?.with_toolchain(Toolchain {
            roots: git_dirs.into_iter().flatten().collect(),
            ..Toolchain::default()
        });
        let replies: BTreeMap<String, SpecReply> =
            ask(&sandbox, SPECS, temporary_dir()?.path(), &request)?;
        let known = replies.into_iter().map(|(id, reply)| {
            let spec = match reply {
                SpecReply::Known(spec) => {
                    let task = tasks.iter().find(|task| task.instance_id == id);
                    in_image(*spec, task.and_then(|task| task.image.as_deref()))
                }
                SpecReply::Unknown { why } => Err(why),
            };
            (id, spec)
        });
        Ok(known.collect())
    }

    /// Grades the log of a test run; `log` holds both of the package's marks.
    pub fn grade(&self, task: &Task, log: &str) -> Result<Graded, EvalError> {
        let dir = temporary_dir()?;
        let file = dir.path().join("test_output.txt");
        std::fs::write(&file, log).map_err(|e| EvalError::io("write", &file, e))?;
        let request = GradeRequest {
            instance_id: &task.instance_id,
            repo: &task.repo,
            version: &task.version,
            fail_to_pass: &task.fail_to_pass,
            pass_to_pass: &task.pass_to_pass,
            log: Path::new("test_output.txt"),
        };
        ask(&self.sandbox()?, GRADE, dir.path(), &request)
    }

    fn sandbox(&self) -> Result<Sandbox, EvalError> {
        let python = Path::new("python3");
        Ok(self.environment.sandbox(SandboxMode::Bubblewrap, python)?)
    }
}

/// The same in an image, which holds what else would be installed.
fn in_image(spec: InstanceSpec, image: Option<&str>) -> Result<InstanceSpec, String> {
    let Some(image) = image else {
        return Ok(spec);
    };
    let environment = EnvironmentSpec {
        python: Some(IMAGE_PYTHON.to_owned()),
        workdir: Some(PathBuf::from(IMAGE_WORKDIR)),
        test: spec.environment.test,
        rebuild: spec.environment.rebuild,
        variables: spec.environment.variables,
        ..EnvironmentSpec::of_image(image)?
    };
    Ok(InstanceSpec {
        environment,
        ..spec
    })
}

/// Runs a helper in `dir`: JSON in, JSON out.
fn ask<Reply: DeserializeOwned>(
    sandbox: &Sandbox,
    script: &str,
    dir: &Path,
    request: &impl Serialize,
) -> Result<Reply, EvalError> {
    let request = serde_json::to_string(request).expect("plain data serialises");
    for (name, text) in [("helper.py", script), ("request.json", &request)] {
        let file = dir.join(name);
        std::fs::write(&file, text).map_err(|e| EvalError::io("write", &file, e))?;
    }
    let argv = [
        "python3",
        "-I",
        "-B",
        "helper.py",
        "request.json",
        "reply.json",
    ];
    let output = sandbox.run(dir, &argv, &LIMITS)?;
    let reply = std::fs::read(dir.join("reply.json")).ok();
    let reply = reply.filter(|_| output.end == CommandEnd::Exited(0));
    let reply = reply.and_then(|reply| serde_json::from_slice(&reply).ok());
    reply.ok_or_else(|| {
        EvalError::Grader(format!(
            "the package swebench could not be asked: {}",
            output
                .text
                .trim()
                .lines()
                .last()
                .unwrap_or("it said nothing")
        ))
    })
}

fn adaptions() -> toml::Table {
    toml::from_str(ADAPTIONS).expect("the file is part of the program")
}

pub(super) fn temporary_dir() -> Result<tempfile::TempDir, EvalError> {
    tempfile::tempdir().map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptions_are_a_table_a_repository_or_a_version_of_one() {
        for (name, adaption) in adaptions() {
            let is_name = name.is_empty() || name.contains('/');
            assert!(is_name && adaption.is_table(), "{name}");
        }
    }
}
