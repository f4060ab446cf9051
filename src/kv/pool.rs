//! Which blocks are in use, and by how many tables. Integers only.
use super::prefix::{Link, PrefixIndex};
use crate::base::BlockId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tables hold so many blocks that not enough others are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {blocks} blocks of the KV pool are in use")]
pub struct PoolFull {
    pub blocks: usize,
}

/// How a pool's blocks are used: `free + cached + referenced = total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    pub free: usize,
    /// Held by no table, kept for whoever comes with the same tokens, and given
    /// up as soon as a block is needed.
    pub cached: usize,
    pub referenced: usize,
    pub total: usize,
}

/// Refcounts, a free list, and the prefix cache. Cloning the handle shares the pool.
///
/// A block is free, cached (no table holds it, its tokens are known), or
/// referenced; only a block that no table holds is ever taken for other use.
///
/// Cost: taking a free block or giving one back is O(1), a cached one O(log n);
/// forking a table of n blocks increments n counters under one lock.
#[derive(Clone)]
pub struct BlockPool {
    inner: Arc<Mutex<Inner>>,
}

pub(super) struct Inner {
    pub(super) refcounts: Vec<u32>,
    pub(super) free: Vec<BlockId>,
    pub(super) prefixes: PrefixIndex,
}

impl BlockPool {
    /// A pool of `n_blocks` free blocks.
    pub fn new(n_blocks: usize) -> Self {
        let free = (0..n_blocks as u32).rev().map(BlockId).collect();
        Self {
            inner: Arc::new(Mutex::new(Inner {
                refcounts: vec![0; n_blocks],
                free,
                prefixes: PrefixIndex::new(n_blocks),
            })),
        }
    }

    /// Counts of free, cached and referenced blocks.
    pub fn in_use(&self) -> PoolUse {
        let inner = self.lock();
        let (free, cached) = (inner.free.len(), inner.prefixes.n_cached());
        let total = inner.refcounts.len();
        PoolUse {
            free,
            cached,
            referenced: total - free - cached,
            total,
        }
    }

    /// Frees every cached block. Blocks that tables hold stay theirs and are
    /// found by no other table any more, nor is what follows them there.
    pub fn forget_prefixes(&self) {
        let mut inner = self.lock();
        let cached = inner.prefixes.clear();
        inner.free.extend(cached);
    }

    /// Begins a new bill: from here on what the cache knows counts as not computed
    /// yet where a table first takes it over (see [`Attached`](super::Attached)).
    pub fn new_bill(&self) {
        self.lock().prefixes.new_bill();
    }

    /// True once a bill has followed another.
    pub fn keeps_bills(&self) -> bool {
        self.lock().prefixes.keeps_bills()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // What panics while it holds the pool is a broken invariant, which must
        // not be hidden behind tables that panic when they are dropped.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A block for the caller alone: a free one, else the cached one that was
    /// let go of first.
    pub(super) fn take(&mut self) -> Result<BlockId, PoolFull> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => self.prefixes.evict().ok_or(self.full())?,
        };
        self.refcounts[block.0 as usize] = 1;
        Ok(block)
    }

    /// Blocks that `take` can give.
    pub(super) fn n_available(&self) -> usize {
        self.free.len() + self.prefixes.n_cached()
    }

    pub(super) fn full(&self) -> PoolFull {
        PoolFull {
            blocks: self.refcounts.len(),
        }
    }

    pub(super) fn share(&mut self, blocks: &[BlockId]) {
        for &block in blocks {
            let count = &mut self.refcounts[block.0 as usize];
            *count += 1;
            if *count == 1 {
                self.prefixes.take_up(block);
            }
        }
    }

    pub(super) fn is_shared(&self, block: BlockId) -> bool {
        self.refcounts[block.0 as usize] > 1
    }

    /// Ends one reference. Of a chain the later blocks come first, so that they
    /// are the first to be given up.
    pub(super) fn give_back(&mut self, block: BlockId) {
        let count = &mut self.refcounts[block.0 as usize];
        *count = count
            .checked_sub(1)
            .expect("a block is given back once for each reference");
        if *count > 0 {
            return;
        }
        if self.prefixes.is_registered(block) {
            self.prefixes.let_go(block);
        } else {
            self.free.push(block);
        }
    }

    pub(super) fn is_registered(&self, block: BlockId) -> bool {
        self.prefixes.is_registered(block)
    }

    /// The block that holds these tokens behind that parent.
    pub(super) fn find(&self, link: &Link) -> Option<BlockId> {
        self.prefixes.find(link)
    }

    /// Registers a block under its link, or finds one that is: the caller's
    /// reference is to the block that is given back.
    pub(super) fn register(&mut self, block: BlockId, link: Link) -> BlockId {
        match self.prefixes.find(&link) {
            None => {
                self.prefixes.register(block, link);
                block
            }
            Some(known) => {
                self.share(&[known]);
                self.give_back(block);
                known
            }
        }
    }

    /// True once a bill has followed another.
    pub(super) fn keeps_bills(&self) -> bool {
        self.prefixes.keeps_bills()
    }

    pub(super) fn is_on_bill(&self, block: BlockId) -> bool {
        self.prefixes.is_on_bill(block)
    }

    /// Puts those of the blocks that are registered on the present bill.
    pub(super) fn put_on_bill(&mut self, blocks: &[BlockId]) {
        for &block in blocks {
            if self.prefixes.is_registered(block) {
                self.prefixes.put_on_bill(block);
            }
        }
    }

    /// Takes out the entry of a block that only the caller holds and nothing follows.
    pub(super) fn unregister(&mut self, block: BlockId) {
        self.prefixes.unregister(block);
    }
}
