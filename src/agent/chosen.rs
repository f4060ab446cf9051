//! The part of the repository that goes into the first prompt.
use crate::base::LimitHit;

/// Text of files, and the files that it shows.
#[derive(Default)]
pub(super) struct Chosen {
    pub text: String,
    /// Paths shown whole.
    pub whole: Vec<String>,
    /// Paths of which a part is shown.
    pub part: Vec<String>,
    pub cuts: Vec<LimitHit>,
}
