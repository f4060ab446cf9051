//! (see ARCHITECTURE.md)
pub mod report;
