//! The judge's two ways to put its question: behind a fork of the candidate, or
//! behind the candidate's tokens computed anew.
use crate::common::*;
use egss::agent::{ChatMl, digits};
use egss::base::{Purpose, SamplerSettings, SeqId};
use egss::engine::{Engine, EngineError, LocalEngine, PrefixCache};

/// Of a digit's expectation, on a tiny f32 checkpoint: logits move by
/// `TOLERANCE_F32` at most, an expectation over 0 to 3 by no more than three
/// times that.
const TOLERANCE_DIGITS_F32: f32 = 3.0 * TOLERANCE_F32;

/// What judging costs by fork, of what it costs by prefill, at most.
const SHARE_MAX: f64 = 0.2;

/// What is asked, and of how many siblings behind one trunk.
pub struct Asked<'a> {
    pub question: &'a str,
    pub dimensions: &'a [&'a str],
    pub n_siblings: usize,
    /// Tokens that each sibling decodes before it is judged.
    pub action_tokens: usize,
}

/// Siblings are rolled out behind `trunk` and judged both ways; fails where the
/// digits differ by `tolerance` or the fork does not cost a fifth of the other.
pub fn judge_both_ways(engine: &mut LocalEngine, trunk: &[u32], asked: &Asked<'_>, tolerance: f32) {
    let start = prefill(engine, trunk);
    let jobs: Vec<_> = (0..asked.n_siblings)
        .map(|i| {
            let seq = engine.fork(start, trunk.len(), PURPOSE);
            job(seq, SamplerSettings::at(1.0), i as u64, asked.action_tokens)
        })
        .collect();
    engine.generate(&jobs, &mut |_| {}).unwrap();
    let seqs: Vec<SeqId> = jobs.iter().map(|job| job.seq).collect();
    let ask = |engine: &mut LocalEngine, seqs: &[SeqId]| {
        let dialect = ChatMl::default();
        let (question, dimensions) = (asked.question, asked.dimensions);
        digits(engine, &dialect, seqs, question, dimensions, Purpose::Judge)
    };
    // The same tokens in an empty cache; one at a time, since they share no block.
    let ask_anew = |engine: &mut LocalEngine, seqs: &[SeqId]| {
        let mut all = Vec::new();
        for &seq in seqs {
            let tokens = engine.tokens(seq).to_vec();
            let fresh = engine.new_sequence(PrefixCache::Bypass);
            engine.append(fresh, &tokens, Purpose::Judge).unwrap();
            all.extend(ask(engine, &[fresh])?);
            engine.release(fresh);
        }
        Ok::<_, EngineError>(all)
    };
    let mut judged = |is_fork: bool, seqs: &[SeqId]| {
        let (before, living) = (engine.usage().judge, engine.living());
        let digits = match is_fork {
            true => ask(engine, seqs),
            false => ask_anew(engine, seqs),
        };
        assert_eq!(engine.living(), living, "the judge leaves nothing behind");
        engine.check_integrity();
        let after = engine.usage().judge;
        let computed = after.computed_tokens - before.computed_tokens;
        let reused = after.reused_tokens - before.reused_tokens;
        (digits.unwrap(), computed, reused)
    };
    // The fork comes second: it profits from nothing that the prefill left.
    let (anew, computed_anew, _) = judged(false, &seqs);
    let (forked, computed_forked, reused) = judged(true, &seqs);
    // Nobody sees another: in which order they come makes no difference.
    let reversed: Vec<SeqId> = seqs.iter().rev().copied().collect();
    let (backwards, ..) = judged(true, &reversed);
    for (a, b) in forked.iter().zip(backwards.iter().rev()) {
        for (a, b) in a.iter().zip(b) {
            let differ = (a.expectation() - b.expectation()).abs();
            assert!(differ < tolerance, "{a:?} {b:?}");
        }
    }
    let pairs = anew.iter().flatten().zip(forked.iter().flatten());
    let mut largest = 0f32;
    for (a, b) in pairs {
        let (a, b) = (a.expectation(), b.expectation());
        for digit in [a, b] {
            assert!((0.0..=3.0).contains(&digit), "{digit}");
        }
        largest = largest.max((a - b).abs());
    }
    let share = computed_forked as f64 / computed_anew as f64;
    println!(
        "judged {} siblings behind {} tokens: {computed_forked} tokens computed by fork ({reused} reused), {computed_anew} by prefill, {share:.3} of it; digits differ by {largest:.1e}",
        asked.n_siblings,
        trunk.len() + asked.action_tokens,
    );
    println!("of the first: {:?}", forked[0]);
    assert_eq!(forked.len(), asked.n_siblings);
    assert!(largest < tolerance, "{anew:?}\n{forked:?}");
    assert!(share < SHARE_MAX);
    let whole = (trunk.len() + asked.action_tokens) * asked.n_siblings;
    assert!(
        computed_anew as usize > whole,
        "a prefill pays for all of it"
    );
}

#[test]
fn judging_by_fork_gives_the_digits_of_a_prefill_at_under_a_fifth_of_its_tokens() {
    let mut engine = open_tiny(512, 1_024);
    let asked = Asked {
        question: "Rate that action.",
        dimensions: &["sense", "tool"],
        n_siblings: 4,
        action_tokens: 24,
    };
    judge_both_ways(&mut engine, &prompt(800), &asked, TOLERANCE_DIGITS_F32);
}
