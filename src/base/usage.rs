//! What is counted, split by purpose.
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Index, IndexMut};

/// What tokens were spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Agent,
    Judge,
    Augmentation,
    Selection,
}

impl Purpose {
    /// Every purpose, in the order of the pipeline.
    pub const ALL: [Self; 4] = [
        Self::Agent,
        Self::Judge,
        Self::Augmentation,
        Self::Selection,
    ];

    /// The name used in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Judge => "judge",
            Self::Augmentation => "augmentation",
            Self::Selection => "selection",
        }
    }
}

/// Counts of one purpose. Savings are stated on `decoded + computed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sampled (forced ones included).
    pub decoded_tokens: u64,
    /// Prompt tokens run through the model.
    pub computed_tokens: u64,
    /// Prompt tokens served from a fork or the prefix cache.
    pub reused_tokens: u64,
    pub forks: u64,
    pub blocks_copied: u64,
    /// Steps of the model that decoded, one for each sequence in a step; 0 where nobody counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decode_steps: u64,
    /// Drafted rows that were run and given back. They are no tokens, and in no comparison.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_rows: u64,
    pub wall_ms: u64,
}

/// Records of engines that count neither are as they were.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Usage {
    /// What savings are stated on.
    pub fn spent_tokens(&self) -> u64 {
        self.decoded_tokens + self.computed_tokens
    }

    /// Decoded tokens a step of a sequence; `None` where steps were not counted.
    pub fn tokens_a_step(&self) -> Option<f64> {
        (self.decode_steps > 0).then(|| self.decoded_tokens as f64 / self.decode_steps as f64)
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            decoded_tokens: self.decoded_tokens - earlier.decoded_tokens,
            computed_tokens: self.computed_tokens - earlier.computed_tokens,
            reused_tokens: self.reused_tokens - earlier.reused_tokens,
            forks: self.forks - earlier.forks,
            blocks_copied: self.blocks_copied - earlier.blocks_copied,
            decode_steps: self.decode_steps - earlier.decode_steps,
            rejected_rows: self.rejected_rows - earlier.rejected_rows,
            wall_ms: self.wall_ms - earlier.wall_ms,
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, o: Self) {
        self.decoded_tokens += o.decoded_tokens;
        self.computed_tokens += o.computed_tokens;
        self.reused_tokens += o.reused_tokens;
        self.forks += o.forks;
        self.blocks_copied += o.blocks_copied;
        self.decode_steps += o.decode_steps;
        self.rejected_rows += o.rejected_rows;
        self.wall_ms += o.wall_ms;
    }
}

/// Counts of every purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageByPurpose {
    pub agent: Usage,
    pub judge: Usage,
    pub augmentation: Usage,
    pub selection: Usage,
}

impl UsageByPurpose {
    /// The sum over purposes.
    pub fn total(&self) -> Usage {
        let mut sum = Usage::default();
        for purpose in Purpose::ALL {
            sum += self[purpose];
        }
        sum
    }
}

impl UsageByPurpose {
    /// What was counted after `earlier` was read off the same counter.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut spent = Self::default();
        for purpose in Purpose::ALL {
            spent[purpose] = self[purpose].since(&earlier[purpose]);
        }
        spent
    }
}

impl AddAssign for UsageByPurpose {
    fn add_assign(&mut self, o: Self) {
        for purpose in Purpose::ALL {
            self[purpose] += o[purpose];
        }
    }
}

impl Index<Purpose> for UsageByPurpose {
    type Output = Usage;
    fn index(&self, purpose: Purpose) -> &Usage {
        match purpose {
            Purpose::Agent => &self.agent,
            Purpose::Judge => &self.judge,
            Purpose::Augmentation => &self.augmentation,
            Purpose::Selection => &self.selection,
        }
    }
}

impl IndexMut<Purpose> for UsageByPurpose {
    fn index_mut(&mut self, purpose: Purpose) -> &mut Usage {
        match purpose {
            Purpose::Agent => &mut self.agent,
            Purpose::Judge => &mut self.judge,
            Purpose::Augmentation => &mut self.augmentation,
            Purpose::Selection => &mut self.selection,
        }
    }
}
