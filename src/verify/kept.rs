//! The tests of a tree as they were collected, kept between runs: collecting imports all of them.
use crate::base::keep_newest;
use crate::lang::Collected;
use crate::workspace::TreeId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Changes with the way in which tests are collected.
const VERSION: u32 = 2;
/// Collections that are kept; the one that was used longest ago goes.
const KEPT_MAX: usize = 24;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    found: Collected,
}

/// The file that holds the tests of `tree`, as an interpreter with these packages collects them.
fn place(folder: &Path, tree: &TreeId, packages: &str) -> PathBuf {
    let digest = Sha256::digest(format!("{}\n{packages}", tree.0).as_bytes());
    let name: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    folder.join(name)
}

pub(super) fn read(folder: &Path, tree: &TreeId, packages: &str) -> Option<Collected> {
    let place = place(folder, tree, packages);
    let kept: Kept = serde_json::from_slice(&std::fs::read(&place).ok()?).ok()?;
    // When it was used last.
    let file = std::fs::File::options().append(true).open(place).ok()?;
    file.set_modified(std::time::SystemTime::now()).ok();
    (kept.version == VERSION).then_some(kept.found)
}

/// Keeps what was found; a folder that cannot be written costs time and nothing else.
pub(super) fn write(folder: &Path, tree: &TreeId, packages: &str, found: &Collected) -> Option<()> {
    std::fs::create_dir_all(folder).ok()?;
    let kept = Kept {
        version: VERSION,
        found: found.clone(),
    };
    // Whole or not at all, whoever else writes it.
    let file = tempfile::NamedTempFile::new_in(folder).ok()?;
    std::fs::write(file.path(), serde_json::to_vec(&kept).ok()?).ok()?;
    file.persist(place(folder, tree, packages)).ok()?;
    keep_newest(folder, KEPT_MAX);
    Some(())
}
