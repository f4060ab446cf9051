//! The user's repository, as a run finds it.
use super::watch::Watcher;
use crate::lang;
use crate::record::{Checkout, LargeData};
use crate::workspace::{
    LeftOut, Shadow, Snapshot, WorkspaceError, git_settings, repository_prefix, tracked_folders,
};
use std::path::Path;

/// Facts of the user's checkout, whose files are in `shadow` now.
pub(super) fn checkout_of(
    repo: &Path,
    shadow: &Shadow,
    found: Snapshot,
) -> Result<Checkout, WorkspaceError> {
    let files = shadow.files(&found.tree)?;
    let products = lang::product_folders(files.iter().map(String::as_str));
    let products: Vec<&str> = products.into_iter().collect();
    let tracked = tracked_folders(repo, &products).into_iter();
    let left_out = found.left_out.into_iter();
    Ok(Checkout {
        repo_prefix: repository_prefix(repo)?,
        has_git: repo.join(".git").exists(),
        git: git_settings(repo)?,
        left_out: left_out
            .map(|LeftOut { path, why }| format!("{}: {why}", path.display()))
            .collect(),
        large_data: found.large_data,
        source_folders: tracked.map(str::to_owned).collect(),
    })
}

pub(super) fn tell_what_is_left_out(
    checkout: &Checkout,
    read_only: &[LargeData],
    watcher: &dyn Watcher,
) {
    for left in &checkout.left_out {
        watcher.stage(&format!("left out: {left}"));
    }
    for data in &checkout.large_data {
        let (path, gb) = (&data.path, data.bytes as f64 / 1e9);
        let how = match read_only.contains(data) {
            true => "tests see it read-only",
            false => "tests see it in its place",
        };
        watcher.stage(&format!(
            "{path} ({gb:.1} GB) is not copied, because git ignores it: {how}"
        ));
    }
}
