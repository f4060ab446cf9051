//! Which patch is handed out (section 2.3): what drops out, the order of the
//! rest, and the voters' majority, with the reason in words.
mod criterion;
mod patch;
mod rank;
mod reason;
mod tally;
mod vote;

pub use patch::{code_key, normalise_patch, patch_lines};
pub use rank::{CandidatePatch, SHORTLIST_MAX, TRAJECTORY_SCORE_MIN, select, shortlist};
pub use vote::{Ballot, vote};
