//! GGUF files of llama.cpp's converter (scripts/dump_gguf.py) beside the checkpoints that
//! they were made of, and what is wrong with one that was changed.
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::{Device, Tensor};
use egss::checkpoint::{Checkpoint, ModelConfig, Weight};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILES: [&str; 5] = [
    "qwen3-tiny",
    "qwen3-moe-q8-tiny",
    "glm4-tiny",
    "glm4-moe-tiny",
    "deepseek-v3-tiny",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

type Metadata = BTreeMap<String, Value>;
type Tensors = BTreeMap<String, QTensor>;

/// A fixture's GGUF file with something changed in it, in a directory of its own.
fn changed(
    name: &str,
    change: impl FnOnce(&mut Metadata, &mut Tensors),
) -> (tempfile::TempDir, PathBuf) {
    let mut file = std::fs::File::open(fixture(name).join("model.gguf")).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut tensors: Tensors = content
        .tensor_infos
        .keys()
        .map(|name| {
            let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap();
            (name.clone(), tensor)
        })
        .collect();
    let mut metadata: Metadata = content.metadata.into_iter().collect();
    change(&mut metadata, &mut tensors);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, t)| (k.as_str(), t)).collect();
    let mut out = std::fs::File::create(&path).unwrap();
    gguf_file::write(&mut out, &metadata, &tensors).unwrap();
    (dir, path)
}

#[track_caller]
fn check_refusal(name: &str, change: impl FnOnce(&mut Metadata, &mut Tensors), expected: &str) {
    let (_keep, path) = changed(name, change);
    let Err(error) = Checkpoint::open(&path) else {
        panic!("accepted where {expected:?} was expected");
    };
    let message = error.to_string();
    assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    assert!(message.contains("model.gguf"), "{message:?} names no file");
    assert!(!message.contains('\n'), "{message:?} is no one sentence");
}

/// Names of everything that some decoder of this configuration might take.
fn names(config: &ModelConfig) -> Vec<String> {
    let matrices = [
        "attn_norm",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_q_norm",
        "attn_k_norm",
        "attn_q_a",
        "attn_q_a_norm",
        "attn_q_turned",
        "attn_q_still",
        "attn_k_turned",
        "attn_latent",
        "attn_kv_a_norm",
        "attn_k_b",
        "attn_v_b",
        "attn_output",
        "post_attention_norm",
        "ffn_norm",
        "post_ffw_norm",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
        "ffn_gate_inp",
        "ffn_gate_shexp",
        "ffn_up_shexp",
        "ffn_down_shexp",
    ];
    let biases = ["attn_q", "attn_k", "attn_v", "exp_probs_b"];
    let n_experts = config.experts.as_ref().map_or(0, |experts| experts.n);
    let mut names = ["token_embd", "output_norm", "output"]
        .map(|part| format!("{part}.weight"))
        .to_vec();
    for layer in 0..config.n_layers {
        names.extend(matrices.map(|part| format!("blk.{layer}.{part}.weight")));
        names.extend(biases.map(|part| format!("blk.{layer}.{part}.bias")));
        for expert in 0..n_experts {
            let parts = ["gate", "up", "down"];
            names.extend(parts.map(|part| format!("blk.{layer}.ffn_{part}.{expert}.weight")));
        }
    }
    names
}

/// The numbers of a tensor; `None` where the decoder takes none of that name.
fn values(checkpoint: &Checkpoint, name: &str) -> Option<Vec<f32>> {
    let weight = checkpoint.linear(name, &Device::Cpu).ok()?;
    let tensor = weight.to_tensor(&Device::Cpu).unwrap();
    Some(tensor.flatten_all().unwrap().to_vec1().unwrap())
}

/// That both say the same of the model and have the same numbers, all of them.
fn check_same(gguf: &Checkpoint, dir: &Checkpoint) {
    let named = |checkpoint: &Checkpoint| ModelConfig {
        architecture: String::new(),
        ..checkpoint.config().clone()
    };
    assert_eq!(named(gguf), named(dir));
    let mut n_weights = 0;
    for name in names(dir.config()) {
        let want = values(dir, &name);
        n_weights += want.as_ref().map_or(0, Vec::len) as u64;
        // Not with assert_eq: thousands of numbers say nothing.
        assert!(values(gguf, &name) == want, "{name} differs");
    }
    for checkpoint in [dir, gguf] {
        let n: u64 = checkpoint.tensors().map(|tensor| tensor.n).sum();
        assert_eq!(n, n_weights);
    }
}

#[test]
fn a_gguf_file_says_and_holds_what_the_checkpoint_does_that_it_was_made_of() {
    for name in FILES {
        let gguf = Checkpoint::open(&fixture(name).join("model.gguf")).unwrap();
        check_same(&gguf, &Checkpoint::open(&fixture(name)).unwrap());
        assert!(gguf.eos_token_ids().unwrap().contains(&2), "{name}");
        let tokenizer = gguf.tokenizer().unwrap();
        let text = "def push(self, item):\n    self.items.append(item)\n";
        let tokens = tokenizer.encode_special(&format!("{text}<|im_end|>"));
        assert!(
            tokens.len() < text.len() && tokens.ends_with(&[2]),
            "{name}"
        );
        assert_eq!(tokenizer.decode(&tokens), format!("{text}<|im_end|>"));
    }
}

#[test]
fn stacked_experts_stay_at_the_files_width() {
    let path = fixture("qwen3-moe-q8-tiny").join("model.gguf");
    let gguf = Checkpoint::open(&path).unwrap();
    let expert = gguf
        .linear("blk.1.ffn_down.7.weight", &Device::Cpu)
        .unwrap();
    let Weight::Blocks(expert) = expert else {
        panic!("an expert was unpacked");
    };
    assert_eq!((expert.n(), expert.k()), (32, 32));
    // 32 bytes and a scale of two for 32 numbers.
    assert_eq!(expert.blocks().len(), 32 * 34);
}

#[test]
fn what_makes_keys_and_values_of_latents_may_lie_in_one_tensor_as_in_older_files() {
    let (_keep, path) = changed("deepseek-v3-tiny", |metadata, tensors| {
        let (heads, still, value, rank) = (4, 8, 12, 32);
        for layer in 0..3 {
            let mut take = |part: &str| {
                let tensor = tensors
                    .remove(&format!("blk.{layer}.{part}.weight"))
                    .unwrap();
                tensor.dequantize(&Device::Cpu).unwrap()
            };
            let keys = take("attn_k_b"); // [H, rank, still]
            let values = take("attn_v_b"); // [H, value, rank]
            assert_eq!(keys.dims(), [heads, rank, still]);
            let both = Tensor::cat(&[keys.transpose(1, 2).unwrap(), values], 1).unwrap();
            let both = both.reshape((heads * (still + value), rank)).unwrap();
            let both = QTensor::quantize(&both, candle_core::quantized::GgmlDType::F32);
            tensors.insert(format!("blk.{layer}.attn_kv_b.weight"), both.unwrap());
        }
        for (which, length) in [("key", 24), ("value", 12)] {
            metadata.remove(&format!("deepseek2.attention.{which}_length_mla"));
            let key = format!("deepseek2.attention.{which}_length");
            metadata.insert(key, Value::U32(length));
        }
        metadata.insert("deepseek2.attention.head_count_kv".into(), Value::U32(4));
    });
    let older = Checkpoint::open(&path).unwrap();
    check_same(
        &older,
        &Checkpoint::open(&fixture("deepseek-v3-tiny")).unwrap(),
    );
}

/// One key with another value.
fn set(key: &str, value: Value) -> impl FnOnce(&mut Metadata, &mut Tensors) {
    move |metadata, _| {
        metadata.insert(key.to_owned(), value);
    }
}

#[test]
fn a_missing_key_is_named() {
    for (name, key) in [
        ("glm4-tiny", "glm4.rope.freq_base"),
        ("glm4-moe-tiny", "glm4moe.expert_feed_forward_length"),
        ("qwen3-moe-q8-tiny", "qwen3moe.expert_used_count"),
        ("deepseek-v3-tiny", "deepseek2.attention.kv_lora_rank"),
        // Without them other routers and other positions would be meant.
        ("deepseek-v3-tiny", "deepseek2.expert_gating_func"),
        (
            "deepseek-v3-tiny",
            "deepseek2.rope.scaling.yarn_log_multiplier",
        ),
    ] {
        let expected = format!("the metadata has no usable {key:?}");
        check_refusal(
            name,
            |metadata, _| {
                metadata.remove(key).unwrap();
            },
            &expected,
        );
    }
    check_refusal(
        "glm4-moe-tiny",
        set("glm4moe.expert_count", Value::String("eight".into())),
        "glm4moe.expert_count should be a number of things, not \"eight\"",
    );
}

#[test]
fn numbers_that_the_tensors_do_not_bear_out_are_refused() {
    check_refusal(
        "qwen3-moe-q8-tiny",
        set("qwen3moe.expert_count", Value::U32(16)),
        "\"blk.0.ffn_down_exps.weight\" is of shape [8, 32, 32] where the configuration asks for [16, 32, 32]",
    );
    check_refusal(
        "glm4-moe-tiny",
        set("glm4moe.expert_used_count", Value::U32(9)),
        "9 of 8 experts cannot be chosen",
    );
    check_refusal(
        "glm4-moe-tiny",
        set("glm4moe.nextn_predict_layers", Value::U32(4)),
        "the number of layers is 0",
    );
    check_refusal(
        "deepseek-v3-tiny",
        set("deepseek2.expert_group_count", Value::U32(3)),
        "8 experts do not fall into 3 groups",
    );
    check_refusal(
        "deepseek-v3-tiny",
        set("deepseek2.attention.key_length_mla", Value::U32(16)),
        "the part of a query that is not turned is 0",
    );
    check_refusal(
        "glm4-moe-tiny",
        |_, tensors| {
            tensors.remove("blk.2.exp_probs_b.bias").unwrap();
        },
        "has no tensor \"blk.2.exp_probs_b.bias\"",
    );
}

#[test]
fn what_would_change_the_computation_is_refused_by_name() {
    for (name, key, value, expected) in [
        (
            "glm4-moe-tiny",
            "glm4moe.expert_gating_func",
            Value::U32(3),
            "uses glm4moe.expert_gating_func: 3, which",
        ),
        (
            "qwen3-moe-q8-tiny",
            "qwen3moe.expert_gating_func",
            Value::U32(2),
            "uses qwen3moe.expert_gating_func: 2, which",
        ),
        (
            "deepseek-v3-tiny",
            "deepseek2.rope.scaling.type",
            Value::String("longrope".into()),
            "uses deepseek2.rope.scaling.type: \"longrope\"",
        ),
        (
            "glm4-tiny",
            "glm4.attention.sliding_window",
            Value::U32(128),
            "uses glm4.attention.sliding_window: 128",
        ),
        (
            "glm4-tiny",
            "glm4.attention.value_length",
            Value::U32(8),
            "uses glm4.attention.value_length: 8",
        ),
        // What no version of this program has heard of.
        (
            "deepseek-v3-tiny",
            "deepseek2.attention.temperature_scale",
            Value::F32(0.1),
            "uses deepseek2.attention.temperature_scale: 0.1",
        ),
        (
            "qwen3-tiny",
            "split.count",
            Value::U16(2),
            "is the first of 2 parts of a split checkpoint",
        ),
    ] {
        check_refusal(name, set(key, value), expected);
    }
    check_refusal(
        "qwen3-tiny",
        |_, tensors| {
            let bias = Tensor::zeros(48, candle_core::DType::F32, &Device::Cpu).unwrap();
            let bias = QTensor::quantize(&bias, candle_core::quantized::GgmlDType::F32);
            tensors.insert("blk.1.attn_output.bias".into(), bias.unwrap());
        },
        "uses the tensor \"blk.1.attn_output.bias\"",
    );
}

#[test]
fn what_is_off_changes_nothing() {
    let (_keep, path) = changed("glm4-tiny", |metadata, _| {
        for key in ["attention.sliding_window", "expert_count"] {
            metadata.insert(format!("glm4.{key}"), Value::U32(0));
        }
        metadata.insert("glm4.rope.scaling.factor".into(), Value::F32(0.0));
        metadata.insert(
            "glm4.rope.scaling.type".into(),
            Value::String("none".into()),
        );
    });
    let changed = Checkpoint::open(&path).unwrap();
    let whole = Checkpoint::open(&fixture("glm4-tiny").join("model.gguf")).unwrap();
    assert_eq!(changed.config(), whole.config());
}
