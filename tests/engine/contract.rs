//! What the engine promises, one promise a test, on a tiny checkpoint.
use crate::common::*;
use egss::base::{Deadline, RngKey, SamplerSettings, SeqId};
use egss::decode::{RowStats, logprob};
use egss::engine::{Engine, EngineError, Finish, GenerateJob, LocalEngine, ScoreJob};
use egss::kv::BLOCK_SIZE;
use std::time::Duration;

const SAMPLED: SamplerSettings = SamplerSettings::at(1.0);

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let run = |seed: u64| {
        let mut engine = open_tiny(64, 256);
        let jobs: Vec<GenerateJob> = [5, 20, 33]
            .map(|n| {
                let seq = sequence(&mut engine, &prompt(n));
                job(seq, SAMPLED, seed + n as u64, 40)
            })
            .into();
        let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
        generated.into_iter().map(|g| g.tokens).collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
}

/// Qwen3#885 and its kind: 320 rows of logits, 312 tokens.
#[test]
fn rows_without_a_token_are_never_drawn_and_stay_in_the_entropy() {
    let mut engine = open_tiny(256, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let is_token = |engine: &LocalEngine, id: u32| !engine.vocabulary().token_bytes(id).is_empty();
    let rows = engine.logits(trunk).unwrap().to_vec();
    let padding: Vec<u32> = (0..rows.len() as u32)
        .filter(|&id| !is_token(&engine, id))
        .collect();
    assert_eq!(padding.len(), 8);
    let likely = engine.likely_next(trunk, rows.len());
    assert_eq!(likely.len(), rows.len() - padding.len());
    assert!(likely.iter().all(|&id| is_token(&engine, id)));
    let expected = RowStats::of(&rows).unwrap();
    let jobs: Vec<GenerateJob> = (0..64)
        .map(|seed| {
            let sampler = SamplerSettings {
                // Hot enough that a row without a token would be drawn many times over.
                temperature: if seed % 2 == 0 { 1.0 } else { 50.0 },
                top_k: if seed % 3 == 0 { 300 } else { 0 },
                ..SAMPLED
            };
            job(engine.fork(trunk, 20, PURPOSE), sampler, seed, 20)
        })
        .collect();
    let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
    for generated in &generated {
        let first = &generated.tokens[0];
        assert_eq!(first.entropy_nats, expected.entropy_nats);
        assert_eq!(first.masked_entropy_nats, None);
        assert!(
            generated
                .tokens
                .iter()
                .all(|token| is_token(&engine, token.token))
        );
    }
}

#[test]
fn excluded_first_tokens_never_come_first() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    // All but three tokens, the likeliest among them.
    let likely = engine.likely_next(trunk, 320);
    let (excluded, allowed) = likely.split_at(likely.len() - 3);
    let mut later_excluded = 0;
    for seed in 0..32 {
        let seq = engine.fork(trunk, 20, PURPOSE);
        let job = GenerateJob {
            first_token_not: excluded.to_vec(),
            distinct: None,
            ..job(seq, SAMPLED, seed, 3)
        };
        let tokens = ids(&engine.generate(&[job], &mut |_| {}).unwrap()[0]);
        assert!(allowed.contains(&tokens[0]), "{}", tokens[0]);
        later_excluded += tokens[1..].iter().filter(|t| excluded.contains(t)).count();
        engine.release(seq);
    }
    assert!(later_excluded > 0, "later tokens are free");
}

#[test]
fn jobs_of_one_group_take_different_first_tokens_as_long_as_there_are_others() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let likely = engine.likely_next(trunk, 320);
    let firsts = |engine: &mut LocalEngine, distinct: Option<u32>, excluded: &[u32]| -> Vec<u32> {
        let jobs: Vec<GenerateJob> = (0..4)
            .map(|i| GenerateJob {
                first_token_not: excluded.to_vec(),
                distinct,
                ..job(
                    engine.fork(trunk, 20, PURPOSE),
                    SamplerSettings::GREEDY,
                    i,
                    1,
                )
            })
            .collect();
        let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
        jobs.iter().for_each(|job| engine.release(job.seq));
        generated.iter().map(|g| ids(g)[0]).collect()
    };
    assert_eq!(firsts(&mut engine, Some(7), &[]), likely[..4]);
    assert_eq!(firsts(&mut engine, None, &[]), [likely[0]; 4]);
    // Two are left: the third and fourth have to repeat one.
    let all_but_two = &likely[2..];
    let taken = firsts(&mut engine, Some(7), all_but_two);
    assert_eq!(taken, [likely[0], likely[1], likely[0], likely[0]]);
}

#[test]
fn a_stop_token_ends_a_job_and_is_part_of_it() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let free = engine.fork(trunk, 20, PURPOSE);
    let free = ids(&engine.generate(&[greedy(free, 8)], &mut |_| {}).unwrap()[0]);
    let stop = free[4];
    let first = free.iter().position(|&t| t == stop).unwrap();
    let stopped = GenerateJob {
        stop_tokens: vec![stop],
        ..greedy(trunk, 8)
    };
    let generated = &engine.generate(&[stopped], &mut |_| {}).unwrap()[0];
    assert_eq!(generated.finish, Finish::Stop);
    assert_eq!(ids(generated), free[..=first]);
}

#[test]
fn a_full_pool_ends_a_job_and_the_job_succeeds_after_a_release() {
    // Two sequences of 40 tokens take 3 blocks each; 2 are left.
    let mut engine = open_tiny(8, 256);
    let mut roomy = open_tiny(64, 256);
    let (kept, other) = (prompt(40), prompt(41)[1..].to_vec());
    let keeper = prefill(&mut engine, &kept);
    let ballast = prefill(&mut engine, &other);
    let trunk = engine.fork(keeper, 40, PURPOSE);
    let before = engine.usage().total();
    let generated = engine.generate(&[greedy(trunk, 60)], &mut |_| {}).unwrap();
    assert_eq!(generated[0].finish, Finish::KvPoolFull);
    let reached = ids(&generated[0]);
    assert_eq!(engine.tokens(trunk), [&kept[..], &reached].concat());
    let decoded = engine.usage().total().decoded_tokens - before.decoded_tokens;
    assert_eq!(decoded, reached.len() as u64);
    engine.check_integrity();

    let mut fresh = || {
        let seq = prefill(&mut roomy, &kept);
        ids(&roomy.generate(&[greedy(seq, 60)], &mut |_| {}).unwrap()[0])
    };
    let whole = fresh();
    assert_eq!(reached, whole[..reached.len()]);
    engine.release(ballast);
    engine.release(trunk);
    // The keeper's cache is as it was, and the same job now goes through.
    let again = engine.generate(&[greedy(keeper, 60)], &mut |_| {}).unwrap();
    assert_eq!(again[0].finish, Finish::TokensMax);
    assert_eq!(ids(&again[0]), whole);
}

#[test]
fn a_prompt_that_the_pool_cannot_hold_is_an_error_and_leaves_the_sequence() {
    let mut engine = open_tiny(4, 256);
    let keeper = prefill(&mut engine, &prompt(20));
    let row = logits(&engine, keeper);
    let large = sequence(&mut engine, &prompt(50));
    let result = engine.compute(&[keeper, large], PURPOSE, &mut |_| {});
    assert!(matches!(result, Err(EngineError::KvPoolFull { blocks: 4 })));
    let generated = engine.generate(&[greedy(large, 4)], &mut |_| {}).unwrap();
    assert_eq!(generated[0].finish, Finish::KvPoolFull);
    assert!(generated[0].tokens.is_empty());
    assert_eq!(engine.tokens(large), prompt(50));
    assert_eq!(logits(&engine, keeper), row);
    engine.release(keeper);
    compute(&mut engine, &[large]);
    engine.check_integrity();
}

#[test]
fn a_full_context_ends_a_job_at_its_last_token() {
    let mut engine = open_tiny(64, 32);
    let seq = sequence(&mut engine, &prompt(28));
    let refused = engine.append(seq, &prompt(5), PURPOSE);
    assert!(matches!(
        refused,
        Err(EngineError::ContextFull {
            asked: 33,
            limit: 32
        })
    ));
    let generated = engine.generate(&[greedy(seq, 60)], &mut |_| {}).unwrap();
    assert_eq!(generated[0].finish, Finish::ContextFull);
    assert_eq!(engine.tokens(seq).len(), 32);
    let nothing = engine.generate(&[greedy(seq, 60)], &mut |_| {}).unwrap();
    assert_eq!(nothing[0].finish, Finish::ContextFull);
    assert!(nothing[0].tokens.is_empty());
}

#[test]
fn tokens_decoded_and_then_built_upon_are_counted_once() {
    let mut engine = open_tiny(64, 256);
    let seq = prefill(&mut engine, &prompt(20));
    engine.generate(&[greedy(seq, 6)], &mut |_| {}).unwrap();
    engine.append(seq, &prompt(10), PURPOSE).unwrap();
    engine.generate(&[greedy(seq, 6)], &mut |_| {}).unwrap();
    let usage = engine.usage().total();
    assert_eq!((usage.decoded_tokens, usage.computed_tokens), (12, 30));
}

#[test]
fn a_retroactive_fork_samples_a_sibling_without_computing() {
    let mut engine = open_tiny(64, 256);
    let trunk = sequence(&mut engine, &prompt(37));
    let action = engine.generate(&[greedy(trunk, 12)], &mut |_| {}).unwrap();
    let before = engine.usage().total();
    let sibling = engine.fork(trunk, 37, PURPOSE);
    let job = GenerateJob {
        first_token_not: vec![action[0].tokens[0].token],
        distinct: None,
        rng: RngKey::from_seed(3),
        ..greedy(sibling, 12)
    };
    let other = engine.generate(&[job], &mut |_| {}).unwrap();
    assert_ne!(ids(&action[0])[0], ids(&other[0])[0]);
    let after = engine.usage().total();
    assert_eq!(after.computed_tokens, before.computed_tokens);
    // The first write to the shared tail copies that one block.
    assert_eq!(after.blocks_copied, before.blocks_copied + 1);
    assert_eq!(after.decoded_tokens, before.decoded_tokens + 12);
}

#[test]
fn eight_forks_hold_the_trunks_blocks_and_each_writes_to_one_of_its_own() {
    let mut engine = open_tiny(64, 256);
    let n_tokens = 100;
    let trunk = prefill(&mut engine, &prompt(n_tokens));
    let n_blocks = n_tokens.div_ceil(BLOCK_SIZE);
    assert_eq!(engine.pool_use().referenced, n_blocks);
    let branches: Vec<SeqId> = (0..8)
        .map(|_| engine.fork(trunk, n_tokens, PURPOSE))
        .collect();
    assert_eq!(engine.pool_use().referenced, n_blocks);
    // The first token comes from the trunk's row, the second from a step.
    let jobs: Vec<GenerateJob> = branches.iter().map(|&seq| greedy(seq, 2)).collect();
    engine.generate(&jobs, &mut |_| {}).unwrap();
    assert_eq!(engine.pool_use().referenced, n_blocks + branches.len());
    engine.check_integrity();
}

#[test]
fn progress_tells_of_every_token() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    for tokens_max in [1, 5] {
        let seqs = [0; 2].map(|_| engine.fork(trunk, 20, PURPOSE));
        let jobs = seqs.map(|seq| greedy(seq, tokens_max));
        let mut told = [Vec::new(), Vec::new()];
        let generated = engine.generate(&jobs, &mut |progress| {
            for (job, token) in progress.new_tokens {
                told[*job].push(*token);
            }
        });
        for (told, generated) in told.into_iter().zip(generated.unwrap()) {
            assert_eq!(told, generated.tokens);
        }
    }
}

#[test]
fn forced_text_is_cut_at_the_limit_of_tokens() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let text = "def push(self, item): return self.items";
    for (tokens_max, finish) in [(3, Finish::TokensMax), (60, Finish::GrammarEnd)] {
        let seq = engine.fork(trunk, 20, PURPOSE);
        let held = GenerateJob {
            grammar: Some(format!("start: \"{text}\"")),
            ..greedy(seq, tokens_max)
        };
        let generated = &engine.generate(&[held], &mut |_| {}).unwrap()[0];
        assert_eq!(generated.finish, finish);
        let decoded = engine.vocabulary().decode(&ids(generated));
        assert!(text.starts_with(&decoded), "{decoded:?}");
        assert_eq!(finish == Finish::GrammarEnd, decoded == text);
        assert!(generated.tokens.len() <= tokens_max);
        assert!(generated.tokens.iter().all(|token| token.forced));
        let expected = [&prompt(20)[..], &ids(generated)].concat();
        assert_eq!(engine.tokens(seq), expected);
    }
}

#[test]
fn a_fork_within_held_text_goes_on_under_the_same_grammar() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let held = |seq, tokens_max| GenerateJob {
        grammar: Some("start: /[a-z]+/ \": \" /[0-9]{8}/".into()),
        ..greedy(seq, tokens_max)
    };
    let seq = engine.fork(trunk, 20, PURPOSE);
    let whole = ids(&engine.generate(&[held(seq, 60)], &mut |_| {}).unwrap()[0]);
    for at in 0..whole.len() {
        let fork = engine.fork(seq, 20 + at, PURPOSE);
        let job = GenerateJob {
            grammar_prefix: at,
            ..held(fork, 60 - at)
        };
        let tail = ids(&engine.generate(&[job], &mut |_| {}).unwrap()[0]);
        assert_eq!(tail, whole[at..], "forked after {at} tokens");
        engine.release(fork);
    }
}

#[test]
fn forced_text_that_the_pool_cannot_hold_is_not_counted() {
    let mut engine = open_tiny(2, 256);
    let seq = prefill(&mut engine, &prompt(30));
    let held = GenerateJob {
        grammar: Some("start: \"def push(self, item): return self.items\"".into()),
        ..greedy(seq, 60)
    };
    let generated = &engine.generate(&[held], &mut |_| {}).unwrap()[0];
    assert_eq!(generated.finish, Finish::KvPoolFull);
    assert_eq!(engine.tokens(seq).len(), 30 + generated.tokens.len());
    let decoded = engine.usage().total().decoded_tokens;
    assert_eq!(decoded, generated.tokens.len() as u64);
}

#[test]
fn scores_of_names_that_begin_one_another_equal_single_rows() {
    let mut engine = open_tiny(64, 256);
    let trunk = prompt(20);
    let names = vec![
        vec![5],
        vec![5, 6],
        vec![5, 6, 7],
        vec![5, 8, 9],
        vec![],
        vec![200, 6],
    ];
    let seq = prefill(&mut engine, &trunk);
    let job = ScoreJob {
        seq,
        continuations: names.clone(),
        purpose: PURPOSE,
    };
    let scores = engine.score(&[job]).unwrap();
    for (name, scores) in names.iter().zip(&scores[0]) {
        assert_eq!(name.len(), scores.len());
        for (at, score) in scores.iter().enumerate() {
            let row = fresh_logits(&mut engine, &[&trunk[..], &name[..at]].concat());
            let single = logprob(&row, &RowStats::of(&row).unwrap(), name[at]);
            assert!((single - score).abs() < TOLERANCE_F32, "{single} {score}");
        }
    }
    assert_eq!(engine.tokens(seq), trunk);
}

#[test]
fn what_long_continuations_have_in_common_is_run_once() {
    let mut engine = open_tiny(128, 1_024);
    let trunk = prompt(20);
    let path: Vec<u32> = (40..60).collect();
    let names = [[5, 6], [5, 7], [8, 9], [10, 11]].map(|end| [&path[..], &end].concat());
    let seq = prefill(&mut engine, &trunk);
    let before = engine.usage()[PURPOSE].computed_tokens;
    let job = ScoreJob {
        seq,
        continuations: names.to_vec(),
        purpose: PURPOSE,
    };
    let scores = engine.score(&[job]).unwrap();
    // The path once, then a token each: the last one is predicted.
    let computed = engine.usage()[PURPOSE].computed_tokens - before;
    assert_eq!(computed, 20 + 3);
    for (name, scores) in names.iter().zip(&scores[0]) {
        for at in [0, 1, 19, 20, 21] {
            let row = fresh_logits(&mut engine, &[&trunk[..], &name[..at]].concat());
            let single = logprob(&row, &RowStats::of(&row).unwrap(), name[at]);
            assert!(
                (single - scores[at]).abs() < TOLERANCE_F32,
                "{at}: {single} {}",
                scores[at]
            );
        }
    }
    assert_eq!(engine.tokens(seq), trunk);
}

#[test]
fn a_continuation_longer_than_a_batch_is_scored() {
    let mut engine = open_tiny(128, 1_024);
    let seq = prefill(&mut engine, &prompt(20));
    let continuation: Vec<u32> = prompt(620)[20..].to_vec();
    let job = ScoreJob {
        seq,
        continuations: vec![continuation.clone()],
        purpose: PURPOSE,
    };
    let scores = engine.score(&[job]).unwrap();
    assert_eq!(scores[0][0].len(), 600);
    for at in [0, 1, 64, 65, 511, 512, 599] {
        let tokens = [&prompt(20)[..], &continuation[..at]].concat();
        let row = fresh_logits(&mut engine, &tokens);
        let single = logprob(&row, &RowStats::of(&row).unwrap(), continuation[at]);
        let score = scores[0][0][at];
        assert!((single - score).abs() < TOLERANCE_F32, "{single} {score}");
    }
}

#[test]
fn more_branches_than_rows_of_logits_a_step_all_finish() {
    let mut engine = open_tiny(512, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let jobs: Vec<GenerateJob> = (0..100)
        .map(|_| greedy(engine.fork(trunk, 20, PURPOSE), 6))
        .collect();
    let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
    assert!(generated.iter().all(|g| ids(g) == ids(&generated[0])));
}

#[test]
fn a_sequence_named_twice_is_computed_once() {
    let mut engine = open_tiny(64, 256);
    let seq = sequence(&mut engine, &prompt(20));
    compute(&mut engine, &[seq, seq]);
    assert_eq!(engine.usage().total().computed_tokens, 20);
}

#[test]
fn a_step_that_fails_leaves_its_sequences_usable() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let branch = engine.fork(trunk, 20, PURPOSE);
    engine.append(branch, &prompt(9), PURPOSE).unwrap();
    // No such row in the embedding.
    let broken = sequence(&mut engine, &[320]);
    let result = engine.compute(&[branch, broken], PURPOSE, &mut |_| {});
    assert!(matches!(result, Err(EngineError::Model(_))));
    engine.release(broken);
    engine.check_integrity();
    compute(&mut engine, &[branch]);
    let replay = fresh_logits(&mut engine, &[prompt(20), prompt(9)].concat());
    assert!(max_diff(&logits(&engine, branch), &replay) < TOLERANCE_F32);
}

#[test]
fn no_step_begins_behind_a_deadline_and_what_was_there_stays() {
    let mut engine = open_tiny(64, 256);
    let trunk = prefill(&mut engine, &prompt(20));
    let branch = engine.fork(trunk, 20, PURPOSE);
    engine.append(branch, &prompt(9), PURPOSE).unwrap();
    engine.set_deadline(Deadline::within(Duration::ZERO));
    let over = |result: Result<(), EngineError>| {
        assert!(
            matches!(result, Err(EngineError::DeadlinePassed)),
            "{result:?}"
        );
    };
    over(engine.compute(&[branch], PURPOSE, &mut |_| {}));
    let job = greedy(branch, 4);
    over(engine.generate(&[job], &mut |_| {}).map(drop));
    let job = ScoreJob {
        seq: branch,
        continuations: vec![vec![5, 6]],
        purpose: PURPOSE,
    };
    over(engine.score(&[job]).map(drop));
    engine.check_integrity();
    engine.set_deadline(Deadline::NEVER);
    compute(&mut engine, &[branch]);
    let replay = fresh_logits(&mut engine, &[prompt(20), prompt(9)].concat());
    assert!(max_diff(&logits(&engine, branch), &replay) < TOLERANCE_F32);
}
