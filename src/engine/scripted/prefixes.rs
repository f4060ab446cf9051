//! The prefix cache of an engine that never runs out of blocks: counts only.
use crate::kv::BLOCK_SIZE;
use std::collections::HashMap;

/// Full blocks of tokens, each behind those before it.
#[derive(Default)]
pub(super) struct Prefixes {
    /// By the block before (0 at the start) and the block's own tokens: its number.
    blocks: HashMap<(usize, [u32; BLOCK_SIZE]), usize>,
}

impl Prefixes {
    /// How many tokens from the start are known, in full blocks.
    pub(super) fn known(&self, tokens: &[u32]) -> usize {
        let (full_blocks, _) = tokens.as_chunks();
        let mut before = 0;
        let known = full_blocks.iter().take_while(|&&block| {
            let found = self.blocks.get(&(before, block));
            before = found.copied().unwrap_or_default();
            found.is_some()
        });
        known.count() * BLOCK_SIZE
    }

    /// Learns the blocks that positions from `from` on have filled, if all
    /// before them is known.
    pub(super) fn learn(&mut self, tokens: &[u32], from: usize) {
        let (full_blocks, _) = tokens.as_chunks();
        let mut before = 0;
        for (at, &block) in full_blocks.iter().enumerate() {
            let next = self.blocks.len() + 1;
            before = match self.blocks.get(&(before, block)) {
                Some(&known) => known,
                None if at >= from / BLOCK_SIZE => {
                    *self.blocks.entry((before, block)).or_insert(next)
                }
                None => return,
            };
        }
    }

    pub(super) fn forget(&mut self) {
        self.blocks.clear();
    }
}
