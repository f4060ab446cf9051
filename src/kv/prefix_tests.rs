//! The prefix cache over tables alone: blocks that are kept, found, given up.
use crate::kv::{BLOCK_SIZE, BlockPool, BlockTable, PoolFull};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use std::hash::{DefaultHasher, Hash, Hasher};

const S: usize = BLOCK_SIZE;

/// A table of `tokens`, as if computed.
fn computed(pool: &BlockPool, tokens: &[u32]) -> BlockTable {
    let mut table = BlockTable::new(pool);
    let from = table.attach(tokens, tokens.len()).end;
    table.append(tokens.len() - from).unwrap();
    table.register(tokens, from);
    table
}

/// How many positions of `tokens` a new table finds.
fn found(pool: &BlockPool, tokens: &[u32]) -> usize {
    BlockTable::new(pool).attach(tokens, tokens.len()).end
}

fn text(first: u32, n: usize) -> Vec<u32> {
    (first..).take(n).collect()
}

#[test]
fn full_blocks_of_a_released_table_are_found_again() {
    let pool = BlockPool::new(8);
    let tokens = text(0, 2 * S + 5);
    let table = computed(&pool, &tokens);
    let blocks = table.blocks().to_vec();
    drop(table);
    let kept = pool.in_use();
    assert_eq!((kept.free, kept.cached, kept.referenced), (6, 2, 0));
    let mut again = BlockTable::new(&pool);
    assert_eq!(again.attach(&tokens, tokens.len()).end, 2 * S);
    assert_eq!(again.blocks(), &blocks[..2]);
    assert_eq!(pool.in_use().cached, 0);
    pool.check_integrity([&again]);
}

#[test]
fn a_block_is_found_only_behind_the_same_tokens_and_only_whole() {
    let pool = BlockPool::new(8);
    let tokens = text(0, 2 * S);
    let table = computed(&pool, &tokens);
    assert_eq!(found(&pool, &tokens), 2 * S);
    assert_eq!(found(&pool, &tokens[..2 * S - 1]), S);
    // The second block's tokens, at the start or behind another block.
    assert_eq!(found(&pool, &tokens[S..]), 0);
    assert_eq!(found(&pool, &[&text(99, S)[..], &tokens[S..]].concat()), 0);
    // A limit leaves what stands behind it to be computed.
    let mut limited = BlockTable::new(&pool);
    assert_eq!(limited.attach(&tokens, 2 * S - 1).end, S);
    pool.check_integrity([&table, &limited]);
}

#[test]
fn nothing_is_found_before_it_was_computed() {
    let pool = BlockPool::new(8);
    let tokens = text(0, 2 * S);
    let mut table = BlockTable::new(&pool);
    table.append(2 * S).unwrap();
    assert_eq!(found(&pool, &tokens), 0);
    table.register(&tokens, 0);
    assert_eq!(found(&pool, &tokens), 2 * S);
}

#[test]
fn a_table_that_computed_what_is_known_takes_the_known_block() {
    let pool = BlockPool::new(8);
    let tokens = text(0, S + 3);
    let mut tables = [BlockTable::new(&pool), BlockTable::new(&pool)];
    for table in &mut tables {
        table.append(S + 3).unwrap();
    }
    for table in &mut tables {
        table.register(&tokens, 0);
    }
    assert_eq!(tables[0].blocks()[0], tables[1].blocks()[0]);
    assert_ne!(tables[0].blocks()[1], tables[1].blocks()[1]);
    assert_eq!(pool.in_use().referenced, 3);
    pool.check_integrity(&tables);
}

#[test]
fn a_full_block_takes_the_place_of_a_tail_filled_in_part() {
    let pool = BlockPool::new(8);
    let tokens = text(0, 2 * S);
    let whole = computed(&pool, &tokens);
    let mut fork = whole.fork(S + 3);
    assert_eq!(fork.attach(&tokens, 2 * S).end, 2 * S);
    assert_eq!(fork.blocks(), whole.blocks());
    // Its own tail, of the same tokens, is free again.
    let mut own = whole.fork(S);
    own.append(3).unwrap();
    assert_eq!(pool.in_use().referenced, 3);
    assert_eq!(own.attach(&tokens, 2 * S).end, 2 * S);
    assert_eq!(pool.in_use().referenced, 2);
    pool.check_integrity([&whole, &fork, &own]);
}

#[test]
fn the_least_recently_used_chain_goes_first_and_its_leaves_before_their_parents() {
    let pool = BlockPool::new(6);
    let (old, new) = (text(0, 3 * S), text(100, 3 * S));
    drop(computed(&pool, &old));
    drop(computed(&pool, &new));
    assert_eq!(pool.in_use().cached, 6);
    // Looking at the older one makes it the newer.
    assert_eq!(found(&pool, &old), 3 * S);
    let mut taker = BlockTable::new(&pool);
    for (n_taken, kept_new, kept_old) in [(1, 2, 3), (3, 0, 3), (4, 0, 2), (6, 0, 0)] {
        taker.append(n_taken * S - taker.len()).unwrap();
        pool.check_integrity([&taker]);
        // `found` touches what it finds: the same order is kept.
        assert_eq!(found(&pool, &new), kept_new * S);
        assert_eq!(found(&pool, &old), kept_old * S);
    }
    assert_eq!(taker.append(1), Err(PoolFull { blocks: 6 }));
}

#[test]
fn a_block_in_use_is_never_given_up() {
    let pool = BlockPool::new(4);
    let tokens = text(0, 2 * S);
    let mut table = computed(&pool, &tokens);
    let trunk = table.fork(S);
    table = BlockTable::new(&pool);
    // The trunk's block is registered and held; its child is only cached.
    assert_eq!(pool.in_use().cached, 1);
    assert!(table.append(4 * S).is_err());
    table.append(3 * S).unwrap();
    assert_eq!(found(&pool, &tokens), S);
    pool.check_integrity([&trunk, &table]);
}

#[test]
fn a_write_into_a_known_block_leaves_what_others_may_find() {
    let pool = BlockPool::new(3);
    let tokens = text(0, S);
    let table = computed(&pool, &tokens);
    let mut cut = table.fork(S - 1);
    drop(table);
    // Alone on its tail, and still the tail is copied.
    assert_eq!(cut.append(1).unwrap().copies.len(), 1);
    assert_eq!(found(&pool, &tokens), S);
    pool.check_integrity([&cut]);
}

#[test]
fn without_a_block_for_the_copy_the_cache_lets_go_of_the_known_block() {
    let pool = BlockPool::new(1);
    let tokens = text(0, S);
    let mut cut = computed(&pool, &tokens).fork(S - 1);
    assert_eq!(cut.append(1).unwrap().copies, []);
    assert_eq!(found(&pool, &tokens), 0);
    pool.check_integrity([&cut]);
}

#[test]
fn forgotten_prefixes_are_not_found_and_not_built_upon() {
    let pool = BlockPool::new(8);
    let tokens = text(0, 3 * S);
    drop(computed(&pool, &text(100, 2 * S)));
    let mut held = computed(&pool, &tokens[..2 * S]);
    pool.forget_prefixes();
    assert_eq!((pool.in_use().cached, pool.in_use().free), (0, 6));
    assert_eq!(found(&pool, &tokens), 0);
    held.append(S).unwrap();
    held.register(&tokens, 2 * S);
    assert_eq!(found(&pool, &tokens), 0);
    pool.check_integrity([&held]);
    drop(held);
    assert_eq!(pool.in_use().free, 8);
}

#[derive(Clone, Debug)]
enum Op {
    /// A new table of a text known before, up to a position.
    Repeat(Index, Index),
    /// So many times the same token behind a table's text.
    Extend(Index, u32, usize),
    /// Computes what is pending; in vain, if the step is to fail.
    Run(Index, bool),
    Fork(Index, Index),
    Release(Index),
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    let who = any::<Index>;
    prop_oneof![
        3 => (who(), who()).prop_map(|(text, at)| Op::Repeat(text, at)),
        4 => (who(), 0..2u32, 1..40usize).prop_map(|(who, token, n)| Op::Extend(who, token, n)),
        6 => (who(), prop::bool::weighted(0.1)).prop_map(|(who, fails)| Op::Run(who, fails)),
        3 => (who(), who()).prop_map(|(who, at)| Op::Fork(who, at)),
        3 => who().prop_map(Op::Release),
        1 => Just(Op::Forget),
    ]
}

/// Tables over a storage that holds, in the place of KV, a digest of all tokens
/// up to a position: what KV depends on.
struct World {
    pool: BlockPool,
    kv: Vec<u64>,
    tables: Vec<(BlockTable, Vec<u32>)>,
    texts: Vec<Vec<u32>>,
}

fn digest(tokens: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tokens.hash(&mut hasher);
    hasher.finish()
}

impl World {
    fn new(blocks: usize) -> Self {
        Self {
            pool: BlockPool::new(blocks),
            kv: vec![0; blocks * S],
            tables: Vec::new(),
            texts: vec![Vec::new()],
        }
    }

    fn apply(&mut self, op: &Op) {
        let n = self.tables.len();
        match op {
            Op::Repeat(text, at) => {
                let text = &self.texts[text.index(self.texts.len())];
                let tokens = text[..at.index(text.len() + 1)].to_vec();
                self.tables.push((BlockTable::new(&self.pool), tokens));
            }
            Op::Forget => self.pool.forget_prefixes(),
            _ if n == 0 => {}
            Op::Extend(who, token, times) => {
                let (_, tokens) = &mut self.tables[who.index(n)];
                tokens.extend(std::iter::repeat_n(token, *times));
                self.texts.push(tokens.clone());
            }
            Op::Run(who, fails) => self.run(who.index(n), *fails),
            Op::Fork(who, at) => {
                let (table, tokens) = &self.tables[who.index(n)];
                let at = at.index(tokens.len() + 1);
                let fork = table.fork(at.min(table.len()));
                self.tables.push((fork, tokens[..at].to_vec()));
            }
            Op::Release(who) => drop(self.tables.swap_remove(who.index(n))),
        }
        self.check();
    }

    fn run(&mut self, who: usize, fails: bool) {
        let (table, tokens) = &mut self.tables[who];
        let Some(limit) = tokens.len().checked_sub(1) else {
            return;
        };
        table.attach(tokens, limit);
        let (start, n_blocks) = (table.len(), table.blocks().len());
        let pending = tokens.len() - start;
        let needed = tokens.len().div_ceil(S) - n_blocks;
        let tail = (!start.is_multiple_of(S)).then(|| table.blocks()[n_blocks - 1]);
        let appended = self.tables[who].0.append(pending);
        let n_holders = |block| {
            let holders = self.tables.iter();
            holders.filter(|(t, _)| t.blocks().contains(&block)).count()
        };
        let Ok(plan) = appended else {
            // Only what tables hold can fill the pool.
            let copy = usize::from(pending > 0 && tail.is_some_and(|tail| n_holders(tail) > 1));
            let in_use = self.pool.in_use();
            assert!(in_use.free + in_use.cached < needed + copy);
            return;
        };
        for (from, to) in plan.copies {
            let from = from as usize * S;
            self.kv.copy_within(from..from + S, to as usize * S);
        }
        let (table, tokens) = &mut self.tables[who];
        for (at, slot) in (start..).zip(plan.slots) {
            self.kv[slot as usize] = if fails { 0 } else { digest(&tokens[..=at]) };
        }
        if fails {
            *table = table.fork(0);
        } else {
            table.register(tokens, start);
        }
    }

    fn check(&self) {
        self.pool
            .check_integrity(self.tables.iter().map(|(t, _)| t));
        for (table, tokens) in &self.tables {
            for at in 0..table.len() {
                let slot = table.blocks()[at / S].0 as usize * S + at % S;
                assert_eq!(self.kv[slot], digest(&tokens[..=at]), "position {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        max_shrink_iters: 2_000,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_found_is_what_would_have_been_computed(
        blocks in prop_oneof![Just(4usize), Just(8), Just(40)],
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut world = World::new(blocks);
        for op in &ops {
            world.apply(op);
        }
        world.tables.clear();
        world.check();
        world.pool.forget_prefixes();
        prop_assert_eq!(world.pool.in_use().free, blocks);
    }
}
