//! Which blocks hold which tokens, so that what was computed once is found
//! again: a hash chain over full blocks.
//!
//! A block is registered when a step has computed its last position and has succeeded. Its
//! key is its parent block and its own tokens ([`Link`]).
//!
//! Before each step a sequence takes over the registered blocks that follow its last full
//! block, up to the tokens whose logits are wanted. The same lookup serves a new branch, a
//! judge's question, a step that runs again after a full pool, and the next issue of one
//! process. A table that has computed a block that is known already (siblings that decode the
//! same tokens) takes the known block and frees its own. Two sequences that are prefilled in
//! the same step do not wait for each other: to share blocks at once, fork.
//!
//! Blocks that tables hold are never given up, and a cached block never makes the pool full.
//! A registered block is never written: a write into the middle of it copies it, as if it
//! were shared.
//!
//! Tokens that are taken over count as reused, under the purpose that needed them. A sequence
//! made with `PrefixCache::Bypass`, and each of its forks, neither takes blocks over nor
//! leaves any. The strategy `best-of-n-naive` is made of such sequences. `egss eval` lets no
//! strategy profit from another one's work: with `Engine::new_bill` a run pays for a block
//! the first time that it takes the block over, which gives the counts of a run from an empty
//! cache.
use crate::base::BlockId;
use crate::ops::BLOCK_SIZE;
use std::collections::{BTreeMap, HashMap};

/// The tokens of a full block.
pub(super) type BlockTokens = [u32; BLOCK_SIZE];

/// What a block's KV follows from: every token before it, and its own.
///
/// The parent stands for all that comes before. It is the block itself and no
/// digest: a registered block's parent is registered for as long, so that equal
/// parents are equal histories. Links are compared whole behind their hash; a
/// collision costs a comparison and never serves another text's KV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) parent: Option<BlockId>,
    pub(super) tokens: BlockTokens,
}

/// The registered blocks of a pool, and which of them no table holds: those are
/// cached, and the one let go of first is taken first when blocks run out.
///
/// Whoever holds a registered block holds its parent, and lets go of it later.
/// So the oldest cached block has no children: leaves go before their parents.
///
/// Cost: a lookup hashes 17 integers; letting go and taking up are O(log n) in
/// the number of cached blocks.
pub(super) struct PrefixIndex {
    blocks: HashMap<Link, BlockId>,
    /// By block: what it is registered as.
    links: Vec<Option<Link>>,
    /// Cached blocks by when they were let go of.
    cached: BTreeMap<u64, BlockId>,
    /// By block: its key in `cached`, while it is there.
    let_go_at: Vec<u64>,
    clock: u64,
    /// By block: the bill that it stands on, if any.
    billed_on: Vec<Option<u64>>,
    /// The present bill; 0 as long as there is only one.
    bill: u64,
}

impl PrefixIndex {
    pub(super) fn new(n_blocks: usize) -> Self {
        Self {
            blocks: HashMap::new(),
            links: vec![None; n_blocks],
            cached: BTreeMap::new(),
            let_go_at: vec![0; n_blocks],
            clock: 0,
            billed_on: vec![None; n_blocks],
            bill: 0,
        }
    }

    pub(super) fn find(&self, link: &Link) -> Option<BlockId> {
        self.blocks.get(link).copied()
    }

    pub(super) fn is_registered(&self, block: BlockId) -> bool {
        self.links[block.0 as usize].is_some()
    }

    pub(super) fn n_cached(&self) -> usize {
        self.cached.len()
    }

    /// Registers a block that a table holds, together with its parent.
    pub(super) fn register(&mut self, block: BlockId, link: Link) {
        assert!(
            link.parent.is_none_or(|parent| self.is_registered(parent)),
            "{block} is registered behind a block that is not"
        );
        let before = self.links[block.0 as usize].replace(link);
        assert!(before.is_none(), "{block} is registered twice");
        self.blocks.insert(link, block);
    }

    /// Begins a new bill, on which no block stands yet.
    pub(super) fn new_bill(&mut self) {
        self.bill += 1;
    }

    /// True once a bill has followed another.
    pub(super) fn keeps_bills(&self) -> bool {
        self.bill > 0
    }

    /// Puts a registered block on the present bill.
    pub(super) fn put_on_bill(&mut self, block: BlockId) {
        self.billed_on[block.0 as usize] = Some(self.bill);
    }

    /// True of every block as long as there is only one bill.
    pub(super) fn is_on_bill(&self, block: BlockId) -> bool {
        !self.keeps_bills() || self.billed_on[block.0 as usize] == Some(self.bill)
    }

    /// Takes the entry of a block without registered children out again.
    pub(super) fn unregister(&mut self, block: BlockId) {
        let link = self.links[block.0 as usize].take();
        self.billed_on[block.0 as usize] = None;
        self.blocks
            .remove(&link.expect("only what is registered is taken out"));
    }

    /// A registered block that no table holds any more is cached from now on.
    pub(super) fn let_go(&mut self, block: BlockId) {
        self.clock += 1;
        self.let_go_at[block.0 as usize] = self.clock;
        self.cached.insert(self.clock, block);
    }

    /// A cached block is held by a table again.
    pub(super) fn take_up(&mut self, block: BlockId) {
        let taken = self.cached.remove(&self.let_go_at[block.0 as usize]);
        assert_eq!(taken, Some(block), "{block} is not cached");
    }

    /// Gives up the cached block that was let go of first, for other use.
    pub(super) fn evict(&mut self) -> Option<BlockId> {
        let (_, block) = self.cached.pop_first()?;
        self.unregister(block);
        Some(block)
    }

    /// Forgets every registration; gives the blocks that were cached, the last
    /// one let go of first.
    pub(super) fn clear(&mut self) -> Vec<BlockId> {
        self.blocks.clear();
        self.links.fill(None);
        self.billed_on.fill(None);
        let cached = std::mem::take(&mut self.cached);
        cached.into_values().rev().collect()
    }

    /// Panics unless the index is whole, and cached are exactly the registered
    /// blocks with a count of 0.
    pub(super) fn check(&self, refcounts: &[u32]) {
        for (&at, block) in &self.cached {
            assert_eq!(at, self.let_go_at[block.0 as usize]);
            assert!(self.is_registered(*block), "{block} is cached for nothing");
            assert_eq!(refcounts[block.0 as usize], 0, "{block} is in use");
        }
        let counted = self.links.iter().zip(refcounts);
        let unused = counted.filter(|(link, count)| link.is_some() && **count == 0);
        assert_eq!(unused.count(), self.cached.len());
        let registered = self.links.iter().flatten().count();
        assert_eq!(registered, self.blocks.len());
        for (block, link) in self.links.iter().enumerate() {
            let Some(link) = link else { continue };
            assert_eq!(self.blocks.get(link), Some(&BlockId(block as u32)));
            let Some(parent) = link.parent.map(|parent| parent.0 as usize) else {
                continue;
            };
            assert!(self.links[parent].is_some(), "{block} has lost its parent");
            assert!(
                refcounts[parent] >= refcounts[block],
                "{block} is held without its parent"
            );
            assert!(
                refcounts[parent] > 0 || self.let_go_at[parent] > self.let_go_at[block],
                "{parent} would go before its child {block}"
            );
        }
    }

    /// Panics unless a table's registered blocks follow one another from its start.
    pub(super) fn check_chain(&self, blocks: &[BlockId]) {
        for (at, block) in blocks.iter().enumerate() {
            if let Some(link) = &self.links[block.0 as usize] {
                let before = at.checked_sub(1).map(|before| blocks[before]);
                assert_eq!(link.parent, before, "{block} stands in another chain");
            }
        }
    }
}

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;
