//! Safetensors of 8 and 4 bits with scales, against checkpoints of the very numbers that
//! they stand for.
use crate::common::*;
use crate::parity::branched;
use candle_core::{DType, Device, Tensor};
use egss::checkpoint::{Checkpoint, CheckpointError, Weight};
use egss::engine::{EngineSettings, open_checkpoint};
use egss::ops::Backend;
use egss_kernels::GgmlType;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The same numbers in f32 sums of another order, on logits of up to 9.
const TOLERANCE_LOGITS: f32 = 1e-4;

/// Rows of activations are rounded to bytes before products of 4 bits: a part in 254 of the
/// largest of up to 256.
const TOLERANCE_QUANTISED: f32 = 0.15;

/// A tensor as it goes into a file.
struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Raw {
    fn floats(shape: &[usize], numbers: &[f32]) -> Self {
        Self {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            bytes: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn bytes(dtype: Dtype, shape: [usize; 2], bytes: Vec<u8>) -> Self {
        Self {
            dtype,
            shape: shape.to_vec(),
            bytes,
        }
    }
}

/// A matrix as it is written: its tensors by the ends of their names, and the numbers that
/// these stand for.
type Encoded = (Vec<(&'static str, Raw)>, Vec<f32>);

/// A way of writing matrices, as a tool writes it.
struct Way {
    name: &'static str,
    config: fn() -> Value,
    encode: fn(&[f32], usize, usize) -> Encoded,
    /// Of the blocks in memory; `None` for E4M3.
    kind: Option<GgmlType>,
}

const WAYS: [Way; 9] = [
    Way {
        name: "FP8 in blocks (DeepSeek-V3, transformers)",
        config: || json!({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [32, 48]}),
        encode: |x, n, k| fp8(x, n, k, [32, 48], "weight_scale_inv"),
        kind: None,
    },
    Way {
        name: "FP8 with one scale (transformers)",
        config: || json!({"quant_method": "fp8", "weight_block_size": null}),
        encode: |x, n, k| fp8(x, n, k, [n, k], "weight_scale_inv"),
        kind: None,
    },
    Way {
        name: "FP8 with a scale a row (compressed-tensors)",
        config: || json!({"quant_method": "compressed-tensors", "format": "float-quantized"}),
        encode: |x, n, k| fp8(x, n, k, [1, k], "weight_scale"),
        kind: None,
    },
    Way {
        name: "FP8 in blocks (compressed-tensors)",
        config: || {
            let weights = json!({"strategy": "block", "block_structure": [16, 32]});
            json!({
                "quant_method": "compressed-tensors", "format": "float-quantized",
                "config_groups": {"group_0": {"weights": weights}},
            })
        },
        encode: |x, n, k| fp8(x, n, k, [16, 32], "weight_scale"),
        kind: None,
    },
    Way {
        name: "NVFP4 (ModelOpt)",
        config: || json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}),
        encode: |x, n, k| nvfp4(x, n, k, "weight", |factor| ("weight_scale_2", factor)),
        kind: Some(GgmlType::NVFP4),
    },
    Way {
        name: "NVFP4 (compressed-tensors)",
        config: || json!({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}),
        encode: |x, n, k| {
            nvfp4(x, n, k, "weight_packed", |factor| {
                ("weight_global_scale", 1.0 / factor)
            })
        },
        kind: Some(GgmlType::NVFP4),
    },
    Way {
        name: "MXFP4 (compressed-tensors)",
        config: || json!({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"}),
        encode: mxfp4,
        kind: Some(GgmlType::MXFP4),
    },
    Way {
        name: "FP8 with one scale (ModelOpt, of which config.json says nothing)",
        config: || Value::Null,
        encode: |x, n, k| {
            let (mut tensors, numbers) = fp8(x, n, k, [n, k], "weight_scale");
            tensors[1].1.shape = vec![1];
            tensors.push(("input_scale", Raw::floats(&[], &[0.5])));
            (tensors, numbers)
        },
        kind: None,
    },
    Way {
        name: "FP8 in blocks (ModelOpt)",
        config: || json!({"quant_method": "modelopt", "quant_algo": "fp8_pb_wo"}),
        encode: |x, n, k| {
            let (mut tensors, numbers) = fp8(x, n, k, [128, 128], "weight_scale");
            if let &[rows, columns] = tensors[1].1.shape.as_slice() {
                tensors[1].1.shape = vec![rows, 1, columns, 1];
            }
            (tensors, numbers)
        },
        kind: None,
    },
];

/// The number of a byte of E4M3 (arXiv 2209.05433), NaN left out.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7) / 8.0);
    let size = match exponent {
        0 => mantissa * 2f32.powi(-6),
        _ => (1.0 + mantissa) * 2f32.powi(exponent - 7),
    };
    if byte < 128 { size } else { -size }
}

/// The code whose number is nearest, of codes whose numbers ascend and then again with a
/// minus.
fn nearest(number: f32, n_sizes: u8, sign: u8, of: fn(u8) -> f32) -> u8 {
    let size = number.abs();
    let (mut low, mut high) = (0, n_sizes - 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        *(if of(middle) <= size {
            &mut low
        } else {
            &mut high
        }) = middle;
    }
    let is_low = size - of(low) <= of(high) - size;
    (if is_low { low } else { high }) | if number < 0.0 { sign } else { 0 }
}

fn nearest_e4m3(number: f32) -> u8 {
    nearest(number, 127, 0x80, e4m3)
}

fn largest(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.fold(1e-6, |largest, x| largest.max(x.abs()))
}

fn fp8(x: &[f32], n: usize, k: usize, block: [usize; 2], scale_name: &'static str) -> Encoded {
    let shape = [n.div_ceil(block[0]), k.div_ceil(block[1])];
    let scale_of = |i: usize| i / k / block[0] * shape[1] + i % k / block[1];
    let mut scales = vec![1e-6f32; shape[0] * shape[1]];
    for (i, x) in x.iter().enumerate() {
        let scale = &mut scales[scale_of(i)];
        *scale = scale.max(x.abs() / 448.0);
    }
    // Where each row has one, it is written in fewer bits.
    let dtype = if block == [1, k] {
        Dtype::BF16
    } else {
        Dtype::F32
    };
    if dtype == Dtype::BF16 {
        let rounded = |scale: &mut f32| *scale = half::bf16::from_f32(*scale).to_f32();
        scales.iter_mut().for_each(rounded);
    }
    let code = |i: usize| nearest_e4m3(x[i] / scales[scale_of(i)]);
    let codes: Vec<u8> = (0..x.len()).map(code).collect();
    let numbers = codes.iter().enumerate();
    let numbers = numbers.map(|(i, &code)| e4m3(code) * scales[scale_of(i)]);
    let numbers = numbers.collect();
    // One scale is no matrix.
    let shape = if shape == [1, 1] {
        vec![]
    } else {
        shape.to_vec()
    };
    let tensors = vec![
        ("weight", Raw::bytes(Dtype::F8_E4M3, [n, k], codes)),
        (
            scale_name,
            Raw {
                dtype,
                bytes: match dtype {
                    Dtype::BF16 => bf16(&scales),
                    _ => Raw::floats(&shape, &scales).bytes,
                },
                shape,
            },
        ),
    ];
    (tensors, numbers)
}

fn bf16(numbers: &[f32]) -> Vec<u8> {
    let numbers = numbers.iter().map(|&x| half::bf16::from_f32(x));
    numbers.flat_map(half::bf16::to_le_bytes).collect()
}

/// E2M1 (OCP Microscaling Formats v1.0, table 5).
fn e2m1(code: u8) -> f32 {
    let size = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0][usize::from(code & 7)];
    if code < 8 { size } else { -size }
}

/// Codes of numbers in pairs, the first in the lower half, and what they stand for.
fn four_bits(x: &[f32], scale_of: impl Fn(usize) -> f32) -> (Vec<u8>, Vec<f32>) {
    let code = |i: usize| match scale_of(i) {
        0.0 => 0,
        scale => nearest(x[i] / scale, 8, 8, e2m1),
    };
    let codes: Vec<u8> = (0..x.len()).map(code).collect();
    let numbers = codes.iter().enumerate();
    let numbers = numbers.map(|(i, &code)| e2m1(code) * scale_of(i)).collect();
    let pairs = codes.as_chunks::<2>().0.iter();
    (pairs.map(|[low, high]| low | high << 4).collect(), numbers)
}

fn nvfp4(
    x: &[f32],
    n: usize,
    k: usize,
    codes_name: &'static str,
    factor_as: fn(f32) -> (&'static str, f32),
) -> Encoded {
    let (factor_name, stored) = factor_as(largest(x.iter().copied()) / (6.0 * 448.0));
    // As it can be read back.
    let factor = if factor_name == "weight_scale_2" {
        stored
    } else {
        1.0 / stored
    };
    let scales: Vec<u8> = x
        .chunks_exact(16)
        .map(|group| nearest_e4m3(largest(group.iter().copied()) / 6.0 / factor))
        .collect();
    let (codes, numbers) = four_bits(x, |i| e4m3(scales[i / 16]) * factor);
    let tensors = vec![
        (codes_name, Raw::bytes(Dtype::U8, [n, k / 2], codes)),
        (
            "weight_scale",
            Raw::bytes(Dtype::F8_E4M3, [n, k / 16], scales),
        ),
        (factor_name, Raw::floats(&[], &[stored])),
        ("input_scale", Raw::floats(&[], &[0.5])),
    ];
    (tensors, numbers)
}

fn mxfp4(x: &[f32], n: usize, k: usize) -> Encoded {
    let exponent = |group: &[f32]| {
        let largest = largest(group.iter().copied());
        ((largest / 6.0).log2().ceil() as i32 + 127) as u8
    };
    let scales: Vec<u8> = x.chunks_exact(32).map(exponent).collect();
    let scale_of = |i: usize| 2f32.powi(i32::from(scales[i / 32]) - 127);
    let (codes, numbers) = four_bits(x, scale_of);
    let tensors = vec![
        ("weight_packed", Raw::bytes(Dtype::U8, [n, k / 2], codes)),
        ("weight_scale", Raw::bytes(Dtype::U8, [n, k / 32], scales)),
    ];
    (tensors, numbers)
}

fn write(dir: &Path, tensors: &BTreeMap<String, Raw>) {
    let views = tensors.iter().map(|(name, raw)| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes);
        (name.clone(), view.unwrap())
    });
    let path = dir.join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
}

/// The tensors of a checkpoint's directory, as f32.
fn read(dir: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let tensors = candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu);
    let numbers = |tensor: Tensor| {
        let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        (tensor.dims().to_vec(), flat.to_vec1().unwrap())
    };
    let tensors = tensors.unwrap().into_iter();
    tensors.map(|(name, x)| (name, numbers(x))).collect()
}

/// A model of one family, whose rows are whole blocks of every kind.
struct Model {
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    dir: tempfile::TempDir,
}

impl Model {
    /// Rows of 64, which are a block of NVFP4 in a file but none of the kernels'; some of
    /// them in an order of their own, and two matrices in one tensor.
    fn of_64() -> Self {
        let from = fixture("glm4-tiny");
        let config = std::fs::read(from.join("config.json")).unwrap();
        Self::new(serde_json::from_slice(&config).unwrap(), read(&from), &from)
    }

    /// Rows of 256, by a model's every name.
    fn of_256() -> Self {
        let from = fixture("llama-tiny");
        let config = std::fs::read(from.join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        for (key, size) in [
            ("hidden_size", 256),
            ("intermediate_size", 512),
            ("num_attention_heads", 8),
            ("num_key_value_heads", 4),
            ("head_dim", 32),
        ] {
            config[key] = size.into();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(27);
        let mut tensors = read(&from);
        for (name, (shape, numbers)) in &mut tensors {
            let part = |part: &str| name.contains(part);
            *shape = match shape.as_slice() {
                [vocab, _] if part("embed_tokens") || part("lm_head") => vec![*vocab, 256],
                [_, _] if part("k_proj") || part("v_proj") => vec![128, 256],
                [_, _] if part("gate_proj") || part("up_proj") => vec![512, 256],
                [_, _] if part("down_proj") => vec![256, 512],
                [_, _] => vec![256, 256],
                _ => vec![256],
            };
            let scale = if shape.len() == 2 { 0.1 } else { 1.0 };
            let number = || scale * ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0);
            *numbers = std::iter::repeat_with(number)
                .take(shape.iter().product())
                .collect();
        }
        Self::new(config, tensors, &from)
    }

    fn new(config: Value, tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>, from: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(from.join(file), dir.path().join(file)).unwrap();
        }
        Self {
            config,
            tensors,
            dir,
        }
    }

    /// Writes the checkpoint with its layers' matrices in some way, changed by `change`.
    fn write(&self, way: &Way, change: impl Fn(&mut BTreeMap<String, Raw>)) -> &Path {
        let mut raw = BTreeMap::new();
        for (name, (shape, numbers)) in &self.tensors {
            match (name.strip_suffix("_proj.weight"), shape.as_slice()) {
                (Some(module), &[n, k]) => {
                    for (end, tensor) in (way.encode)(numbers, n, k).0 {
                        raw.insert(format!("{module}_proj.{end}"), tensor);
                    }
                }
                _ => drop(raw.insert(name.clone(), Raw::floats(shape, numbers))),
            }
        }
        change(&mut raw);
        let mut config = self.config.clone();
        config["quantization_config"] = (way.config)();
        self.write_files(&config, &raw)
    }

    /// Writes the numbers that this stands for.
    fn write_numbers(&self, way: &Way) -> &Path {
        let mut raw = BTreeMap::new();
        for (name, (shape, numbers)) in &self.tensors {
            let stands_for = match (name.ends_with("_proj.weight"), shape.as_slice()) {
                (true, &[n, k]) => (way.encode)(numbers, n, k).1,
                _ => numbers.clone(),
            };
            raw.insert(name.clone(), Raw::floats(shape, &stands_for));
        }
        self.write_files(&self.config, &raw)
    }

    fn write_files(&self, config: &Value, raw: &BTreeMap<String, Raw>) -> &Path {
        let dir = self.dir.path();
        std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
        write(dir, raw);
        dir
    }
}

/// A CPU that keeps matrices at a width by name.
fn cpu(dtype: &str) -> Backend {
    Backend::cpu().with_dtype(dtype).unwrap()
}

/// The largest difference of a weight, over the largest weight.
fn weights_off(a: &Checkpoint, b: &Checkpoint, name: &str) -> f32 {
    let [a, b] = [a, b].map(|checkpoint| -> Vec<f32> {
        let weight = checkpoint.linear(name, &Device::Cpu).unwrap();
        let tensor = weight.to_tensor(&Device::Cpu).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    });
    max_diff(&a, &b) / largest(b.into_iter())
}

#[test]
fn weights_with_scales_are_the_numbers_that_they_stand_for_and_give_their_logits() {
    for (model, width) in [(Model::of_64(), 64), (Model::of_256(), 256)] {
        for way in &WAYS {
            // The files of one are written over those of the other, which are mapped.
            let numbers_dir = copy(model.write_numbers(way));
            let numbers = Checkpoint::open(numbers_dir.path()).unwrap();
            let encoded = Checkpoint::open(model.write(way, |_| ())).unwrap();
            let is_note = |note: &&String| !note.contains("NVFP4 (");
            assert_eq!(encoded.notes().iter().find(is_note), None, "{}", way.name);
            for name in [
                "blk.0.attn_q.weight",
                "blk.1.ffn_up.weight",
                "blk.1.ffn_down.weight",
            ] {
                let off = weights_off(&encoded, &numbers, name);
                assert!(off < 1e-6, "{}: {name} {off:e}", way.name);
            }
            let want = branched(&numbers, &cpu("f32"));
            let tolerance = match way.kind {
                None => TOLERANCE_LOGITS,
                Some(_) => TOLERANCE_QUANTISED,
            };
            for dtype in ["f32", "auto"] {
                let off = max_diff(&branched(&encoded, &cpu(dtype)), &want);
                let name = way.name;
                println!("{name}, rows of {width} as {dtype}: largest difference {off:.1e}");
                assert!(off < tolerance, "{name} {width} {dtype}: {off:e}");
            }
        }
    }
}

/// A directory's files in another one.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn weights_with_scales_keep_their_width_in_memory() {
    let model = Model::of_256();
    let settings = EngineSettings {
        context_max: 512,
        kv_bytes_max: 64 << 20,
        engines_max: 1,
    };
    let plan = |checkpoint: &Checkpoint| {
        let opened = open_checkpoint(checkpoint, &settings, &cpu("auto"), &mut |_| {});
        opened.unwrap().plan
    };
    let of_layers = model.tensors.iter();
    let of_layers = of_layers.filter(|(name, _)| name.ends_with("_proj.weight"));
    let n: usize = of_layers.map(|(_, (_, numbers))| numbers.len()).sum();
    for way in &WAYS {
        let wide = plan(&Checkpoint::open(model.write_numbers(way)).unwrap());
        let checkpoint = Checkpoint::open(model.write(way, |_| ())).unwrap();
        let weight = checkpoint.linear("blk.1.ffn_down.weight", &Device::Cpu);
        match weight.unwrap() {
            // In the file's own pages.
            Weight::Dense(matrix) => {
                assert!(way.kind.is_none() && matrix.is_mapped(), "{}", way.name);
                assert_eq!(matrix.bytes(), 256 * 512);
            }
            Weight::Blocks(matrix) => {
                assert_eq!(Some(matrix.kind()), way.kind, "{}", way.name);
                assert!(matrix.format().is_some(), "{}", way.name);
            }
            _ => panic!("{}: widened", way.name),
        }
        let kept = plan(&checkpoint);
        let saved = wide.weights_bytes - kept.weights_bytes;
        let bits = 32.0 - 8.0 * saved as f64 / n as f64;
        println!("{}: {bits:.2} bits a weight in memory", way.name);
        let at_most = if way.kind.is_none() { 8.2 } else { 4.51 };
        assert!(bits <= at_most, "{}: {bits} bits a weight", way.name);
        assert_eq!(
            kept.mapped_bytes,
            way.kind.map_or(n as u64, |_| 0),
            "{}",
            way.name
        );
    }
}

#[test]
fn a_part_that_is_missing_or_of_another_size_is_said_by_name() {
    let model = Model::of_64();
    let refusal = |way: &Way, change: &dyn Fn(&mut BTreeMap<String, Raw>)| {
        let opened = Checkpoint::open(model.write(way, change));
        let loaded: Result<(), CheckpointError> = opened.and_then(|checkpoint| {
            let weight = checkpoint.linear("blk.0.attn_output.weight", &Device::Cpu);
            weight.map(drop)
        });
        loaded.unwrap_err().to_string()
    };
    let name = |end: &str| format!("model.layers.0.self_attn.o_proj.{end}");
    let [fp8, _, _, _, nvfp4, packed, mxfp4, ..] = &WAYS;
    for (way, end) in [
        (nvfp4, "weight_scale_2"),
        (packed, "weight_global_scale"),
        (packed, "weight_packed"),
    ] {
        let message = refusal(way, &|raw| drop(raw.remove(&name(end))));
        let said = if end == "weight_packed" {
            name("weight")
        } else {
            name(end)
        };
        assert!(
            message.contains("has no tensor") && message.contains(&said),
            "{message}"
        );
    }
    for (way, end) in [
        (fp8, "weight_scale_inv"),
        (nvfp4, "weight_scale"),
        (mxfp4, "weight_scale"),
    ] {
        let message = refusal(way, &|raw| {
            let scales = raw.get_mut(&name(end)).unwrap();
            let row = scales.bytes.len() / scales.shape[0];
            scales.bytes.truncate(row);
            scales.shape[0] = 1;
        });
        assert!(
            message.contains("of shape [1, ") && message.contains(&name(end)),
            "{message}"
        );
    }
    let message = refusal(nvfp4, &|raw| {
        raw.get_mut(&name("weight_scale")).unwrap().bytes[5] |= 0x80;
    });
    assert!(message.contains("is negative or no number"), "{message}");
    let message = refusal(fp8, &|raw| drop(raw.remove(&name("weight_scale_inv"))));
    assert!(message.contains(&name("weight_scale")), "{message}");
    let message = refusal(nvfp4, &|raw| {
        let factor = raw.get_mut(&name("weight_scale_2")).unwrap();
        factor.bytes.fill(0);
    });
    assert!(message.contains("one number that is not 0"), "{message}");
    let message = refusal(mxfp4, &|raw| {
        let point = Raw::bytes(Dtype::U8, [64, 2], vec![8; 128]);
        raw.insert(name("weight_zero_point"), point);
    });
    assert!(message.contains("with zero points"), "{message}");
    let message = refusal(mxfp4, &|raw| {
        raw.get_mut(&name("weight_packed")).unwrap().dtype = Dtype::I8;
    });
    assert!(message.contains("tensors *.weight_packed"), "{message}");
    // An unwanted tensor need not be whole.
    let dir = model.write(fp8, |raw| {
        let codes = Raw::bytes(Dtype::F8_E4M3, [1, 4], vec![0; 4]);
        raw.insert("model.visual.proj.weight".into(), codes);
    });
    Checkpoint::open(dir).unwrap();
    // Blocks of a size that nobody says.
    let unsaid = Way {
        config: || json!({"quant_method": "fp8"}),
        ..WAYS[0]
    };
    let message = refusal(&unsaid, &|_| ());
    assert!(message.contains("of no blocks of 128 x 128"), "{message}");
}
