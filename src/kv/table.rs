//! One sequence's view of the cache: which block holds which positions.
use super::pool::{BlockPool, PoolFull};
use super::prefix::Link;
use crate::base::BlockId;
use crate::ops::BLOCK_SIZE;

/// The blocks of one sequence, in order. Position `p` lives in
/// `blocks[p / S]` at offset `p % S`.
///
/// Not `Clone`: only [`fork`](Self::fork) and `Drop` touch references.
pub struct BlockTable {
    pool: BlockPool,
    blocks: Vec<BlockId>,
    /// Positions filled: `[0, len)`.
    len: usize,
}

/// What a table took over of the prefix cache: positions `[len before, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    pub end: usize,
    /// Those before this one stand on the present bill: some table has computed
    /// or taken them over since it began. Without bills that is all of them.
    pub billed_end: usize,
}

/// What an append asks of the storage, in this order: copy, then write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendPlan {
    /// `(from, to)`: at most one, the shared tail block.
    pub copies: Vec<(u32, u32)>,
    /// The slot (`block * S + offset`) of each appended position.
    pub slots: Vec<u32>,
}

impl BlockTable {
    /// An empty table of `pool`.
    pub fn new(pool: &BlockPool) -> Self {
        Self {
            pool: pool.clone(),
            blocks: Vec::new(),
            len: 0,
        }
    }

    /// Positions filled.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// A table of the first `len` positions that shares every block with this
    /// one. Copies `len / S` integers; no KV. Panics if `len` is past the end.
    pub fn fork(&self, len: usize) -> Self {
        assert!(
            len <= self.len,
            "a fork at {len} of a table of {} positions",
            self.len
        );
        let blocks = self.blocks[..len.div_ceil(BLOCK_SIZE)].to_vec();
        self.pool.lock().share(&blocks);
        Self {
            pool: self.pool.clone(),
            blocks,
            len,
        }
    }

    /// Makes room for `n` more positions: takes blocks, and copies the tail
    /// block first if another table sees it or the prefix cache knows it. On
    /// `PoolFull`, tables hold too many blocks, and nothing has changed.
    pub fn append(&mut self, n: usize) -> Result<AppendPlan, PoolFull> {
        let mut plan = AppendPlan::default();
        if n == 0 {
            return Ok(plan);
        }
        let mut pool = self.pool.lock();
        let needed = (self.len + n).div_ceil(BLOCK_SIZE) - self.blocks.len();
        let tail = (!self.len.is_multiple_of(BLOCK_SIZE))
            .then(|| *self.blocks.last().expect("a partial tail is a block"));
        let shared_tail = tail.filter(|&tail| pool.is_shared(tail));
        let known_tail = tail.filter(|&tail| pool.is_registered(tail));
        let room = pool.n_available();
        if room < needed + usize::from(shared_tail.is_some()) {
            return Err(pool.full());
        }
        // What only the cache wants kept is copied while there is a block for it.
        let copied = shared_tail.or(known_tail.filter(|_| room > needed));
        if let Some(tail) = copied {
            let own = pool.take()?;
            pool.give_back(tail);
            *self.blocks.last_mut().expect("the tail is there") = own;
            plan.copies.push((tail.0, own.0));
        }
        for _ in 0..needed {
            let block = pool.take()?;
            self.blocks.push(block);
        }
        if let Some(tail) = known_tail.filter(|_| copied.is_none()) {
            // Nothing cached is left, so nothing follows it there.
            pool.unregister(tail);
        }
        drop(pool);
        plan.slots = (self.len..self.len + n).map(|p| self.slot(p)).collect();
        self.len += n;
        Ok(plan)
    }

    /// Takes over registered blocks that continue this table: full blocks that
    /// end at position `limit` at the latest. A tail block filled in part gives
    /// way to a full one. They come on the bill with [`put_on_bill`](Self::put_on_bill).
    ///
    /// `tokens` are those of the sequence, from position 0. Cost: a lookup a
    /// block; no KV is copied.
    pub fn attach(&mut self, tokens: &[u32], limit: usize) -> Attached {
        let nothing = Attached {
            end: self.len,
            billed_end: self.len,
        };
        let n_full = self.len / BLOCK_SIZE;
        if limit / BLOCK_SIZE <= n_full {
            return nothing;
        }
        let (full_blocks, _) = tokens[..limit].as_chunks();
        let mut pool = self.pool.lock();
        let mut parent = n_full.checked_sub(1).map(|last| self.blocks[last]);
        let mut found = Vec::new();
        for &tokens in &full_blocks[n_full..] {
            let Some(block) = pool.find(&Link { parent, tokens }) else {
                break;
            };
            found.push(block);
            parent = Some(block);
        }
        if found.is_empty() {
            return nothing;
        }
        let n_billed = found.iter().take_while(|b| pool.is_on_bill(**b)).count();
        pool.share(&found);
        if let Some(tail) = self.blocks.get(n_full) {
            pool.give_back(*tail);
        }
        self.blocks.truncate(n_full);
        self.blocks.extend(found);
        let before = std::mem::replace(&mut self.len, self.blocks.len() * BLOCK_SIZE);
        Attached {
            end: self.len,
            billed_end: before.max((n_full + n_billed) * BLOCK_SIZE),
        }
    }

    /// Puts every registered block on the present bill, for it was paid for.
    pub fn put_on_bill(&self) {
        self.pool.lock().put_on_bill(&self.blocks);
    }

    /// True once a bill of the pool has followed another.
    pub fn keeps_bills(&self) -> bool {
        self.pool.lock().keeps_bills()
    }

    /// Registers the blocks that were filled by positions from `from` to the end of
    /// `tokens`, whose KV has been computed, for other tables to find. `tokens` may be fewer
    /// than this table has positions: the rest is not known to stay. Where a block of the same
    /// tokens is known already, this table takes that one and its own is free.
    ///
    /// A block behind one that is not registered is not either.
    pub fn register(&mut self, tokens: &[u32], from: usize) {
        let n_before = from / BLOCK_SIZE;
        let len = self.len.min(tokens.len());
        if n_before >= len / BLOCK_SIZE {
            return;
        }
        let (full_blocks, _) = tokens[..len].as_chunks();
        let mut pool = self.pool.lock();
        for (at, &tokens) in full_blocks.iter().enumerate().skip(n_before) {
            let parent = at.checked_sub(1).map(|before| self.blocks[before]);
            if parent.is_some_and(|parent| !pool.is_registered(parent)) {
                return;
            }
            self.blocks[at] = pool.register(self.blocks[at], Link { parent, tokens });
        }
    }

    fn slot(&self, position: usize) -> u32 {
        self.blocks[position / BLOCK_SIZE].0 * BLOCK_SIZE as u32 + (position % BLOCK_SIZE) as u32
    }
}

impl Drop for BlockTable {
    fn drop(&mut self) {
        let mut pool = self.pool.lock();
        for &block in self.blocks.iter().rev() {
            pool.give_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_shares_every_block_until_the_first_append() {
        let pool = BlockPool::new(8);
        let mut trunk = BlockTable::new(&pool);
        trunk.append(BLOCK_SIZE + 3).unwrap();
        let mut branch = trunk.fork(BLOCK_SIZE + 3);
        assert_eq!(pool.in_use().referenced, 2);
        let plan = branch.append(1).unwrap();
        assert_eq!(plan.copies.len(), 1);
        assert_eq!(pool.in_use().referenced, 3);
        assert_eq!(branch.blocks()[0], trunk.blocks()[0]);
        assert_ne!(branch.blocks()[1], trunk.blocks()[1]);
        // The trunk is alone on its tail again: no copy.
        assert!(trunk.append(1).unwrap().copies.is_empty());
        pool.check_integrity([&trunk, &branch]);
    }

    #[test]
    fn fork_at_a_block_boundary_copies_nothing() {
        let pool = BlockPool::new(8);
        let mut trunk = BlockTable::new(&pool);
        trunk.append(2 * BLOCK_SIZE + 5).unwrap();
        let mut branch = trunk.fork(2 * BLOCK_SIZE);
        assert!(branch.append(1).unwrap().copies.is_empty());
        pool.check_integrity([&trunk, &branch]);
    }

    #[test]
    fn a_full_pool_refuses_and_changes_nothing() {
        let pool = BlockPool::new(2);
        let mut table = BlockTable::new(&pool);
        table.append(BLOCK_SIZE + 1).unwrap();
        let branch = table.fork(BLOCK_SIZE + 1);
        assert_eq!(table.append(1), Err(PoolFull { blocks: 2 }));
        assert_eq!(table.len(), BLOCK_SIZE + 1);
        pool.check_integrity([&table, &branch]);
        drop(branch);
        assert!(table.append(1).is_ok());
    }

    #[test]
    fn dropping_every_table_frees_every_block() {
        let pool = BlockPool::new(4);
        let mut table = BlockTable::new(&pool);
        table.append(40).unwrap();
        let branch = table.fork(17);
        drop(table);
        assert_eq!(pool.in_use().referenced, 2);
        drop(branch);
        assert_eq!(pool.in_use().free, 4);
    }
}
