//! Identifiers as distinct types, so that one cannot be passed for another.
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A sequence of tokens that the engine holds a KV cache for.
    SeqId, u64
);
id!(
    /// A block of the KV pool: `S` token positions in every layer.
    BlockId, u32
);
id!(
    /// A branch of the search tree (never git's).
    BranchId, u32
);
id!(
    /// An agent step, unique within a run, in the order in which steps finished.
    StepId, u32
);
