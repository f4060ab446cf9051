//! The check that a pool counts right.
use super::{BlockPool, BlockTable};

impl BlockPool {
    /// Panics unless every block is free, cached or referenced, and just one of
    /// the three; every count is that of the tables' references; and the cache
    /// gives up children before their parents.
    ///
    /// `tables` are all living tables of this pool.
    pub fn check_integrity<'a>(&self, tables: impl IntoIterator<Item = &'a BlockTable>) {
        let inner = self.lock();
        let mut counted = vec![0u32; inner.refcounts.len()];
        for table in tables {
            for block in table.blocks() {
                counted[block.0 as usize] += 1;
            }
            inner.prefixes.check_chain(table.blocks());
        }
        assert_eq!(
            counted, inner.refcounts,
            "refcounts differ from the tables' references"
        );
        let mut is_free = vec![false; counted.len()];
        for &block in &inner.free {
            assert!(
                !std::mem::replace(&mut is_free[block.0 as usize], true),
                "{block} is free twice"
            );
            assert!(
                !inner.prefixes.is_registered(block),
                "{block} is free and cached"
            );
        }
        inner.prefixes.check(&counted);
        let unused = counted.iter().filter(|&&count| count == 0).count();
        assert_eq!(
            inner.free.len() + inner.prefixes.n_cached(),
            unused,
            "free + cached + referenced is not all"
        );
    }
}
