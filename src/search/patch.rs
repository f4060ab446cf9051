//! A branch's patch: what it changed, without the tests and debug files it wrote.
use super::parts::parts_of;
use crate::lang::{is_leftover, is_skipped, may_be_product};
use crate::record::{PatchPart, RunStarted};
use crate::verify::{Bench, VerifyError};
use crate::workspace::{StoredPatch, TreeId};

/// Names that a model gives to scripts that show a fault.
const DEBUG_PREFIXES: [&str; 3] = ["repro", "debug", "check_issue"];

/// The patch from the base to `tree`, for the checkout of the run that `start` began, and
/// the parts of it where people read another one.
pub fn patch_of(
    bench: &Bench<'_>,
    start: &RunStarted,
    tree: &str,
) -> Result<(StoredPatch, Vec<PatchPart>), VerifyError> {
    let tree = TreeId(tree.to_owned());
    let (base, new) = files_of(bench, &tree)?;
    let mut without = tests_among(bench, new.clone());
    without.extend(left_behind(&base, &new));
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let (prefix, git) = (&start.checkout.repo_prefix, &start.checkout.git);
    let (shadow, base) = (bench.shadow, bench.base);
    let patch = shadow.stored_patch(prefix, base, &tree, &without, git)?;
    let ignored = patch.ignored.iter().map(String::as_str);
    let without: Vec<&str> = without.into_iter().chain(ignored).collect();
    // A file that git converts is text for it.
    let parts = match patch.is_converted {
        true => Vec::new(),
        false => parts_of(shadow, prefix, &patch.text, [base, &tree], &without)?,
    };
    Ok((patch, parts))
}

/// A digest of what `tree` makes of the code, without the tests and debug files.
pub fn code_of(bench: &Bench<'_>, tree: &str) -> Result<Option<String>, VerifyError> {
    let tree = TreeId(tree.to_owned());
    bench.code_of(&tree, &written_tests(bench, &tree)?)
}

/// Test and debug files of `tree` that the base does not have.
pub fn written_tests(bench: &Bench<'_>, tree: &TreeId) -> Result<Vec<String>, VerifyError> {
    Ok(tests_among(bench, files_of(bench, tree)?.1))
}

/// The base's files, and those that only `tree` has, sorted.
fn files_of(bench: &Bench<'_>, tree: &TreeId) -> Result<(Vec<String>, Vec<String>), VerifyError> {
    let base = bench.shadow.files(bench.base)?;
    let mut new = bench.shadow.files(tree)?;
    // Sorted, as trees list them.
    new.retain(|file| base.binary_search(file).is_err());
    Ok((base, new))
}

fn tests_among(bench: &Bench<'_>, mut new: Vec<String>) -> Vec<String> {
    let runner = bench.runner.runner();
    new.retain(|file| {
        let name = file.rsplit('/').next().unwrap_or_default();
        runner.is_test_file(file)
            || file == runner.suite_file()
            || DEBUG_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    new
}

/// New files that a command left: caches, products, reports of tools. In a folder of such a
/// name that the base has, new files are the user's.
fn left_behind(base: &[String], new: &[String]) -> Vec<String> {
    let is_of_base = |folder: &str| {
        let at = base.partition_point(|path| path.as_str() < folder);
        base.get(at).is_some_and(|path| path.starts_with(folder))
    };
    let is_left = |path: &&String| {
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let mut folders = slashes.map(|at| &path[..=at]);
        let is_product = |folder: &str| {
            let name = folder.trim_end_matches('/').rsplit('/').next();
            name.is_some_and(|name| is_skipped(name) || may_be_product(name) || is_leftover(name))
                && !is_of_base(folder)
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        is_leftover(name) || folders.any(is_product)
    };
    new.iter().filter(is_left).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_leaves_is_told_from_new_files_of_the_users_folders() {
        let names = |paths: &[&str]| -> Vec<String> {
            let paths = paths.iter().map(|path| (*path).to_owned());
            paths.collect()
        };
        let base = names(&["a.py", "src/build/calc.py", "src/build.py"]);
        let new = names(&[
            ".coverage",
            "build/lib/a.py",
            "dist/build/x.py",
            "node_modules/m/index.js",
            "pkg.egg-info/PKG-INFO",
            "src/build/more.py",
            "src/coverage.py",
        ]);
        assert_eq!(left_behind(&base, &new), new[..5]);
    }
}
