//! Events of the test suite: how it was built, its runs, the classes of its tests.
use crate::base::{BranchId, UsageByPurpose};
use serde::{Deserialize, Serialize};

/// The consolidated test suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuiteBuilt {
    /// Name of the file at the repository's root.
    pub file: String,
    pub text: String,
    /// The repository's own test files that are run too, in this order as far as time goes.
    pub repository_tests: Vec<String>,
    /// The reasons for their order: a clause, and the number of files that follow for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<(String, u32)>,
    /// Where each consolidated test came from, one clause each.
    pub sources: Vec<String>,
    /// Ids of other tests that fail on the base and that a patch is to make pass: the user's
    /// command, and tests of the repository that the issue names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<String>,
    /// Ids of examples of the issue that fail on the base by something that the issue does not
    /// tell of: nothing follows from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unclear: Vec<String>,
    /// Code of the issue's own examples that fail on the base; empty where
    /// there is none, or where it could not be seen.
    #[serde(default)]
    pub reached: Vec<Reached>,
    /// Those of `repository_tests` that are no test files: examples in their
    /// documentation are run, or tests that stand beside the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documented: Vec<String>,
    /// Options of the project's own configuration that do not hold in its runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options_dropped: Vec<String>,
    /// Sources that did not get into it: origin and why, one sentence each.
    #[serde(default)]
    pub dropped: Vec<String>,
    /// Tokens that writing it spent.
    #[serde(default)]
    pub usage: UsageByPurpose,
}

/// A function or method of the repository that a test runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reached {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    /// `name`, or `Class.method`.
    pub symbol: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestResult {
    Passed,
    Failed,
    Error,
    Skipped,
}

impl TestResult {
    /// A rank by which the worse of two results of one test is found.
    pub(crate) fn badness(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Skipped => 1,
            Self::Failed => 2,
            Self::Error => 3,
        }
    }
}

/// One test of one run, as the runner told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestOutcome {
    /// `file::test`, as pytest names it. A file that could not be collected has
    /// its path alone, a part of one its name with `::*`.
    pub id: String,
    pub result: TestResult,
    /// First lines of the failure, if any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub ms: u64,
}

/// Counts as in section 2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteCounts {
    pub passed: u32,
    pub failed: u32,
    pub error: u32,
    /// Tests that have a result.
    pub total: u32,
    /// Tests that have none, as the run was cut before: neither passed nor failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_run: u32,
}

/// Older records have no such count.
pub(super) fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One run of the suite. `branch: None` is the unpatched base.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuiteRun {
    pub branch: Option<BranchId>,
    pub counts: SuiteCounts,
    pub tests: Vec<TestOutcome>,
    /// Ids of the tests that the run did not come to; a file's or a part's where the
    /// tests in it are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
    /// A sentence when the run itself went wrong (time limit, no XML).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// A figure only; `None` for the base, and where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// How much of a patch its tests run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Executable lines that the patch adds or changes.
    pub lines: u32,
    /// Those of them that some test runs.
    pub covered: u32,
}

/// Section 2.2's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestClass {
    Uncollectable,
    /// Fails on the base, passes on some patch.
    Discriminating,
    /// Passes on the base.
    Regression,
    /// Fails on the base and on every patch: out of pass rates and the gate.
    Unsatisfied,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuiteClassified {
    /// `(test id, class)`.
    pub classes: Vec<(String, TestClass)>,
    /// `(test id, why)`: tests whose result says nothing of a patch. They have
    /// no class and count nowhere.
    #[serde(default)]
    pub set_aside: Vec<(String, String)>,
    /// The counted tests that a model wrote. They are in neither the pass rate
    /// nor the gate: they rank only patches that are equal on the others.
    #[serde(default)]
    pub written: Vec<WrittenTest>,
}

/// A counted test that a model wrote, in a trajectory or for the suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenTest {
    pub id: String,
    /// More than half of the different patches pass it; only then it ranks.
    pub agreed: bool,
}
