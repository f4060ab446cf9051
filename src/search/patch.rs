//! A branch's patch: what it changed, without the tests and debug files it wrote.
use crate::verify::{Bench, VerifyError};
use crate::workspace::TreeId;

/// Names that a model gives to scripts that show a fault.
const DEBUG_PREFIXES: [&str; 3] = ["repro", "debug", "check_issue"];

/// The patch from the base to `tree`, its paths below `prefix`.
pub fn patch_of(bench: &Bench<'_>, prefix: &str, tree: &str) -> Result<String, VerifyError> {
    let tree = TreeId(tree.to_owned());
    let aside = written_tests(bench, &tree)?;
    let without: Vec<&str> = aside.iter().map(String::as_str).collect();
    Ok(bench
        .shadow
        .diff_below(prefix, bench.base, &tree, &without)?)
}

/// A digest of what `tree` makes of the code, without the tests and debug files.
pub fn code_of(bench: &Bench<'_>, tree: &str) -> Result<Option<String>, VerifyError> {
    let tree = TreeId(tree.to_owned());
    bench.code_of(&tree, &written_tests(bench, &tree)?)
}

/// Test and debug files of `tree` that the base does not have.
pub fn written_tests(bench: &Bench<'_>, tree: &TreeId) -> Result<Vec<String>, VerifyError> {
    let base = bench.shadow.files(bench.base)?;
    let mut new = bench.shadow.files(tree)?;
    // Sorted, as trees list them.
    new.retain(|file| base.binary_search(file).is_err());
    let runner = bench.runner.runner();
    new.retain(|file| {
        let name = file.rsplit('/').next().unwrap_or_default();
        runner.is_test_file(file)
            || file == runner.suite_file()
            || DEBUG_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    Ok(new)
}
