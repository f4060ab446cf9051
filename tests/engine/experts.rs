//! A mixture's experts on the host, beside a device that runs the rest.
use crate::common::*;
use crate::parity::branched;
use crate::width::rounded;
use candle_core::DType;
use egss::checkpoint::Checkpoint;
use egss::engine::{EngineSettings, open_checkpoint};
use egss::ops::Backend;

/// Candle's operations on widened numbers, and with experts by the CPU's kernels on bf16:
/// the same numbers in f32 sums of another order, on logits of up to 9.
const TOLERANCE_LOGITS: f32 = 1e-4;

/// With and without what all tokens share.
const MIXTURES: [&str; 3] = ["qwen3-moe-tiny", "glm4-moe-tiny", "kimi-k2-tiny"];

fn backend(experts: &str) -> Backend {
    Backend::composite().with_experts(experts).unwrap()
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn experts_on_the_host_give_the_same_logits_and_are_counted_apart() {
    for name in MIXTURES {
        let dir = rounded(name, DType::BF16, |_| true);
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let [device, host] = ["device", "host"].map(|place| {
            let backend = backend(place);
            let settings = EngineSettings {
                context_max: 512,
                kv_bytes_max: 4 << 20,
                engines_max: 1,
            };
            let opened = open_checkpoint(&checkpoint, &settings, &backend, &mut |_| {});
            (branched(&checkpoint, &backend), opened.unwrap().plan)
        });
        let off = max_diff(&device.0, &host.0);
        println!("{name}: largest difference of a logit to experts on the device {off:.1e}");
        assert!(off < TOLERANCE_LOGITS, "{name}: {off:e}");
        // Other kernels, so not bit for bit.
        assert!(off > 0.0, "{name}");

        let experts = checkpoint.tensors().filter(|tensor| tensor.is_expert);
        let n: u64 = experts.map(|tensor| tensor.n).sum();
        let (device, host) = (device.1, host.1);
        assert_eq!((device.experts_bytes, device.mapped_bytes), (0, 0));
        // Widened on such a device, in the file's own pages on the host.
        assert_eq!(device.weights_bytes - host.weights_bytes, 4 * n, "{name}");
        assert_eq!((host.experts_bytes, host.mapped_bytes), (2 * n, 2 * n));
    }
}

#[test]
fn a_place_that_is_none_is_refused_with_the_places_there_are() {
    let refusal = Backend::cpu().with_experts("disk").err().expect("refused");
    assert!(refusal.to_string().contains("choose device or host"));
}
