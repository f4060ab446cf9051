//! The reason why a task cannot be run here.

/// A task that cannot be run here, in a sentence; others can.
pub struct CannotRun(pub String);
