//! The engine on a GPU against the engine on a CPU, on small models of random weights:
//! `scripts/gpu-check` runs it where there is a GPU. A program of its own and no test of
//! cargo's, so that it is built with the very library that `egss` is, in one go.
use egss::base::{Purpose, RngKey, SamplerSettings, SeqId};
use egss::checkpoint::Checkpoint;
use egss::engine::{
    Engine, EngineSettings, GenerateJob, LocalEngine, PrefixCache, open_checkpoint,
};
use egss::ops::Backend;
use egss_kernels::cuda::Gpu;

const PURPOSE: Purpose = Purpose::Agent;

/// Squared error over squared size of a model's logits: activations, queries, keys and
/// values are rounded to bf16 on the GPU (a relative error of 2^-9 each) in three layers.
const MODEL_NMSE: f64 = 1e-3;

/// The same between two ways on the GPU, which differ in the order of sums, and so in some
/// of the roundings.
const SAME_DEVICE_NMSE: f64 = 1e-4;

/// Shapes whose layers differ in all that the kernels tell apart.
const SHAPES: [&str; 2] = ["tiny", "tiny3"];

/// Quantised ones: 8 bits; 4 and 6 bits, values not coded as queries and keys are; formats
/// of 4 bits that make no whole blocks, and so 5 and 8.
const QUANTISED: [&str; 3] = ["tiny:q8_0", "tiny3:q4_k_m", "tiny:q4_k_m"];

/// As [`MODEL_NMSE`]; the CPU rounds activations to 8 bits before each product.
const QUANTISED_NMSE: f64 = 5e-3;

/// Each check by name; the arguments choose those that contain one of them.
const CHECKS: [(&str, fn()); 9] = [
    (
        "candles_operations_alone_give_what_the_cpus_kernels_give",
        candles_operations_alone_give_what_the_cpus_kernels_give,
    ),
    (
        "logits_of_a_whole_model_equal_the_cpus",
        logits_of_a_whole_model_equal_the_cpus,
    ),
    (
        "a_mixture_with_experts_on_the_host_equals_the_cpus",
        a_mixture_with_experts_on_the_host_equals_the_cpus,
    ),
    (
        "a_fork_on_a_gpu_equals_a_replay_and_a_batch_its_single_rows",
        a_fork_on_a_gpu_equals_a_replay_and_a_batch_its_single_rows,
    ),
    (
        "a_recorded_step_is_to_the_last_bit_what_its_launches_give",
        a_recorded_step_is_to_the_last_bit_what_its_launches_give,
    ),
    (
        "a_device_that_is_full_makes_steps_smaller_and_loses_nothing",
        a_device_that_is_full_makes_steps_smaller_and_loses_nothing,
    ),
    (
        "drawn_tokens_and_their_figures_are_those_of_the_rows",
        drawn_tokens_and_their_figures_are_those_of_the_rows,
    ),
    (
        "masks_and_filters_on_a_gpu_leave_what_they_leave_on_a_cpu",
        masks_and_filters_on_a_gpu_leave_what_they_leave_on_a_cpu,
    ),
    (
        "equal_seeds_give_equal_tokens_and_others_differ",
        equal_seeds_give_equal_tokens_and_others_differ,
    ),
];

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let mut failed = 0;
    for (name, check) in CHECKS {
        if !chosen.is_empty() && !chosen.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        // A check says by a panic what it found; the others still run.
        let passed = std::panic::catch_unwind(check).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    std::process::exit(i32::from(failed > 0));
}

fn engine(shape: &str, backend: &Backend) -> LocalEngine {
    let settings = EngineSettings {
        context_max: 2_048,
        kv_bytes_max: 512 << 20,
        engines_max: 1,
    };
    let checkpoint = Checkpoint::random(shape).unwrap();
    let opened = open_checkpoint(&checkpoint, &settings, backend, &mut |_| {});
    opened.unwrap().engine
}

fn gpu() -> Backend {
    Backend::open("cuda").unwrap_or_else(|error| panic!("{error}"))
}

fn prompt(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32)
        .map(|i| (i * 37 + seed * 101) % 1_900)
        .collect()
}

fn sequence(engine: &mut LocalEngine, tokens: &[u32]) -> SeqId {
    let seq = engine.new_sequence(PrefixCache::Bypass);
    engine.append(seq, tokens, PURPOSE).unwrap();
    seq
}

fn logits(engine: &mut LocalEngine, seq: SeqId) -> Vec<f32> {
    engine.compute(&[seq], PURPOSE, &mut |_| {}).unwrap();
    engine.logits(seq).unwrap().to_vec()
}

fn nmse(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    error / want.iter().map(|&x| square(x)).sum::<f64>()
}

fn job(seq: SeqId, tokens: usize, sampler: SamplerSettings, stream: u64) -> GenerateJob {
    GenerateJob {
        seq,
        sampler,
        rng: RngKey::from_seed(7).split(stream),
        tokens_max: tokens,
        grammar: None,
        grammar_prefix: 0,
        stop_tokens: Vec::new(),
        first_token_not: Vec::new(),
        distinct: None,
        purpose: PURPOSE,
    }
}

/// f32 sums in another order, over three layers.
const COMPOSITE_NMSE: f64 = 1e-9;

/// Needs no GPU: what devices without kernels run, on the CPU.
fn candles_operations_alone_give_what_the_cpus_kernels_give() {
    for shape in SHAPES {
        let [got, want] = [Backend::composite(), Backend::cpu()].map(|backend| {
            let mut engine = engine(shape, &backend);
            let trunk = sequence(&mut engine, &prompt(70, 5));
            engine.compute(&[trunk], PURPOSE, &mut |_| {}).unwrap();
            let forks = [0u32, 1, 2].map(|i| {
                let fork = engine.fork(trunk, 70, PURPOSE);
                engine.append(fork, &[5 + i, 9 * i], PURPOSE).unwrap();
                fork
            });
            engine.compute(&forks, PURPOSE, &mut |_| {}).unwrap();
            forks
                .map(|fork| engine.logits(fork).unwrap().to_vec())
                .concat()
        });
        let error = nmse(&got, &want);
        println!("{shape}, candle's operations alone: NMSE {error:.2e}");
        assert!(error < COMPOSITE_NMSE, "{shape}: {error:e}");
    }
}

fn logits_of_a_whole_model_equal_the_cpus() {
    let floats = SHAPES.map(|shape| (shape, MODEL_NMSE));
    let quantised = QUANTISED.map(|shape| (shape, QUANTISED_NMSE));
    for (shape, limit) in floats.into_iter().chain(quantised) {
        let (mut on_gpu, mut on_cpu) = (engine(shape, &gpu()), engine(shape, &Backend::cpu()));
        // One row, few rows, and the chunks of a long prefill.
        for n in [1, 7, 33, 700] {
            let tokens = prompt(n, 1);
            let [got, want] = [&mut on_gpu, &mut on_cpu].map(|engine| {
                let seq = sequence(engine, &tokens);
                logits(engine, seq)
            });
            let error = nmse(&got, &want);
            println!("{shape}, {n} tokens: NMSE {error:.2e}");
            assert!(error < limit, "{shape}, {n} tokens: {error:e}");
        }
    }
}

/// A rounding that turns a choice of experts around shows as a large error of a few rows.
fn a_mixture_with_experts_on_the_host_equals_the_cpus() {
    let beside = gpu().with_experts("host").unwrap();
    for (shape, limit) in [("tiny-moe", MODEL_NMSE), ("tiny-moe:q8_0", QUANTISED_NMSE)] {
        let (mut on_gpu, mut on_cpu) = (engine(shape, &beside), engine(shape, &Backend::cpu()));
        for n in [1, 7, 33] {
            let tokens = prompt(n, 1);
            let [got, want] = [&mut on_gpu, &mut on_cpu].map(|engine| {
                let seq = sequence(engine, &tokens);
                logits(engine, seq)
            });
            let error = nmse(&got, &want);
            println!("{shape}, experts on the host, {n} tokens: NMSE {error:.2e}");
            assert!(error < limit, "{shape}, {n} tokens: {error:e}");
        }
    }
}

fn a_fork_on_a_gpu_equals_a_replay_and_a_batch_its_single_rows() {
    for shape in SHAPES.into_iter().chain(QUANTISED) {
        let mut engine = engine(shape, &gpu());
        for trunk_len in [5, 200, 1_025] {
            let trunk_tokens = prompt(trunk_len, 2);
            let trunk = sequence(&mut engine, &trunk_tokens);
            engine.compute(&[trunk], PURPOSE, &mut |_| {}).unwrap();
            let computed = engine.usage().total().computed_tokens;
            let forks: Vec<SeqId> = (0..9)
                .map(|_| engine.fork(trunk, trunk_len, PURPOSE))
                .collect();
            for round in 0..3 {
                for (i, &fork) in forks.iter().enumerate() {
                    engine
                        .append(fork, &[i as u32 * 11 + round], PURPOSE)
                        .unwrap();
                }
                engine.compute(&forks, PURPOSE, &mut |_| {}).unwrap();
                engine.check_integrity();
            }
            // The forks have computed their own tokens and nothing of the trunk.
            assert_eq!(engine.usage().total().computed_tokens - computed, 9 * 3);
            for (i, &fork) in forks.iter().enumerate() {
                let got = engine.logits(fork).unwrap().to_vec();
                let own = (0..3).map(|round| i as u32 * 11 + round);
                let tokens: Vec<u32> = trunk_tokens.iter().copied().chain(own).collect();
                let replay = sequence(&mut engine, &tokens);
                let error = nmse(&got, &logits(&mut engine, replay));
                assert!(
                    error < SAME_DEVICE_NMSE,
                    "{shape}, fork {i} of {trunk_len}: {error:e}"
                );
                engine.release(replay);
            }
            for seq in forks {
                engine.release(seq);
            }
            engine.release(trunk);
            engine.check_integrity();
        }
    }
}

fn a_recorded_step_is_to_the_last_bit_what_its_launches_give() {
    for shape in ["tiny", "tiny3", "tiny3:q4_k_m"] {
        let backend = gpu();
        let mut recorded = engine(shape, &backend);
        let mut launched = engine(shape, &gpu().without_recordings());
        // Branches of one trunk, and beside them one that is alone: two layouts in turn.
        let trunk = prompt(45, 8);
        let [a, b] = [&mut recorded, &mut launched].map(|engine| {
            let trunk = sequence(engine, &trunk);
            engine.compute(&[trunk], PURPOSE, &mut |_| {}).unwrap();
            let forks = [0; 3].map(|_| engine.fork(trunk, 45, PURPOSE));
            let mut all = Vec::new();
            for round in 0..12u32 {
                let seqs = if round % 2 == 0 {
                    &forks[..]
                } else {
                    &forks[2..]
                };
                for (i, &seq) in (0..).zip(seqs) {
                    engine.append(seq, &[7 * i + round], PURPOSE).unwrap();
                }
                engine.compute(seqs, PURPOSE, &mut |_| {}).unwrap();
                all.extend(seqs.iter().map(|&seq| engine.logits(seq).unwrap().to_vec()));
            }
            all
        });
        assert!(
            backend.recorded_steps() >= 6,
            "{}",
            backend.recorded_steps()
        );
        assert!(a == b, "{shape}: other logits");
    }
}

fn a_device_that_is_full_makes_steps_smaller_and_loses_nothing() {
    let mut on_gpu = engine("tiny", &gpu());
    let seqs = [8, 9].map(|seed| sequence(&mut on_gpu, &prompt(900, seed)));
    // What is loaded with the first products of many rows is there before.
    let warm = sequence(&mut on_gpu, &prompt(40, 1));
    logits(&mut on_gpu, warm);
    let rows = on_gpu.step_rows_max();
    // Somebody else takes all of it, and gives a little back.
    let other = Gpu::open(0).unwrap();
    let little: Vec<_> = (0..6)
        .map(|_| other.zeros::<u8>(1 << 20).unwrap())
        .collect();
    let mut rest = Vec::new();
    let mut size = other.memory().unwrap().free as usize;
    while size >= 1 << 20 {
        match other.zeros::<u8>(size) {
            Ok(memory) => rest.push(memory),
            Err(_) => size /= 2,
        }
    }
    drop(little);
    on_gpu.compute(&seqs, PURPOSE, &mut |_| {}).unwrap();
    println!("steps of {} rows at most", on_gpu.step_rows_max());
    assert!(on_gpu.step_rows_max() < rows);
    on_gpu.check_integrity();
    let (counted, again) = (on_gpu.usage().total(), on_gpu.rerun_tokens());
    assert_eq!(counted.computed_tokens - again, 2 * 900 + 40);
    let got = seqs.map(|seq| on_gpu.logits(seq).unwrap().to_vec());
    drop(rest);
    let mut with_room = engine("tiny", &gpu());
    for (got, seed) in got.iter().zip([8, 9]) {
        let whole = sequence(&mut with_room, &prompt(900, seed));
        let error = nmse(got, &logits(&mut with_room, whole));
        assert!(error < SAME_DEVICE_NMSE, "{error:e}");
    }
}

fn drawn_tokens_and_their_figures_are_those_of_the_rows() {
    for shape in SHAPES {
        let (mut on_gpu, mut on_cpu) = (engine(shape, &gpu()), engine(shape, &Backend::cpu()));
        let tokens = prompt(60, 3);
        for sampler in [SamplerSettings::GREEDY, SamplerSettings::at(0.8)] {
            let seqs: Vec<SeqId> = (0..4).map(|_| sequence(&mut on_gpu, &tokens)).collect();
            let jobs: Vec<GenerateJob> = (0..)
                .zip(&seqs)
                .map(|(i, &seq)| job(seq, 12, sampler, i))
                .collect();
            let generated = on_gpu.generate(&jobs, &mut |_| {}).unwrap();
            for (seq, generated) in seqs.iter().zip(&generated) {
                let all = on_gpu.tokens(*seq).to_vec();
                assert_eq!(all.len(), tokens.len() + 12);
                for (i, figures) in generated.tokens.iter().enumerate() {
                    let at = tokens.len() + i;
                    assert_eq!(figures.token, all[at]);
                    let replay = sequence(&mut on_cpu, &all[..at]);
                    let row = logits(&mut on_cpu, replay);
                    on_cpu.release(replay);
                    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let mass: f64 = row.iter().map(|&l| f64::from(l - max).exp()).sum();
                    let logprob = f64::from(row[all[at] as usize] - max) - mass.ln();
                    // Logits of about 1 that are off by a share of sqrt(MODEL_NMSE).
                    assert!(
                        (logprob - f64::from(figures.logprob)).abs() < 0.1,
                        "{logprob} {figures:?}"
                    );
                    let entropy: f64 = row
                        .iter()
                        .map(|&l| f64::from(l - max) - mass.ln())
                        .map(|logprob| -logprob.exp() * logprob)
                        .sum();
                    assert!((entropy - f64::from(figures.entropy_nats)).abs() < 0.02);
                    if sampler == SamplerSettings::GREEDY {
                        assert!(row[all[at] as usize] > max - 0.1);
                    }
                }
            }
        }
    }
}

fn masks_and_filters_on_a_gpu_leave_what_they_leave_on_a_cpu() {
    let (mut on_gpu, mut on_cpu) = (engine("tiny", &gpu()), engine("tiny", &Backend::cpu()));
    let tokens = prompt(50, 6);
    let sampler = SamplerSettings {
        temperature: 0.9,
        top_k: 12,
        top_p: 0.9,
        min_p: 0.02,
    };
    let grammar =
        || Some("start: /[a-z ]{4,9}/ \": all of this is forced, \" /[0-9]{5}/".to_owned());
    let jobs: Vec<GenerateJob> = [
        (SamplerSettings::GREEDY, grammar()),
        (SamplerSettings::at(1.0), grammar()),
        (sampler, grammar()),
        (sampler, None),
    ]
    .into_iter()
    .zip(0..)
    .map(|((sampler, grammar), i)| GenerateJob {
        grammar,
        ..job(sequence(&mut on_gpu, &tokens), 40, sampler, i)
    })
    .collect();
    let generated = on_gpu.generate(&jobs, &mut |_| {}).unwrap();
    for (job, generated) in jobs.iter().zip(&generated) {
        let all = on_gpu.tokens(job.seq).to_vec();
        assert!(generated.tokens.len() >= 10, "{generated:?}");
        let mut n_same = 0;
        for (i, got) in generated.tokens.iter().enumerate() {
            let before = sequence(&mut on_cpu, &all[..tokens.len() + i]);
            let one = GenerateJob {
                seq: before,
                tokens_max: 1,
                grammar_prefix: i,
                ..job.clone()
            };
            let want = on_cpu.generate(&[one], &mut |_| {}).unwrap()[0].tokens[0];
            on_cpu.release(before);
            // Where two have about the same weight, rounding decides.
            n_same += usize::from(got.token == want.token);
            assert_eq!(got.forced, want.forced, "token {i}: {got:?} {want:?}");
            assert!((got.entropy_nats - want.entropy_nats).abs() < 0.02);
            let [masked, masked_want] =
                [got, &want].map(|figures| figures.masked_entropy_nats.unwrap_or(-1.0));
            assert!((masked - masked_want).abs() < 0.02, "{got:?} {want:?}");
        }
        let n = generated.tokens.len();
        println!("{n_same} of {n} tokens are the CPU's");
        assert!(10 * n_same >= 9 * n, "{n_same} of {n}");
    }
}

fn equal_seeds_give_equal_tokens_and_others_differ() {
    let mut engine = engine("tiny", &gpu());
    let tokens = prompt(40, 4);
    let mut decode = |stream: u64| {
        let seq = sequence(&mut engine, &tokens);
        let jobs = [job(seq, 24, SamplerSettings::at(1.0), stream)];
        let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
        engine.release(seq);
        generated[0]
            .tokens
            .iter()
            .map(|t| t.token)
            .collect::<Vec<_>>()
    };
    let first = decode(1);
    assert_eq!(first, decode(1));
    assert_ne!(first, decode(2));
}
