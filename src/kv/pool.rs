//! Which blocks are in use, and by how many tables. Integers only.
use crate::base::BlockId;
use std::sync::{Arc, Mutex, MutexGuard};

/// No free block is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {blocks} blocks of the KV pool are in use")]
pub struct PoolFull {
    pub blocks: usize,
}

/// How a pool's blocks are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    pub free: usize,
    pub referenced: usize,
    pub total: usize,
}

/// Refcounts and a free list. Cloning the handle shares the pool.
///
/// Cost: taking or giving back a block is O(1); forking a table of n blocks
/// increments n counters under one lock.
#[derive(Clone)]
pub struct BlockPool {
    inner: Arc<Mutex<Inner>>,
}

pub(super) struct Inner {
    refcounts: Vec<u32>,
    free: Vec<BlockId>,
}

impl BlockPool {
    /// A pool of `n_blocks` free blocks.
    pub fn new(n_blocks: usize) -> Self {
        let free = (0..n_blocks as u32).rev().map(BlockId).collect();
        Self {
            inner: Arc::new(Mutex::new(Inner {
                refcounts: vec![0; n_blocks],
                free,
            })),
        }
    }

    /// Counts of free and referenced blocks.
    pub fn in_use(&self) -> PoolUse {
        let inner = self.lock();
        let total = inner.refcounts.len();
        PoolUse {
            free: inner.free.len(),
            referenced: total - inner.free.len(),
            total,
        }
    }

    /// Panics unless every block is either free with count 0 or referenced, once
    /// in the free list at most, and `counted` (block, references) says the same.
    ///
    /// `tables` are all living tables of this pool.
    pub fn check_integrity<'a>(&self, tables: impl IntoIterator<Item = &'a super::BlockTable>) {
        let inner = self.lock();
        let mut counted = vec![0u32; inner.refcounts.len()];
        for table in tables {
            for block in table.blocks() {
                counted[block.0 as usize] += 1;
            }
        }
        assert_eq!(
            counted, inner.refcounts,
            "refcounts differ from the tables' references"
        );
        let mut is_free = vec![false; counted.len()];
        for block in &inner.free {
            assert!(
                !std::mem::replace(&mut is_free[block.0 as usize], true),
                "{block} is free twice"
            );
        }
        for (block, count) in counted.iter().enumerate() {
            assert_eq!(
                is_free[block],
                *count == 0,
                "block {block}: free and referenced disagree"
            );
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("no code panics while it holds the pool")
    }
}

impl Inner {
    pub(super) fn take(&mut self) -> Result<BlockId, PoolFull> {
        let block = self.free.pop().ok_or(PoolFull {
            blocks: self.refcounts.len(),
        })?;
        self.refcounts[block.0 as usize] = 1;
        Ok(block)
    }

    pub(super) fn n_free(&self) -> usize {
        self.free.len()
    }

    pub(super) fn full(&self) -> PoolFull {
        PoolFull {
            blocks: self.refcounts.len(),
        }
    }

    pub(super) fn share(&mut self, blocks: &[BlockId]) {
        for block in blocks {
            self.refcounts[block.0 as usize] += 1;
        }
    }

    pub(super) fn is_shared(&self, block: BlockId) -> bool {
        self.refcounts[block.0 as usize] > 1
    }

    pub(super) fn give_back(&mut self, block: BlockId) {
        let count = &mut self.refcounts[block.0 as usize];
        *count = count
            .checked_sub(1)
            .expect("a block is given back once for each reference");
        if *count == 0 {
            self.free.push(block);
        }
    }
}
