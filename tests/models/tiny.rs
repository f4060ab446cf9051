//! Tiny qwen2 checkpoints, written by the same crates that the format's own
//! tools use, whole or wrong in one respect.
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

pub const HIDDEN: usize = 8;
pub const KV: usize = 4;
pub const FFN: usize = 16;
pub const VOCAB: usize = 10;

/// Canonical name, safetensors name, and shape of every tensor of one layer
/// and tied embeddings.
const TENSORS: [(&str, &str, &[usize]); 14] = [
    (
        "token_embd.weight",
        "model.embed_tokens.weight",
        &[VOCAB, HIDDEN],
    ),
    ("output_norm.weight", "model.norm.weight", &[HIDDEN]),
    (
        "blk.0.attn_norm.weight",
        "model.layers.0.input_layernorm.weight",
        &[HIDDEN],
    ),
    (
        "blk.0.ffn_norm.weight",
        "model.layers.0.post_attention_layernorm.weight",
        &[HIDDEN],
    ),
    (
        "blk.0.attn_q.weight",
        "model.layers.0.self_attn.q_proj.weight",
        &[HIDDEN, HIDDEN],
    ),
    (
        "blk.0.attn_k.weight",
        "model.layers.0.self_attn.k_proj.weight",
        &[KV, HIDDEN],
    ),
    (
        "blk.0.attn_v.weight",
        "model.layers.0.self_attn.v_proj.weight",
        &[KV, HIDDEN],
    ),
    (
        "blk.0.attn_q.bias",
        "model.layers.0.self_attn.q_proj.bias",
        &[HIDDEN],
    ),
    (
        "blk.0.attn_k.bias",
        "model.layers.0.self_attn.k_proj.bias",
        &[KV],
    ),
    (
        "blk.0.attn_v.bias",
        "model.layers.0.self_attn.v_proj.bias",
        &[KV],
    ),
    (
        "blk.0.attn_output.weight",
        "model.layers.0.self_attn.o_proj.weight",
        &[HIDDEN, HIDDEN],
    ),
    (
        "blk.0.ffn_gate.weight",
        "model.layers.0.mlp.gate_proj.weight",
        &[FFN, HIDDEN],
    ),
    (
        "blk.0.ffn_up.weight",
        "model.layers.0.mlp.up_proj.weight",
        &[FFN, HIDDEN],
    ),
    (
        "blk.0.ffn_down.weight",
        "model.layers.0.mlp.down_proj.weight",
        &[HIDDEN, FFN],
    ),
];

/// The same numbers for a tensor whatever file it is written to.
pub fn tensor(index: usize, shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..n).map(|i| (index * 1_000 + i) as f32 / 64.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Writes a GGUF file; `change` may change metadata and tensors first, which are written
/// at the width that they have then.
pub fn write_gguf(
    path: &Path,
    change: impl FnOnce(&mut HashMap<&str, Value>, &mut HashMap<&str, Tensor>),
) {
    let mut metadata = HashMap::from([
        ("general.architecture", Value::String("qwen2".into())),
        ("qwen2.block_count", Value::U32(1)),
        ("qwen2.context_length", Value::U32(32)),
        ("qwen2.embedding_length", Value::U32(HIDDEN as u32)),
        ("qwen2.feed_forward_length", Value::U32(FFN as u32)),
        ("qwen2.attention.head_count", Value::U32(4)),
        ("qwen2.attention.head_count_kv", Value::U32(2)),
        ("qwen2.rope.freq_base", Value::F32(1e4)),
        ("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
    ]);
    let mut tensors: HashMap<&str, Tensor> = TENSORS
        .iter()
        .enumerate()
        .map(|(index, (name, _, shape))| (*name, tensor(index, shape)))
        .collect();
    change(&mut metadata, &mut tensors);
    let quantized: Vec<(&str, QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let (dtype, tensor) = match tensor.dtype() {
                DType::BF16 => (GgmlDType::BF16, tensor.to_dtype(DType::F32).unwrap()),
                DType::F16 => (GgmlDType::F16, tensor.to_dtype(DType::F32).unwrap()),
                _ => (GgmlDType::F32, tensor.clone()),
            };
            (*name, QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = quantized.iter().map(|(name, t)| (*name, t)).collect();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

/// Writes a checkpoint directory, its tensors over two shards with an index;
/// `change` may change config.json first.
pub fn write_dir(dir: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut config = serde_json::json!({
        "model_type": "qwen2", "num_hidden_layers": 1, "hidden_size": HIDDEN,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": FFN,
        "vocab_size": VOCAB, "max_position_embeddings": 32, "rope_theta": 1e4,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_act": "silu",
        "use_sliding_window": false, "sliding_window": 32, "rope_scaling": null,
        "eos_token_id": 7,
    });
    change(&mut config);
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut shards = [HashMap::new(), HashMap::new()];
    let mut weight_map = serde_json::Map::new();
    for (index, (_, name, shape)) in TENSORS.iter().enumerate() {
        shards[index % 2].insert(name.to_string(), tensor(index, shape));
        weight_map.insert(name.to_string(), shard_file(index % 2).into());
    }
    for (n, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, dir.join(shard_file(n))).unwrap();
    }
    let index = serde_json::json!({ "weight_map": weight_map });
    std::fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

pub fn shard_file(n: usize) -> String {
    format!("model-{:05}-of-00002.safetensors", n + 1)
}
