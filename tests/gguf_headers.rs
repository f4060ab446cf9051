//! GGUF files written byte by byte: every type of tensor, split ones, and each number of a
//! header that can be wrong. Public reports are named as `repository#number`.
use candle_core::Device;
use egss::checkpoint::Checkpoint;
use egss_kernels::GgmlType;
use std::path::{Path, PathBuf};

const HIDDEN: usize = 256;
const KV: usize = 128;
const VOCAB: usize = 16;

/// A value of the metadata as it is written: its type, then its bytes.
struct Entry {
    key: String,
    kind: u32,
    bytes: Vec<u8>,
}

struct Info {
    name: String,
    /// Innermost first, as in the file.
    dims: Vec<u64>,
    kind: u32,
    bytes: Vec<u8>,
    /// Where its data begins, if not behind the one before it.
    offset: Option<u64>,
}

/// A GGUF file before it is written.
struct Raw {
    magic: [u8; 4],
    version: [u8; 4],
    entries: Vec<Entry>,
    infos: Vec<Info>,
    /// Where tensors begin at multiples of.
    alignment: usize,
    n_entries: Option<u64>,
    n_infos: Option<u64>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Raw {
    fn empty() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3u32.to_le_bytes(),
            entries: Vec::new(),
            infos: Vec::new(),
            alignment: 32,
            n_entries: None,
            n_infos: None,
        }
    }

    /// A whole qwen2 of one layer, all zeros.
    fn model() -> Self {
        let mut raw = Self::empty();
        raw.entry("general.architecture", 8, text("qwen2"));
        for (key, value) in [
            ("block_count", 1),
            ("context_length", 32),
            ("embedding_length", HIDDEN),
            ("feed_forward_length", HIDDEN),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            raw.u32(&format!("qwen2.{key}"), value as u32);
        }
        raw.entry("qwen2.rope.freq_base", 6, 1e4f32.to_le_bytes().into());
        let eps = 1e-6f32.to_le_bytes().into();
        raw.entry("qwen2.attention.layer_norm_rms_epsilon", 6, eps);
        for (name, shape) in [
            ("token_embd.weight", &[VOCAB, HIDDEN][..]),
            ("output_norm.weight", &[HIDDEN]),
            ("blk.0.attn_norm.weight", &[HIDDEN]),
            ("blk.0.ffn_norm.weight", &[HIDDEN]),
            ("blk.0.attn_q.weight", &[HIDDEN, HIDDEN]),
            ("blk.0.attn_k.weight", &[KV, HIDDEN]),
            ("blk.0.attn_v.weight", &[KV, HIDDEN]),
            ("blk.0.attn_q.bias", &[HIDDEN]),
            ("blk.0.attn_k.bias", &[KV]),
            ("blk.0.attn_v.bias", &[KV]),
            ("blk.0.attn_output.weight", &[HIDDEN, HIDDEN]),
            ("blk.0.ffn_gate.weight", &[HIDDEN, HIDDEN]),
            ("blk.0.ffn_up.weight", &[HIDDEN, HIDDEN]),
            ("blk.0.ffn_down.weight", &[HIDDEN, HIDDEN]),
        ] {
            raw.infos.push(Info {
                name: name.into(),
                dims: shape.iter().rev().map(|&size| size as u64).collect(),
                kind: GgmlType::F32.id(),
                bytes: vec![0; 4 * shape.iter().product::<usize>()],
                offset: None,
            });
        }
        raw
    }

    fn entry(&mut self, key: &str, kind: u32, bytes: Vec<u8>) {
        self.entries.push(Entry {
            key: key.into(),
            kind,
            bytes,
        });
    }

    fn u32(&mut self, key: &str, value: u32) {
        self.entry(key, 4, value.to_le_bytes().into());
    }

    fn info(&mut self, name: &str) -> &mut Info {
        let found = self.infos.iter_mut().find(|info| info.name == name);
        found.unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = [self.magic, self.version].concat();
        let n = |given: Option<u64>, len: usize| given.unwrap_or(len as u64).to_le_bytes();
        out.extend(n(self.n_infos, self.infos.len()));
        out.extend(n(self.n_entries, self.entries.len()));
        for Entry { key, kind, bytes } in &self.entries {
            out.extend(text(key));
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
        let mut offset = 0;
        for info in &self.infos {
            out.extend(text(&info.name));
            out.extend((info.dims.len() as u32).to_le_bytes());
            out.extend(info.dims.iter().flat_map(|size| size.to_le_bytes()));
            out.extend(info.kind.to_le_bytes());
            out.extend(info.offset.unwrap_or(offset).to_le_bytes());
            offset += info.bytes.len().next_multiple_of(self.alignment) as u64;
        }
        for info in &self.infos {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&info.bytes);
        }
        out
    }

    fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }
}

#[track_caller]
fn check_refusal(path: &Path, expected: &str) {
    let Err(error) = Checkpoint::open(path) else {
        panic!("accepted where {expected:?} was expected");
    };
    let message = error.to_string();
    assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(message.contains(name), "{message:?} names no file");
    assert!(!message.contains('\n'), "{message:?} is no one sentence");
}

/// A whole model with something changed in it.
#[track_caller]
fn check_change(change: impl FnOnce(&mut Raw), expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut raw = Raw::model();
    change(&mut raw);
    check_refusal(&raw.write(dir.path(), "model.gguf"), expected);
}

/// Blocks of each type and what gguf-py takes them for (scripts/dump_gguf_types.py).
fn references() -> Vec<(GgmlType, Vec<u8>, Vec<f32>)> {
    let path = "kernels/tests/fixtures/ggml_types.bin";
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut rest = file.as_slice();
    let mut take = |len: usize| rest.split_off(..len);
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut references = Vec::new();
    while let Some(id) = take(4).map(word) {
        let kind = GgmlType::of_id(id).unwrap();
        let n_blocks = word(take(4).unwrap()) as usize;
        let n_numbers = word(take(4).unwrap()) as usize;
        let blocks = take(n_blocks * kind.block_bytes()).unwrap().to_vec();
        let numbers = take(4 * n_numbers).unwrap().as_chunks().0;
        let numbers = numbers.iter().map(|v| f32::from_le_bytes(*v)).collect();
        references.push((kind, blocks, numbers));
    }
    references
}

/// The bits of numbers; the same for all that are none.
fn bits(numbers: &[f32]) -> Vec<u32> {
    let of = |&number: &f32| {
        if number.is_nan() {
            u32::MAX
        } else {
            number.to_bits()
        }
    };
    numbers.iter().map(of).collect()
}

/// mistral.rs#2100, #2121, #2117, candle#3462: files of IQ4_NL, IQ4_XS, IQ3_S, IQ2_XS,
/// TQ1_0 and MXFP4 were called cut or damaged.
#[test]
fn a_file_of_any_type_opens_and_has_the_numbers_of_gguf_py() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, blocks, numbers) in references() {
        let mut raw = Raw::model();
        // A matrix and a vector, whose rows are shorter than a block.
        for name in ["blk.0.ffn_down.weight", "blk.0.ffn_norm.weight"] {
            let info = raw.info(name);
            let n: u64 = info.dims.iter().product();
            let len = n as usize / kind.block() * kind.block_bytes();
            info.kind = kind.id();
            info.bytes = blocks.iter().copied().cycle().take(len).collect();
        }
        let path = raw.write(dir.path(), "model.gguf");
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
        let repeated = |n: usize| -> Vec<f32> { numbers.iter().copied().cycle().take(n).collect() };
        let matrix = checkpoint.linear("blk.0.ffn_down.weight", &Device::Cpu);
        let matrix = matrix.unwrap().to_tensor(&Device::Cpu).unwrap();
        assert_eq!(matrix.dims(), [HIDDEN, HIDDEN]);
        let matrix = matrix.to_dtype(candle_core::DType::F32).unwrap();
        let matrix: Vec<f32> = matrix.flatten_all().unwrap().to_vec1().unwrap();
        let want = repeated(HIDDEN * HIDDEN);
        assert!(bits(&matrix) == bits(&want), "{}: matrix", kind.name());
        let vector = checkpoint.floats("blk.0.ffn_norm.weight", &Device::Cpu);
        let vector: Vec<f32> = vector.unwrap().to_vec1().unwrap();
        assert_eq!(bits(&vector), bits(&repeated(HIDDEN)), "{}", kind.name());
    }
}

/// mistral.rs#2100: that a type goes by a wider one is said, once and by name.
#[test]
fn a_type_without_a_kernel_is_noted_with_how_many_tensors_are_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut raw = Raw::model();
    for name in ["blk.0.attn_q.weight", "blk.0.ffn_up.weight"] {
        let info = raw.info(name);
        info.kind = GgmlType::IQ3_S.id();
        info.bytes = vec![0; HIDDEN * GgmlType::IQ3_S.block_bytes()];
    }
    let path = raw.write(dir.path(), "model.gguf");
    let checkpoint = Checkpoint::open(&path).unwrap();
    let [note] = checkpoint.notes() else {
        panic!("{:?}", checkpoint.notes());
    };
    assert!(note.starts_with("IQ3_S (2 tensors)"), "{note}");
    let path = Raw::model().write(dir.path(), "model.gguf");
    assert!(Checkpoint::open(&path).unwrap().notes().is_empty());
}

/// llama.cpp's converter puts the factor of an NVFP4 tensor beside it.
#[test]
fn a_matrix_of_nvfp4_is_multiplied_by_the_factor_beside_it() {
    let name = "blk.0.ffn_down.weight";
    let scalar = |name: &str, numbers: &[f32]| Info {
        name: name.into(),
        dims: vec![numbers.len() as u64],
        kind: GgmlType::F32.id(),
        bytes: numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
        offset: None,
    };
    let with = |kind: GgmlType, others: Vec<Info>| {
        let mut raw = Raw::model();
        let info = raw.info(name);
        info.kind = kind.id();
        // Of NVFP4 all scales are 1/2 and all codes 1/2.
        let block = [[0x38; 4].as_slice(), &[0x11; 32]].concat();
        let len = HIDDEN * HIDDEN / kind.block() * kind.block_bytes();
        info.bytes = block.into_iter().cycle().take(len).collect();
        raw.infos.extend(others);
        let dir = tempfile::tempdir().unwrap();
        let path = raw.write(dir.path(), "model.gguf");
        Checkpoint::open(&path).and_then(|checkpoint| {
            let weight = checkpoint.linear(name, &Device::Cpu)?;
            let tensor = weight.to_tensor(&Device::Cpu).unwrap();
            Ok(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[1000])
        })
    };
    assert_eq!(with(GgmlType::NVFP4, vec![]).unwrap(), 0.5);
    let factors = vec![
        scalar("blk.0.ffn_down.scale", &[3.0]),
        scalar("blk.0.ffn_down.input_scale", &[7.0]),
    ];
    assert_eq!(with(GgmlType::NVFP4, factors).unwrap(), 1.5);
    let refused = |kind, numbers: &[f32]| {
        let beside = vec![scalar("blk.0.ffn_down.scale", numbers)];
        with(kind, beside).unwrap_err().to_string()
    };
    let two = refused(GgmlType::NVFP4, &[1.0, 2.0]);
    assert!(
        two.contains("is of shape [2] where the configuration asks for [1]"),
        "{two}"
    );
    let other = refused(GgmlType::MXFP4, &[2.0]);
    assert!(
        other.contains("uses the tensor \"blk.0.ffn_down.scale\""),
        "{other}"
    );
}

/// mistral.rs#2121: a type that nobody knows is named, and so is what is read.
#[test]
fn an_unknown_type_is_named_with_the_types_that_are_read() {
    let set = |kind: u32| move |raw: &mut Raw| raw.info("blk.0.ffn_up.weight").kind = kind;
    check_change(set(99), "tensor \"blk.0.ffn_up.weight\" of ");
    check_change(
        set(99),
        "is of type 99, which this program does not know; this program reads F32, F16, Q4_0",
    );
    check_change(
        set(31),
        "is of type 31 (Q4_0_4_4, which llama.cpp has given up)",
    );
}

/// ollama#18130: an alignment of 1 or 7 made tensors be read from wrong places.
#[test]
fn an_alignment_that_is_none_is_refused() {
    for alignment in [0, 1, 2, 4, 7, 24, 33, u32::MAX, 1 << 31] {
        check_change(
            |raw| raw.u32("general.alignment", alignment),
            &format!(
                "general.alignment is {alignment}, where a power of two from 8 on is expected"
            ),
        );
    }
    check_change(
        |raw| raw.entry("general.alignment", 8, text("32")),
        "general.alignment is no number",
    );
    for alignment in [8, 64, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let mut raw = Raw::model();
        raw.u32("general.alignment", alignment);
        raw.alignment = alignment as usize;
        raw.info("blk.0.attn_q.bias").bytes = 2f32.to_le_bytes().repeat(HIDDEN);
        let path = raw.write(dir.path(), "model.gguf");
        let bias = Checkpoint::open(&path).unwrap();
        let bias = bias.floats("blk.0.attn_q.bias", &Device::Cpu).unwrap();
        assert_eq!(bias.to_vec1::<f32>().unwrap(), [2.0; HIDDEN], "{alignment}");
    }
}

/// shimmy#170, transformers#32266, wllama#135 and their like: what else a file may be.
#[test]
fn another_kind_of_file_is_called_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        check_refusal(&path, expected);
    };
    let mut raw = Raw::model();
    raw.version = 3u32.to_be_bytes();
    check("big.gguf", &raw.bytes(), "is a big-endian GGUF file");
    raw.magic = *b"FUGG";
    check("gub.gguf", &raw.bytes(), "is a big-endian GGUF file");
    for (version, expected) in [
        (
            4u32,
            "is of GGUF version 4; this program reads versions 2 and 3: take a newer egss",
        ),
        (
            1,
            "is of GGUF version 1; this program reads versions 2 and 3: take a newer file",
        ),
        (0, "is of GGUF version 0"),
    ] {
        let mut raw = Raw::model();
        raw.version = version.to_le_bytes();
        check("v.gguf", &raw.bytes(), expected);
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    check("lfs.gguf", pointer, "is a pointer of Git LFS");
    check(
        "old.gguf",
        b"tjgg\x03\0\0\0",
        "is of a format that llama.cpp had before GGUF",
    );
    check(
        "model.pt",
        b"PK\x03\x04",
        "is a zip archive or a PyTorch file",
    );
    let safetensors = b"\x02\0\0\0\0\0\0\0{}";
    check(
        "model.safetensors",
        safetensors,
        "give the directory that it lies in",
    );
    // Cut by bytes, so that only the first part has a header.
    check(
        "m-00002-of-00003.gguf",
        &[7; 100],
        "is part 2 of 3 of a split checkpoint; give the first part, m-00001-of-00003.gguf",
    );
}

/// Every count, length, offset and dimension is held against the file before it is used.
#[test]
fn a_number_of_the_header_that_cannot_be_is_refused_by_name() {
    for n in [u64::MAX, 1 << 62, 1 << 40, 1 << 32] {
        let expected = |what: &str| format!("it says that {n} {what} follow");
        check_change(|raw| raw.n_infos = Some(n), &expected("tensors"));
        check_change(
            |raw| raw.n_entries = Some(n),
            &expected("entries of metadata"),
        );
        check_change(
            |raw| raw.entry("x", 8, n.to_le_bytes().into()),
            &expected("bytes of x"),
        );
        let array = [&8u32.to_le_bytes()[..], &n.to_le_bytes()].concat();
        check_change(|raw| raw.entry("x", 9, array), &expected("values of x"));
    }
    check_change(
        |raw| raw.entry("x", 13, vec![0; 8]),
        "x is of type 13, which GGUF does not have",
    );
    let array = [&77u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    check_change(
        |raw| raw.entry("x", 9, array),
        "x is of type 77, which GGUF does not have",
    );
    check_change(
        |raw| raw.entry("x", 7, vec![2]),
        "x is 2, where 0 or 1 is expected",
    );
    let nested = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()]
        .concat()
        .repeat(100);
    check_change(
        |raw| raw.entry("x", 9, nested),
        "x has arrays within arrays within arrays",
    );
    check_change(
        |raw| raw.u32("qwen2.block_count", 2),
        "it has the key \"qwen2.block_count\" twice",
    );
    let q = "blk.0.attn_q.weight";
    let dims = |dims: &[u64]| {
        let dims = dims.to_vec();
        move |raw: &mut Raw| raw.info(q).dims = dims
    };
    check_change(
        dims(&[2; 5]),
        "tensor \"blk.0.attn_q.weight\" has 5 dimensions",
    );
    check_change(
        dims(&[0, 256]),
        "tensor \"blk.0.attn_q.weight\" has a dimension of 0",
    );
    check_change(
        dims(&[1 << 40, 1 << 40]),
        "tensor \"blk.0.attn_q.weight\" is larger than any file",
    );
    check_change(dims(&[256, 1 << 30]), "lie over each other");
    check_change(
        |raw| raw.info("blk.0.ffn_down.weight").dims = vec![256, 1 << 30],
        "is cut: ",
    );
    check_change(
        |raw| {
            dims(&[100, 256])(raw);
            raw.info(q).kind = GgmlType::Q8_0.id();
        },
        "has rows of 100 numbers, which Q8_0's blocks of 32 do not divide",
    );
    let offset = |offset: u64| move |raw: &mut Raw| raw.info(q).offset = Some(offset);
    check_change(
        offset(16),
        "begins at 16, which is no multiple of the alignment, 32",
    );
    check_change(offset(0), "lie over each other");
    check_change(offset(u64::MAX - 31), "is larger than any file");
    check_change(offset(1 << 40), "is cut: ");
    check_change(
        |raw| {
            raw.infos.push(Info {
                name: q.into(),
                dims: vec![32],
                kind: 0,
                bytes: vec![0; 128],
                offset: None,
            });
        },
        "it has the tensor \"blk.0.attn_q.weight\" twice",
    );
}

/// A model in three parts in a folder of its own; `change` may change each, from 0 on.
fn split(change: impl Fn(usize, &mut Raw)) -> (tempfile::TempDir, [PathBuf; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = Raw::model();
    whole.info("blk.0.ffn_up.weight").bytes = 3f32.to_le_bytes().repeat(HIDDEN * HIDDEN);
    let n_tensors = whole.infos.len() as i32;
    let mut infos = std::mem::take(&mut whole.infos);
    let mut parts = [whole, Raw::empty(), Raw::empty()];
    // As llama.cpp splits with --no-tensor-first-split: none in the first.
    parts[2].infos = infos.split_off(5);
    parts[1].infos = infos;
    let mut part = 0;
    let paths = parts.map(|mut raw| {
        raw.entry("split.no", 2, (part as u16).to_le_bytes().into());
        raw.entry("split.count", 2, 3u16.to_le_bytes().into());
        raw.entry("split.tensors.count", 5, n_tensors.to_le_bytes().into());
        change(part, &mut raw);
        part += 1;
        raw.write(dir.path(), &format!("m-{part:05}-of-00003.gguf"))
    });
    (dir, paths)
}

/// shimmy#170, transformers#32266, wllama#135: the second part has no architecture.
#[test]
fn a_split_checkpoint_is_opened_by_its_first_part_and_no_other() {
    let (_keep, [first, second, third]) = split(|_, _| ());
    let checkpoint = Checkpoint::open(&first).unwrap();
    let weight = checkpoint.linear("blk.0.ffn_up.weight", &Device::Cpu);
    let weight = weight.unwrap().to_tensor(&Device::Cpu).unwrap();
    let sum = weight.sum_all().unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(sum, (3 * HIDDEN * HIDDEN) as f32);
    let expected = |part: usize| {
        format!(
            "is part {part} of 3 of a split checkpoint; give the first part, m-00001-of-00003.gguf"
        )
    };
    check_refusal(&second, &expected(2));
    check_refusal(&third, &expected(3));
    std::fs::remove_file(&third).unwrap();
    check_refusal(&first, "is split, and part 3 of 3 is not there");
    check_refusal(&first, "m-00003-of-00003.gguf");
    let renamed = first.with_file_name("model.gguf");
    std::fs::rename(&first, &renamed).unwrap();
    check_refusal(&renamed, "its name has to end in -00001-of-00003.gguf");
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let refused = |change: &dyn Fn(usize, &mut Raw), expected: &str| {
        let (_keep, [first, ..]) = split(change);
        let message = Checkpoint::open(&first).err().expect(expected).to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!message.contains('\n'), "{message}");
    };
    let set = |raw: &mut Raw, key: &str, bytes: Vec<u8>| {
        raw.entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .unwrap()
            .bytes = bytes;
    };
    refused(
        &|part, raw| {
            if part == 2 {
                set(raw, "split.no", vec![1, 0]);
            }
        },
        "it is part 2 of 3 by its metadata",
    );
    refused(
        &|part, raw| {
            if part == 1 {
                set(raw, "split.count", vec![4, 0]);
            }
        },
        "it is part 2 of 4 by its metadata",
    );
    refused(
        &|_, raw| set(raw, "split.tensors.count", 15i32.to_le_bytes().into()),
        "its parts have 14 tensors of 15",
    );
    refused(
        &|part, raw| {
            if part == 2 {
                let other = Raw::model().infos.swap_remove(0);
                raw.infos.push(other);
                raw.infos.retain(|info| info.name != "output_norm.weight");
            }
        },
        "another part has the tensor \"token_embd.weight\", too",
    );
    refused(
        &|part, raw| {
            if part == 1 {
                raw.version = [9, 0, 0, 0];
            }
        },
        "is of GGUF version 9",
    );
}
