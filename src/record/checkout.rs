//! Facts of the user's repository beside the files of the base.
use super::GitSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The user's checkout, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The repository's place in a git repository around it, with a slash at
    /// the end; empty at the top. Paths in patches begin with it.
    #[serde(default)]
    pub repo_prefix: String,
    /// The repository is the top of a git checkout: workspaces have a git repository, too.
    #[serde(default)]
    pub has_git: bool,
    /// How git stores the files of the checkout around the repository.
    #[serde(default, skip_serializing_if = "GitSettings::is_plain")]
    pub git: GitSettings,
    /// Files and folders that are not in the base, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Data that is not in the base, and that tests see in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_data: Vec<LargeData>,
    /// Folders that are called as folders of products are, and hold files that git tracks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub source_folders: BTreeSet<String>,
}

/// A large file or folder that git ignores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeData {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub bytes: u64,
}
