//! How finely the left side of a product is scaled.

/// Runs of values of the left side that share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scales {
    /// One for each 32 values.
    EachBlock32,
    /// One for each 256 values.
    EachBlock256,
}

impl Scales {
    /// Values that share a scale.
    pub const fn block(self) -> usize {
        match self {
            Self::EachBlock32 => 32,
            Self::EachBlock256 => 256,
        }
    }

    /// Values of a dot product in whole numbers: weights that share a scale.
    pub(crate) fn run(self) -> usize {
        match self {
            Self::EachBlock32 => 32,
            Self::EachBlock256 => 16,
        }
    }

    /// The number, or a part of it, that formats with such rows store for a weight of 0.
    pub(crate) fn zero(self) -> i32 {
        match self {
            Self::EachBlock32 => 16,
            Self::EachBlock256 => 32,
        }
    }
}
