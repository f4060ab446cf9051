//! The prefix cache of a running engine: what is taken over, what is counted,
//! and that nobody can tell it from what would have been computed.
use crate::common::*;
use egss::base::Usage;
use egss::engine::{Engine, EngineError, LocalEngine};
use egss::kv::BLOCK_SIZE as S;

/// What `work` has computed and reused.
fn spent(engine: &mut LocalEngine, work: impl FnOnce(&mut LocalEngine)) -> (u64, u64) {
    let before = engine.usage().total();
    work(engine);
    let after = engine.usage().total();
    engine.check_integrity();
    let of = |count: fn(&Usage) -> u64| count(&after) - count(&before);
    (of(|u| u.computed_tokens), of(|u| u.reused_tokens))
}

/// A sequence of `tokens`, computed and released: its counts and last row.
fn visit(engine: &mut LocalEngine, tokens: &[u32]) -> ((u64, u64), Vec<f32>) {
    let mut row = Vec::new();
    let counts = spent(engine, |engine| {
        let seq = prefill(engine, tokens);
        row = logits(engine, seq);
        engine.release(seq);
    });
    (counts, row)
}

fn check_row(engine: &mut LocalEngine, tokens: &[u32], row: &[f32]) {
    let diff = max_diff(&fresh_logits(engine, tokens), row);
    assert!(diff < TOLERANCE_F32, "{} tokens: {diff}", tokens.len());
}

#[test]
fn a_released_text_is_reused_in_full_blocks_and_equals_a_replay() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(100);
    assert_eq!(visit(&mut engine, &text).0, (100, 0));
    let (counts, row) = visit(&mut engine, &text);
    assert_eq!(counts, (4, 96));
    check_row(&mut engine, &text, &row);
    // Another end behind the same start.
    let other = [&text[..70], &prompt(30)].concat();
    let (counts, row) = visit(&mut engine, &other);
    assert_eq!(counts, (36, 64));
    check_row(&mut engine, &other, &row);
    // Where the text ends with a block, its last token's row is still wanted.
    let (counts, row) = visit(&mut engine, &text[..96]);
    assert_eq!(counts, (16, 80));
    check_row(&mut engine, &text[..96], &row);
}

#[test]
fn a_living_sequence_is_shared_and_what_it_decoded_with_it() {
    let mut engine = open_tiny(64, 256);
    let first = prefill(&mut engine, &prompt(40));
    engine.generate(&[greedy(first, 30)], &mut |_| {}).unwrap();
    let text = [engine.tokens(first), &prompt(9)].concat();
    let blocks = engine.pool_use().referenced;
    let mut second = first;
    let counts = spent(&mut engine, |engine| second = prefill(engine, &text));
    assert_eq!(counts, (79 - 64, 64));
    assert_eq!(
        engine.pool_use().referenced,
        blocks + 1,
        "79 tokens, 5 blocks"
    );
    let row = logits(&engine, second);
    check_row(&mut engine, &text, &row);
}

#[test]
fn a_fork_within_a_block_goes_on_where_another_has_been() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(90);
    let first = prefill(&mut engine, &text);
    let fork = engine.fork(first, 37, PURPOSE);
    engine.append(fork, &text[37..], PURPOSE).unwrap();
    let counts = spent(&mut engine, |engine| compute(engine, &[fork]));
    assert_eq!(counts, (10, 80 - 37));
    let row = logits(&engine, fork);
    check_row(&mut engine, &text, &row);
}

#[test]
fn a_sequence_that_bypasses_takes_nothing_and_leaves_nothing() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(50);
    let afresh = |engine: &mut LocalEngine| {
        spent(engine, |engine| {
            let seq = prefill_afresh(engine, &text);
            // Nor do its forks.
            let fork = engine.fork(seq, 0, PURPOSE);
            engine.append(fork, &text, PURPOSE).unwrap();
            compute(engine, &[fork]);
            engine.release(seq);
            engine.release(fork);
        })
    };
    assert_eq!(afresh(&mut engine), (100, 0));
    assert_eq!(engine.pool_use().free, 64);
    assert_eq!(visit(&mut engine, &text).0, (50, 0));
    assert_eq!(afresh(&mut engine), (100, 0));
    assert_eq!(visit(&mut engine, &text).0, (2, 48));
}

#[test]
fn forgotten_prefixes_are_computed_again() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(50);
    visit(&mut engine, &text);
    engine.forget_prefixes();
    assert_eq!(engine.pool_use().free, 64);
    assert_eq!(visit(&mut engine, &text).0, (50, 0));
}

#[test]
fn a_pool_of_cached_blocks_has_room_for_whatever_comes() {
    // Each text takes 4 of 10 blocks, and 3 of them stay.
    let mut engine = open_tiny(10, 64);
    let mut reference = open_tiny(10, 64);
    let text = |i: usize| prompt(60 + i)[i..].to_vec();
    for i in 0..8 {
        let ((computed, reused), row) = visit(&mut engine, &text(i));
        assert_eq!((computed, reused), (60, 0));
        check_row(&mut reference, &text(i), &row);
        let blocks = engine.pool_use();
        assert_eq!(blocks.referenced, 0);
        assert_eq!(blocks.cached, [3, 6, 9][i.min(2)]);
    }
    // The last ones are whole, the first is long gone.
    for (i, reused) in [(7, 48), (6, 48), (0, 0)] {
        let (counts, row) = visit(&mut engine, &text(i));
        assert_eq!(counts, (60 - reused, reused), "text {i}");
        check_row(&mut reference, &text(i), &row);
    }
    // All of the pool at once: nothing cached stands in the way.
    let large: Vec<_> = (20..22).map(|i| sequence(&mut engine, &text(i))).collect();
    compute(&mut engine, &large);
    assert_eq!(engine.pool_use().referenced, 8);
    engine.check_integrity();
}

#[test]
fn equal_texts_computed_side_by_side_end_up_in_the_same_blocks() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(50);
    let seqs = [0; 3].map(|_| sequence(&mut engine, &text));
    compute(&mut engine, &seqs);
    // In one batch none can wait for another: each was computed.
    assert_eq!(engine.usage().total().computed_tokens, 150);
    assert_eq!(engine.pool_use().referenced, 3 + 3);
    engine.check_integrity();
    for seq in seqs {
        let row = logits(&engine, seq);
        check_row(&mut engine, &text, &row);
        let decoded = engine.generate(&[greedy(seq, 8)], &mut |_| {}).unwrap();
        assert_eq!(decoded[0].tokens.len(), 8);
        engine.check_integrity();
    }
}

#[test]
fn a_step_that_fails_leaves_nothing_to_be_found() {
    let mut engine = open_tiny(64, 256);
    let seq = sequence(&mut engine, &prompt(40));
    // No such row in the embedding.
    let broken = sequence(&mut engine, &[320]);
    let failed = engine.compute(&[seq, broken], PURPOSE, &mut |_| {});
    assert!(matches!(failed, Err(EngineError::Model(_))));
    engine.release(broken);
    engine.release(seq);
    assert_eq!(engine.pool_use().free, 64);
    let (counts, row) = visit(&mut engine, &prompt(40));
    assert_eq!(counts, (40, 0));
    check_row(&mut engine, &prompt(40), &row);
}

#[test]
fn a_step_that_fails_is_counted_as_run_again() {
    let mut engine = open_tiny(64, 256);
    let seq = prefill(&mut engine, &prompt(40));
    engine.generate(&[greedy(seq, 5)], &mut |_| {}).unwrap();
    let broken = sequence(&mut engine, &[320]);
    engine.append(seq, &prompt(9), PURPOSE).unwrap();
    let failed = engine.compute(&[seq, broken], PURPOSE, &mut |_| {});
    assert!(failed.is_err());
    compute(&mut engine, &[seq]);
    let usage = engine.usage().total();
    // 54 tokens, and the broken one that was run in vain and waits again.
    assert_eq!(
        usage.decoded_tokens + usage.computed_tokens + usage.reused_tokens,
        54 + engine.rerun_tokens()
    );
    assert_eq!(usage.reused_tokens, 32, "its first blocks were found again");
}

#[test]
fn a_rerun_at_a_blocks_end_leaves_the_known_block_as_it_was() {
    let mut engine = open_tiny(64, 256);
    let text = prompt(2 * S);
    let first = prefill(&mut engine, &prompt(2 * S + 4));
    // A fork where no row was kept: its last token is run again.
    let fork = engine.fork(first, 2 * S, PURPOSE);
    engine.release(first);
    let counts = spent(&mut engine, |engine| compute(engine, &[fork]));
    assert_eq!(counts, (1, 0));
    let row = logits(&engine, fork);
    check_row(&mut engine, &text, &row);
    // Going on otherwise from within the block does not touch it either.
    let other = engine.fork(fork, 2 * S - 3, PURPOSE);
    engine.release(fork);
    engine.append(other, &[1, 2, 3, 4], PURPOSE).unwrap();
    compute(&mut engine, &[other]);
    let (counts, row) = visit(&mut engine, &prompt(2 * S + 1));
    assert_eq!(counts, (1, 2 * S as u64));
    check_row(&mut engine, &prompt(2 * S + 1), &row);
}
