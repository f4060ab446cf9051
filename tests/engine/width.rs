//! Checkpoints of 16-bit floats, at their own width and widened.
use crate::common::*;
use crate::parity::{FIXTURES, branched};
use candle_core::{DType, Device, Tensor};
use egss::checkpoint::{Checkpoint, Weight};
use egss::engine::{EngineSettings, MemoryPlan, open_checkpoint};
use egss::ops::Backend;
use std::collections::HashMap;
use std::path::Path;

/// The same numbers in f32 sums of another order, on logits of up to 9.
const TOLERANCE_LOGITS: f32 = 1e-4;

/// Copies a fixture with the tensors that `rounds` takes rounded to a width, in two shards
/// with an index.
pub fn rounded(name: &str, dtype: DType, rounds: impl Fn(&Tensor) -> bool) -> tempfile::TempDir {
    let (from, dir) = (fixture(name), tempfile::tempdir().unwrap());
    for entry in std::fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let tensors = candle_core::safetensors::load(from.join("model.safetensors"), &Device::Cpu);
    let mut tensors: Vec<(String, Tensor)> = tensors.unwrap().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut shards = [HashMap::new(), HashMap::new()];
    let mut weight_map = serde_json::Map::new();
    for (i, (name, tensor)) in tensors.into_iter().enumerate() {
        // FP8 numbers and their scales belong together as they are.
        let is_fp8 = tensor.dtype() != DType::F32 || name.ends_with("_scale_inv");
        let tensor = match !is_fp8 && rounds(&tensor) {
            true => tensor.to_dtype(dtype).unwrap(),
            false => tensor,
        };
        weight_map.insert(name.clone(), shard_file(i % 2).into());
        shards[i % 2].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, dir.path().join(shard_file(i))).unwrap();
    }
    let index = serde_json::json!({ "weight_map": weight_map }).to_string();
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    dir
}

fn shard_file(i: usize) -> String {
    format!("model-{:05}-of-00002.safetensors", i + 1)
}

/// A CPU that keeps matrices at a width by name.
fn cpu(dtype: &str) -> Backend {
    Backend::cpu().with_dtype(dtype).unwrap()
}

fn plan(path: &Path, dtype: &str) -> MemoryPlan {
    let settings = EngineSettings {
        context_max: 512,
        kv_bytes_max: 4 << 20,
        engines_max: 1,
    };
    let checkpoint = Checkpoint::open(path).unwrap();
    let opened = open_checkpoint(&checkpoint, &settings, &cpu(dtype), &mut |_| {});
    opened.unwrap().plan
}

#[test]
fn sixteen_bits_give_the_logits_of_the_same_numbers_widened() {
    for name in FIXTURES.into_iter().filter(|name| fixture(name).is_dir()) {
        for dtype in [DType::BF16, DType::F16] {
            let dir = rounded(name, dtype, |_| true);
            let checkpoint = Checkpoint::open(dir.path()).unwrap();
            let kept = branched(&checkpoint, &cpu("auto"));
            let widened = branched(&checkpoint, &cpu("f32"));
            let off = max_diff(&kept, &widened);
            println!("{name} in {dtype:?}: largest difference of a logit to f32 {off:.1e}");
            assert!(off < TOLERANCE_LOGITS, "{name} {dtype:?}: {off:e}");
        }
    }
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn matrices_of_16_bits_stay_in_the_files_pages_and_the_plan_says_so() {
    let name = "blk.0.attn_output.weight";
    let dir = rounded("qwen2-tiny", DType::BF16, |_| true);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    match checkpoint.linear(name, &Device::Cpu).unwrap() {
        Weight::Dense(matrix) => assert!(matrix.is_mapped()),
        _ => panic!("not dense"),
    }
    let (kept, widened) = (plan(dir.path(), "auto"), plan(dir.path(), "f32"));
    let products = checkpoint.tensors().filter(|tensor| tensor.is_product);
    let n: u64 = products.map(|tensor| tensor.n).sum();
    assert_eq!(widened.weights_bytes - kept.weights_bytes, 2 * n);
    assert_eq!((kept.mapped_bytes, widened.mapped_bytes), (2 * n, 0));
    let of_f32 = plan(&fixture("qwen2-tiny"), "auto");
    assert_eq!(of_f32.weights_bytes, widened.weights_bytes);
    assert_eq!(of_f32.mapped_bytes, 0);
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn rows_that_were_put_in_another_order_are_copied_at_their_width() {
    let dir = rounded("glm4-tiny", DType::F16, |_| true);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    match checkpoint
        .linear("blk.0.attn_q.weight", &Device::Cpu)
        .unwrap()
    {
        Weight::Dense(matrix) => assert!(!matrix.is_mapped()),
        _ => panic!("not dense"),
    }
    let kept = plan(dir.path(), "auto");
    assert!(kept.mapped_bytes > 0 && kept.mapped_bytes < kept.weights_bytes);
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn asking_for_bf16_gives_what_a_file_of_bf16_gives() {
    let name = "qwen2-tiny";
    let dir = rounded(name, DType::BF16, |tensor| tensor.rank() == 2);
    let of_file = branched(&Checkpoint::open(dir.path()).unwrap(), &cpu("auto"));
    let original = Checkpoint::open(&fixture(name)).unwrap();
    assert_eq!(branched(&original, &cpu("bf16")), of_file);
    assert!(max_diff(&branched(&original, &cpu("auto")), &of_file) > TOLERANCE_LOGITS);
}
