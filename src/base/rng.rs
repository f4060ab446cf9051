//! Splittable randomness: a stream is named by what it is for, so that the
//! same seed gives the same tokens whatever else ran before.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// The key of a random stream. Splitting is pure: `key.split(a)` is the same
/// key each time, and differs from `key.split(b)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RngKey(pub u64);

impl RngKey {
    /// The root of all streams of a run.
    pub fn from_seed(seed: u64) -> Self {
        Self(mix(seed ^ 0x6567_7373_5f72_6e67)) // "egss_rng"
    }

    /// A child key: by branch, by position, by candidate.
    #[must_use]
    pub fn split(self, label: u64) -> Self {
        Self(mix(self.0.rotate_left(23) ^ mix(label)))
    }

    /// The stream itself.
    pub fn stream(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// A uniform number in `[0, 1)` with 53 random bits: the key's first draw.
    pub fn uniform(self) -> f64 {
        use rand_chacha::rand_core::Rng;
        (self.stream().next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection whose
/// output bits each depend on every input bit.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_is_pure_and_children_differ() {
        let root = RngKey::from_seed(7);
        assert_eq!(root.split(3), root.split(3));
        assert_ne!(root.split(3), root.split(4));
        assert_ne!(root.split(3).split(4), root.split(4).split(3));
        assert!((0.0..1.0).contains(&root.uniform()));
    }
}
