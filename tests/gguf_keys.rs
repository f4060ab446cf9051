//! Keys and tensors of GGUF files as people download them: scaled positions, names of
//! pre-tokenizers, several chat templates.
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use egss::base::Purpose;
use egss::checkpoint::{Checkpoint, Message, RopeScaling};
use egss::engine::{Engine, EngineSettings, PrefixCache, open};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

type Metadata = BTreeMap<String, Value>;
type Tensors = BTreeMap<String, QTensor>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Keys and tensors of the file of Qwen3's fixture.
fn qwen3() -> (Metadata, Tensors) {
    let mut file = std::fs::File::open(fixture("qwen3-tiny/model.gguf")).unwrap();
    let content = Content::read(&mut file).unwrap();
    let tensors = content.tensor_infos.keys().map(|name| {
        let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap();
        (name.clone(), tensor)
    });
    let tensors = tensors.collect();
    (content.metadata.into_iter().collect(), tensors)
}

fn write(metadata: &Metadata, tensors: &Tensors) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, t)| (k.as_str(), t)).collect();
    let mut out = std::fs::File::create(&path).unwrap();
    gguf_file::write(&mut out, &metadata, &tensors).unwrap();
    (dir, path)
}

/// Qwen3's file with its metadata changed.
fn changed(change: impl FnOnce(&mut Metadata)) -> (tempfile::TempDir, PathBuf) {
    let (mut metadata, tensors) = qwen3();
    change(&mut metadata);
    write(&metadata, &tensors)
}

fn checkpoint(change: impl FnOnce(&mut Metadata)) -> Checkpoint {
    let (_keep, path) = changed(change);
    Checkpoint::open(&path).unwrap()
}

fn set(metadata: &mut Metadata, key: &str, value: Value) {
    metadata.insert(key.to_owned(), value);
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A row of q's or k's as llama.cpp's converter orders it: neighbours are turned together.
fn with_neighbours(weight: &Tensor, n_heads: usize) -> Tensor {
    let (rows, columns) = weight.dims2().unwrap();
    let half = rows / n_heads / 2;
    let heads = weight.reshape((n_heads, 2, half, columns)).unwrap();
    let turned = heads.transpose(1, 2).unwrap().contiguous().unwrap();
    turned.reshape((rows, columns)).unwrap()
}

/// The fixture `llama3-tiny` as llama.cpp's converter writes it: with the divisors of its
/// frequencies, computed here by the converter's own formula.
fn llama3(change: impl FnOnce(&mut Metadata, &mut Tensors)) -> (tempfile::TempDir, PathBuf) {
    const PARTS: [(&str, &str); 9] = [
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    let path = fixture("llama3-tiny/model.safetensors");
    let published: HashMap<String, Tensor> =
        candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let mut tensors = Tensors::new();
    let mut put = |name: String, tensor: &Tensor| {
        let tensor = QTensor::quantize(tensor, GgmlDType::F32).unwrap();
        tensors.insert(name, tensor);
    };
    for (name, tensor) in &published {
        let name = match name.as_str() {
            "model.embed_tokens.weight" => "token_embd.weight".to_owned(),
            "model.norm.weight" => "output_norm.weight".to_owned(),
            name => {
                let rest = name.strip_prefix("model.layers.").unwrap();
                let (layer, part) = rest.split_once('.').unwrap();
                let part = part.strip_suffix(".weight").unwrap();
                let (_, own) = PARTS.iter().find(|(from, _)| *from == part).unwrap();
                format!("blk.{layer}.{own}.weight")
            }
        };
        match name.as_str() {
            name if name.contains("attn_q") => put(name.into(), &with_neighbours(tensor, 4)),
            name if name.contains("attn_k") => put(name.into(), &with_neighbours(tensor, 2)),
            _ => put(name, tensor),
        }
    }
    let (factor, low, high, original) = (8f64, 1f64, 4f64, 64f64);
    let divisors: Vec<f32> = (0..8)
        .map(|pair| {
            let wave = std::f64::consts::TAU * 1e4f64.powf(2.0 * f64::from(pair) / 16.0);
            let divisor = if wave < original / high {
                1.0
            } else if wave > original / low {
                factor
            } else {
                let smooth = (original / wave - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            };
            divisor as f32
        })
        .collect();
    assert!(divisors[0] == 1.0 && divisors[7] == 8.0);
    put(
        "rope_freqs.weight".into(),
        &Tensor::from_vec(divisors, 8, &Device::Cpu).unwrap(),
    );
    let (metadata, _) = qwen3();
    let own = metadata
        .into_iter()
        .filter(|(key, _)| !key.starts_with("qwen3."));
    let mut metadata: Metadata = own.collect();
    set(&mut metadata, "general.architecture", text("llama"));
    for (key, value) in [
        ("block_count", 2),
        ("context_length", 1024),
        ("embedding_length", 64),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("rope.dimension_count", 16),
        ("vocab_size", 320),
    ] {
        set(&mut metadata, &format!("llama.{key}"), Value::U32(value));
    }
    for (key, value) in [
        ("rope.freq_base", 1e4),
        ("attention.layer_norm_rms_epsilon", 1e-5),
    ] {
        set(&mut metadata, &format!("llama.{key}"), Value::F32(value));
    }
    change(&mut metadata, &mut tensors);
    write(&metadata, &tensors)
}

/// llama.cpp#11341, #12021, vllm#7268: Llama 3.1's files were refused for
/// `rope_freqs.weight`.
#[test]
fn llama_3_1s_divisors_of_frequencies_turn_as_transformers_scaling_does() {
    const TOLERANCE_LOGITS: f32 = 1e-4;
    let (_keep, path) = llama3(|_, _| ());
    let settings = EngineSettings {
        context_max: 256,
        kv_bytes_max: 1 << 20,
        engines_max: 1,
    };
    let mut engine = open(&path, &settings, &mut |_| {}).unwrap().engine;
    let reference = fixture("llama3-tiny/reference.safetensors");
    let reference = candle_core::safetensors::load(reference, &Device::Cpu).unwrap();
    for length in [21, 200] {
        let prompt: Vec<i64> = reference[&format!("{length}.prompt")].to_vec1().unwrap();
        let prompt: Vec<u32> = prompt.into_iter().map(|id| id as u32).collect();
        let expected: Vec<Vec<f32>> = reference[&format!("{length}.logits")].to_vec2().unwrap();
        let seq = engine.new_sequence(PrefixCache::Bypass);
        engine.append(seq, &prompt, Purpose::Agent).unwrap();
        engine.compute(&[seq], Purpose::Agent, &mut |_| {}).unwrap();
        let found = engine.logits(seq).unwrap().to_vec();
        let mut diffs = found.iter().zip(&expected[0]).map(|(a, b)| (a - b).abs());
        assert!(
            diffs.all(|diff| diff <= TOLERANCE_LOGITS),
            "prompt of {length}"
        );
        engine.release(seq);
    }
}

#[test]
fn divisors_of_another_number_or_beside_another_scaling_are_refused() {
    let divisors = |values: Vec<f32>| {
        let n = values.len();
        let tensor = Tensor::from_vec(values, n, &Device::Cpu).unwrap();
        QTensor::quantize(&tensor, GgmlDType::F32).unwrap()
    };
    let check = |(_keep, path): (tempfile::TempDir, PathBuf), expected: &str| {
        let message = Checkpoint::open(&path).err().unwrap().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    let three = divisors(vec![1.0, 2.0, 8.0]);
    check(
        llama3(|_, tensors| drop(tensors.insert("rope_freqs.weight".into(), three))),
        "\"rope_freqs.weight\" is of shape [3] where the configuration asks for [8]",
    );
    let zero = divisors(vec![0.0; 8]);
    check(
        llama3(|_, tensors| drop(tensors.insert("rope_freqs.weight".into(), zero))),
        "RoPE's scaling by 0",
    );
    check(
        llama3(|metadata, _| {
            set(metadata, "llama.rope.scaling.type", text("linear"));
            set(metadata, "llama.rope.scaling.factor", Value::F32(2.0));
        }),
        "rope_freqs.weight and rope.scaling.type at once",
    );
    // A family for which llama.cpp does not read them.
    let (metadata, mut tensors) = qwen3();
    tensors.insert("rope_freqs.weight".into(), divisors(vec![1.0; 8]));
    check(
        write(&metadata, &tensors),
        "the tensor \"rope_freqs.weight\"",
    );
}

/// vllm#2518, Qwen3#953, vllm#10293: a sequence of 256 tokens was refused as past the 64.
#[test]
fn yarn_in_keys_stretches_the_context() {
    let scaled = |original: Option<u32>, context: u32| {
        let checkpoint = checkpoint(|metadata| {
            set(metadata, "qwen3.context_length", Value::U32(context));
            set(metadata, "qwen3.rope.scaling.type", text("yarn"));
            set(metadata, "qwen3.rope.scaling.factor", Value::F32(4.0));
            if let Some(original) = original {
                let key = "qwen3.rope.scaling.original_context_length";
                set(metadata, key, Value::U32(original));
            }
        });
        checkpoint.config().context_max
    };
    assert_eq!(scaled(Some(64), 64), 256);
    // Some converters write the stretched length, some leave the original out.
    assert_eq!(scaled(Some(64), 256), 256);
    assert_eq!(scaled(None, 64), 256);
    let linear = checkpoint(|metadata| {
        set(metadata, "qwen3.rope.scaling.type", text("linear"));
        set(metadata, "qwen3.rope.scaling.factor", Value::F32(2.0));
    });
    let scaling = &linear.config().rotary.scaling;
    assert_eq!(*scaling, RopeScaling::Linear { factor: 2.0 });
}

/// llama.cpp#11341, #12021, vllm#7268: these names, and none, were refused.
#[test]
fn pre_tokenizers_of_one_way_to_cut_are_known_by_all_their_names() {
    let ids = |pre: Option<&str>| {
        let checkpoint = checkpoint(|metadata| {
            metadata.remove("tokenizer.ggml.pre");
            if let Some(pre) = pre {
                set(metadata, "tokenizer.ggml.pre", text(pre));
            }
        });
        let n_said = checkpoint.notes().len();
        let tokenizer = checkpoint.tokenizer().unwrap();
        (
            tokenizer.encode("def add(x):\n    return x + 12345 it's"),
            n_said,
        )
    };
    for pre in ["deepseek-r1-qwen", "kormo", "megrez"] {
        assert_eq!(ids(Some(pre)), ids(Some("qwen2")), "{pre}");
    }
    for pre in [
        "llama-bpe",
        "llama3",
        "llama-v3",
        "falcon3",
        "pixtral",
        "lfm2",
    ] {
        assert_eq!(ids(Some(pre)), ids(Some("glm4")), "{pre}");
    }
    for pre in ["hunyuan-dense", "joyai-llm"] {
        assert_eq!(ids(Some(pre)), ids(Some("deepseek-v3")), "{pre}");
    }
    for pre in ["starcoder", "refact", "command-r", "exaone"] {
        assert_eq!(ids(Some(pre)), ids(Some("smollm")), "{pre}");
    }
    for pre in ["phi-2", "mpt", "olmo"] {
        assert_eq!(ids(Some(pre)), ids(Some("gpt-2")), "{pre}");
    }
    // As llama.cpp's "default", and said.
    let (default, said) = ids(Some("default"));
    assert_eq!(said, 0);
    assert_eq!(ids(None), (default.clone(), 1));
    assert_eq!(ids(Some("")), (default, 1));
    let unknown = checkpoint(|metadata| set(metadata, "tokenizer.ggml.pre", text("viking")));
    let message = unknown.tokenizer().err().unwrap().to_string();
    assert!(
        message.contains("\"viking\"") && message.contains("\"llama-bpe\""),
        "{message}"
    );
}

#[test]
fn a_key_that_speaks_of_no_computation_is_passed_over_and_said() {
    let noted = checkpoint(|metadata| set(metadata, "qwen3.trainer", text("unsloth")));
    assert_eq!(
        noted.notes(),
        ["the key qwen3.trainer is not known and not taken"]
    );
    let (_keep, path) = changed(|metadata| {
        set(metadata, "qwen3.logit_scale", Value::F32(2.0));
    });
    let message = Checkpoint::open(&path).err().unwrap().to_string();
    assert!(message.contains("qwen3.logit_scale: 2"), "{message}");
}

/// llama.cpp#6947, of GGUF: a template for tools lies under a key of its own.
#[test]
fn a_template_for_tools_is_taken_where_there_are_tools() {
    let checkpoint = checkpoint(|metadata| {
        set(metadata, "tokenizer.chat_template", text("plain"));
        set(metadata, "tokenizer.chat_template.tool_use", text("tools"));
        set(metadata, "tokenizer.chat_template.rag", text("rag"));
    });
    let template = checkpoint.chat_template().unwrap();
    let messages = [Message::new("user", "a")];
    let tool = serde_json::json!({"type": "function"});
    assert_eq!(template.render(&messages, &[], true).unwrap(), "plain");
    assert_eq!(template.render(&messages, &[tool], true).unwrap(), "tools");
}
