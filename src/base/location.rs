//! A place in a repository that an agent's first call may name.
use serde::{Deserialize, Serialize};
use std::fmt;

/// A function or type of a file, or a file that defines none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    /// `name`, or `Class.method`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

/// As pytest spells a test: `path::symbol`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Some(symbol) => write!(f, "{}::{symbol}", self.path),
            None => f.write_str(&self.path),
        }
    }
}
