//! Checkpoints that are whole, and each way in which one can be wrong: every
//! refusal is one sentence that names the file and what is the matter.
#[path = "models/tiny.rs"]
mod tiny;

use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Device, Tensor};
use egss::checkpoint::{Checkpoint, Weight};
use egss_kernels::DenseFormat;
use std::path::{Path, PathBuf};

fn refusal(path: &Path) -> String {
    match Checkpoint::open(path) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check_refusal(path: &Path, expected: &str) {
    let message = refusal(path);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    assert!(!message.contains('\n'), "{message:?} is no one sentence");
    if !expected.starts_with("architecture") {
        assert!(message.contains(name), "{message:?} lacks {name:?}");
    }
}

/// A GGUF file with something changed in it, in a directory of its own.
fn gguf(
    change: impl FnOnce(
        &mut std::collections::HashMap<&str, Value>,
        &mut std::collections::HashMap<&str, Tensor>,
    ),
) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    tiny::write_gguf(&path, change);
    (dir, path)
}

fn values(weight: Weight) -> Vec<f32> {
    match weight {
        Weight::Plain(tensor) => tensor.flatten_all().unwrap().to_vec1().unwrap(),
        Weight::Blocks(_) | Weight::Packed(_) | Weight::Dense(_) => {
            panic!("f32 tensors are plain")
        }
    }
}

#[test]
fn floats_of_16_bits_stay_in_the_pages_of_a_gguf() {
    let name = "blk.0.ffn_down.weight";
    for (dtype, format) in [
        (DType::BF16, DenseFormat::Bf16),
        (DType::F16, DenseFormat::F16),
    ] {
        let (_keep, path) = gguf(|_, tensors| {
            let narrow = tensors[name].to_dtype(dtype).unwrap();
            tensors.insert(name, narrow);
        });
        let checkpoint = Checkpoint::open(&path).unwrap();
        let Weight::Dense(matrix) = checkpoint.linear(name, &Device::Cpu).unwrap() else {
            panic!("{dtype:?} is not dense");
        };
        assert!(matrix.is_mapped());
        assert_eq!(matrix.format(), Some(format));
        let want = tiny::tensor(13, &[tiny::HIDDEN, tiny::FFN]);
        let want = want.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
        let want: Vec<f32> = want.flatten_all().unwrap().to_vec1().unwrap();
        drop(checkpoint);
        assert_eq!(matrix.to_f32(), want);
    }
}

#[test]
fn gguf_and_safetensors_give_the_same_configuration_and_tensors() {
    let (_keep, path) = gguf(|_, _| ());
    let dir = tempfile::tempdir().unwrap();
    tiny::write_dir(dir.path(), |_| ());
    let from_gguf = Checkpoint::open(&path).unwrap();
    let from_dir = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(from_gguf.config(), from_dir.config());
    assert!(from_dir.config().tied_embeddings && from_dir.config().qkv_bias);
    assert_eq!(from_dir.eos_token_ids().unwrap(), [7]);
    let device = Device::Cpu;
    for name in [
        "token_embd.weight",
        "blk.0.attn_k.weight",
        "blk.0.ffn_down.weight",
    ] {
        assert_eq!(
            values(from_gguf.linear(name, &device).unwrap()),
            values(from_dir.linear(name, &device).unwrap())
        );
    }
    let bias = from_dir.floats("blk.0.attn_k.bias", &device).unwrap();
    assert_eq!(
        bias.to_vec1::<f32>().unwrap(),
        tiny::tensor(8, &[tiny::KV]).to_vec1::<f32>().unwrap()
    );
    for absent in ["output.weight", "blk.1.attn_q.weight", "nonsense"] {
        assert!(from_gguf.linear(absent, &device).is_err());
        assert!(from_dir.linear(absent, &device).is_err());
    }
}

#[test]
fn progress_ends_at_the_sum_of_all_tensors() {
    let (_keep, path) = gguf(|_, _| ());
    let (sender, receiver) = std::sync::mpsc::channel();
    let checkpoint = Checkpoint::open(&path)
        .unwrap()
        .with_progress(move |done, total| sender.send((done, total)).unwrap());
    checkpoint
        .linear(Checkpoint::EMBEDDING, &Device::Cpu)
        .unwrap();
    checkpoint
        .floats("output_norm.weight", &Device::Cpu)
        .unwrap();
    let seen: Vec<(u64, u64)> = receiver.try_iter().collect();
    let embedding = (tiny::VOCAB * tiny::HIDDEN * 4) as u64;
    let total = checkpoint.weight_bytes();
    assert_eq!(
        seen,
        [
            (embedding, total),
            (embedding + 4 * tiny::HIDDEN as u64, total)
        ]
    );
}

#[test]
fn a_missing_an_empty_and_a_text_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    check_refusal(&dir.path().join("absent.gguf"), "there is no checkpoint at");
    check_refusal(&file("empty.gguf", ""), "is empty");
    check_refusal(&file("page.gguf", "<!doctype html>"), "is not a GGUF file");
    check_refusal(&file("short.gguf", "GG"), "is not a GGUF file");
    check_refusal(&file("magic.gguf", "GGUF"), "is cut or damaged");
    check_refusal(&file("v9.gguf", "GGUF\x09\0\0\0"), "is of GGUF version 9");
    check_refusal(dir.path(), "holds no config.json");
}

#[test]
fn a_cut_gguf_says_how_much_is_there_wherever_it_is_cut() {
    let (_keep, path) = gguf(|_, _| ());
    let whole = std::fs::read(&path).unwrap();
    for have in 8..whole.len() {
        std::fs::write(&path, &whole[..have]).unwrap();
        // The last tensor may be followed by padding, which is no loss.
        let Err(error) = Checkpoint::open(&path) else {
            assert!(whole.len() - have < 32, "{have} of {} passed", whole.len());
            continue;
        };
        let message = error.to_string();
        assert!(message.contains("is cut"), "{have}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let message = refusal(&path);
    assert!(
        message.contains(" bytes are there; fetch it again"),
        "{message}"
    );
}

#[test]
fn a_file_known_by_name_is_told_its_whole_size_even_when_cut_in_the_header() {
    let (_keep, path) = gguf(|_, _| ());
    let known = path.with_file_name("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
    std::fs::write(&known, &std::fs::read(&path).unwrap()[..300]).unwrap();
    check_refusal(&known, "is cut: 300 of 491,400,064 bytes are there");
}

#[test]
fn what_the_decoder_does_not_run_is_refused_by_name() {
    let (_keep, path) = gguf(|metadata, _| {
        metadata.insert("general.architecture", Value::String("foo".into()));
    });
    check_refusal(
        &path,
        "architecture \"foo\" is not supported; this program runs: llama, qwen2, ",
    );
    let (_keep, path) = gguf(|metadata, _| {
        metadata.insert("qwen2.rope.scaling.type", Value::String("longrope".into()));
    });
    check_refusal(&path, "uses qwen2.rope.scaling.type: \"longrope\"");
    let (_keep, path) = gguf(|metadata, _| {
        metadata.insert("qwen2.attention.sliding_window", Value::U32(4096));
    });
    check_refusal(&path, "uses qwen2.attention.sliding_window: 4096");
    for (key, value, expected) in [
        (
            "model_type",
            serde_json::json!("mamba"),
            "architecture \"mamba\"",
        ),
        (
            "rope_scaling",
            serde_json::json!({"type": "dynamic"}),
            "rope_scaling.type: \"dynamic\"",
        ),
        (
            "use_sliding_window",
            serde_json::json!(true),
            "use_sliding_window: true",
        ),
        (
            "hidden_act",
            serde_json::json!("gelu"),
            "hidden_act: \"gelu\"",
        ),
        (
            "layer_types",
            serde_json::json!(["full_attention", "sliding_attention"]),
            "layer_types: \"sliding_attention\"",
        ),
        (
            "quantization_config",
            serde_json::json!({"quant_method": "awq", "bits": 4}),
            "quantization_config.quant_method: \"awq\"",
        ),
        // What no version of this program has heard of.
        (
            "attention_sinks",
            serde_json::json!(4),
            "attention_sinks: 4",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        tiny::write_dir(dir.path(), |config| config[key] = value);
        let message = refusal(dir.path());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_way_of_quantising_that_is_not_read_is_named_with_what_to_take_instead() {
    let check = |config: serde_json::Value, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        tiny::write_dir(dir.path(), |all| {
            for (key, value) in config.as_object().unwrap() {
                all[key] = value.clone();
            }
        });
        let message = refusal(dir.path());
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(message.contains("take the model's GGUF file"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    };
    let quantised = |value| serde_json::json!({"quantization_config": value});
    check(
        quantised(serde_json::json!({"quant_method": "gptq", "bits": 4, "group_size": 128})),
        "quantization_config.quant_method: \"gptq\" (4 bits, groups of 128)",
    );
    check(
        quantised(serde_json::json!({"quant_method": "awq", "w_bit": 4, "q_group_size": 128})),
        "quantization_config.quant_method: \"awq\" (4 bits, groups of 128)",
    );
    check(
        quantised(serde_json::json!({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"})),
        "quantization_config.quant_method: \"modelopt\" (W4A8_AWQ)",
    );
    check(
        serde_json::json!({"compression_config": {
            "quant_method": "compressed-tensors", "format": "pack-quantized"
        }}),
        "compression_config.quant_method: \"compressed-tensors\" (pack-quantized)",
    );
    check(
        quantised(serde_json::json!({"quant_method": "fp8", "fmt": "e5m2"})),
        "quantization_config.quant_method: \"fp8\" (e5m2)",
    );
    for sizes in [
        serde_json::json!([0, 128]),
        serde_json::json!([128]),
        serde_json::json!(128),
    ] {
        check(
            quantised(serde_json::json!({"quant_method": "fp8", "weight_block_size": sizes})),
            &format!("with blocks of {sizes}, which are no rows and columns"),
        );
    }
    // Products would need more than the weights.
    check(
        quantised(serde_json::json!({
            "quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
            "transform_config": {"config_groups": {"u": {"type": "hadamard"}}}
        })),
        "quantization_config.transform_config: {\"config_groups\"",
    );
    check(
        quantised(serde_json::json!({
            "quant_method": "compressed-tensors", "format": "float-quantized",
            "sparsity_config": {"format": "sparse-24-bitmask"}
        })),
        "quantization_config.sparsity_config: {\"format\"",
    );
    // An older one, whose config.json says nothing.
    let dir = tempfile::tempdir().unwrap();
    tiny::write_dir(dir.path(), |_| ());
    let shard = dir.path().join(tiny::shard_file(0));
    let mut tensors = candle_core::safetensors::load(&shard, &Device::Cpu).unwrap();
    let codes = Tensor::zeros((1, 8), DType::U32, &Device::Cpu).unwrap();
    tensors.insert("model.layers.0.self_attn.q_proj.qweight".into(), codes);
    candle_core::safetensors::save(&tensors, &shard).unwrap();
    let message = refusal(dir.path());
    assert!(
        message.contains("AWQ or GPTQ (tensors *.qweight)"),
        "{message}"
    );
}

#[test]
fn an_unknown_router_or_stretched_positions_of_a_family_are_refused_by_name() {
    let changed = |fixture: &str, key: &str, value: serde_json::Value| {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture);
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        assert!(Checkpoint::open(dir.path()).is_ok(), "{fixture}");
        let path = dir.path().join("config.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        refusal(dir.path())
    };
    for (fixture, key, value) in [
        ("kimi-k2-tiny", "scoring_func", serde_json::json!("softmax")),
        ("kimi-k2-tiny", "topk_method", serde_json::json!("greedy")),
        ("kimi-k2-tiny", "moe_layer_freq", serde_json::json!(2)),
        ("qwen3-tiny", "attention_bias", serde_json::json!(true)),
        ("llama-tiny", "mlp_bias", serde_json::json!(true)),
    ] {
        let message = changed(fixture, key, value.clone());
        assert!(message.contains(&format!("{key}: {value}")), "{message}");
    }
    let message = changed(
        "deepseek-v3-tiny",
        "rope_parameters",
        serde_json::json!({"rope_type": "longrope", "rope_theta": 1e4}),
    );
    assert!(message.contains("rope_parameters.rope_type"), "{message}");
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let (_keep, path) = gguf(|_, tensors| {
        tensors.remove("blk.0.ffn_up.weight");
    });
    check_refusal(&path, "has no tensor \"blk.0.ffn_up.weight\"");
    let (_keep, path) = gguf(|_, tensors| {
        tensors.insert(
            "blk.0.attn_k.weight",
            tiny::tensor(0, &[tiny::KV + 4, tiny::HIDDEN]),
        );
    });
    check_refusal(
        &path,
        "\"blk.0.attn_k.weight\" is of shape [8, 8] where the configuration asks for [4, 8]",
    );
    let (_keep, path) = gguf(|metadata, _| {
        metadata.remove("qwen2.block_count");
    });
    check_refusal(&path, "the metadata has no usable \"qwen2.block_count\"");
    let (_keep, path) = gguf(|metadata, _| {
        metadata.insert("qwen2.attention.head_count_kv", Value::U32(0));
    });
    check_refusal(&path, "the number of key/value heads is 0");
}

#[test]
fn cut_and_absent_shards_are_named() {
    let dir = tempfile::tempdir().unwrap();
    tiny::write_dir(dir.path(), |_| ());
    let shard = dir.path().join(tiny::shard_file(1));
    let whole = std::fs::read(&shard).unwrap();
    for have in [0, 4, 20, whole.len() - 1] {
        std::fs::write(&shard, &whole[..have]).unwrap();
        let message = refusal(dir.path());
        assert!(message.contains(&tiny::shard_file(1)), "{message}");
        assert!(message.ends_with("fetch it again"), "{message}");
    }
    std::fs::remove_file(&shard).unwrap();
    assert!(refusal(dir.path()).contains(&tiny::shard_file(1)));
}

#[test]
fn a_checkpoint_without_tokenizer_or_template_says_so() {
    let (_keep, path) = gguf(|_, _| ());
    let dir = tempfile::tempdir().unwrap();
    tiny::write_dir(dir.path(), |_| ());
    for path in [path.as_path(), dir.path()] {
        let checkpoint = Checkpoint::open(path).unwrap();
        let message = |error: Option<egss::checkpoint::CheckpointError>| error.unwrap().to_string();
        assert!(message(checkpoint.tokenizer().err()).starts_with("the tokenizer of "));
        assert!(message(checkpoint.chat_template().err()).starts_with("the chat template "));
    }
}
