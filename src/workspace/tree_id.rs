//! The id of a tree in a shadow git directory.

/// A git tree that holds a workspace's files, ignored and untracked ones too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TreeId(pub String);
