//! A checkpoint opened for reading, whichever kind it is.
use super::gguf::GgufFile;
use super::names::{Layout, Place, Wanted, wanted};
use super::packed::{Keeper, Keeping, Packed, PackedFolder};
use super::random::RandomWeights;
use super::safetensors_dir::SafetensorsDir;
use super::stored::{Stored, TensorEntry, Weight, candle_type};
use super::{
    ChatTemplate, CheckpointError, ModelConfig, RopeScaling, Tokenizer, ends, families, manifest,
    random, templates,
};
use candle_core::{D, Device, Tensor};
use egss_kernels::{GgmlType, PackedMatrix};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

enum Source {
    Gguf(GgufFile),
    Safetensors(SafetensorsDir),
    /// Nobody's weights: see [`Checkpoint::random`].
    Random(RandomWeights),
}

type OnProgress = Box<dyn Fn(u64, u64) + Send + Sync>;

/// An open checkpoint: its configuration is validated and every tensor of its
/// architecture is there, whole and of the right shape. Its files are mapped: weights are
/// read when asked for, and those that a CPU takes as the file has them stay in its pages.
/// Drop the checkpoint once the model has them, which ends the maps that nobody needs.
pub struct Checkpoint {
    source: Source,
    config: ModelConfig,
    /// What the decoder takes, by name.
    wanted: HashMap<String, Wanted>,
    /// Sentences for the user: see [`Checkpoint::notes`].
    notes: Vec<String>,
    on_progress: Option<OnProgress>,
    /// Its weights in the order of a CPU's kernels, if those are kept.
    packed: Option<Packed>,
    /// Bytes of weights handed out so far, and in all.
    bytes_done: AtomicU64,
    bytes_total: u64,
}

impl Checkpoint {
    /// Name of the embedding, `[V, E]`; with tied embeddings also of the LM head.
    pub const EMBEDDING: &str = "token_embd.weight";

    /// Opens a GGUF file, or a directory with config.json and `*.safetensors`.
    ///
    /// Reads headers only. Errors: every way in which a file is missing, cut,
    /// damaged or of an architecture that this program does not run.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut source = if path.is_dir() {
            Source::Safetensors(SafetensorsDir::open(path)?)
        } else if path.exists() {
            Source::Gguf(GgufFile::open(path, manifest::known_bytes)?)
        } else {
            return Err(CheckpointError::Missing {
                path: path.to_owned(),
            });
        };
        let (config, notes) = match &mut source {
            Source::Gguf(gguf) => families::from_gguf(gguf)?,
            Source::Safetensors(dir) => dir.config()?,
            Source::Random(_) => unreachable!("a path is no random checkpoint"),
        };
        let mut open = Self::of(source, config)?;
        open.notes.splice(0..0, notes);
        Ok(open)
    }

    /// A model's shape by name (`qwen3-8b`, `tiny`, ...) with random weights and a
    /// vocabulary of single bytes; with `:q4_k_m` or `:q8_0` behind the name quantised.
    ///
    /// Errors: `NoShape` for a name that is none.
    pub fn random(name: &str) -> Result<Self, CheckpointError> {
        match RandomWeights::of_name(name) {
            Some(weights) => {
                let config = weights.config.clone();
                Self::of(Source::Random(weights), config)
            }
            None => Err(CheckpointError::NoShape {
                asked: name.to_owned(),
                known: random::names(),
            }),
        }
    }

    fn of(mut source: Source, config: ModelConfig) -> Result<Self, CheckpointError> {
        let mut notes = Vec::new();
        let wanted = match &mut source {
            Source::Gguf(gguf) => {
                let wanted = wanted(&config, Layout::Gguf(&|name| gguf.has(name)));
                let mut tensors: HashSet<&str> =
                    wanted.iter().map(|w| w.place.tensor.as_str()).collect();
                if matches!(config.rotary.scaling, RopeScaling::Divided { .. }) {
                    tensors.insert(families::DIVISORS);
                }
                gguf.refuse_others(&tensors, config.n_layers)?;
                notes.extend(Tokenizer::note_of_gguf(gguf));
                wanted
            }
            Source::Random(_) => wanted(&config, Layout::Gguf(&|_| false)),
            Source::Safetensors(dir) => {
                let wanted = wanted(&config, Layout::Safetensors);
                for wanted in &wanted {
                    dir.check(&wanted.place.tensor)?;
                }
                let tensors = wanted.iter().map(|w| w.place.tensor.as_str()).collect();
                notes.extend(dir.note_others(&tensors, config.n_layers));
                wanted
            }
        };
        let wanted = wanted.into_iter();
        let mut open = Self {
            source,
            config,
            wanted: wanted.map(|w| (w.name.clone(), w)).collect(),
            notes,
            on_progress: None,
            packed: None,
            bytes_done: AtomicU64::new(0),
            bytes_total: 0,
        };
        // By name, so that the same file is refused for the same tensor each time.
        let mut all: Vec<&Wanted> = open.wanted.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for wanted in all {
            open.check_shape(wanted)?;
            open.bytes_total += open.wanted_bytes(wanted);
        }
        open.notes.extend(open.note_of_widths());
        Ok(open)
    }

    /// True where matrices are drawn as floats when they are asked for, which the device
    /// that wants them does fastest.
    pub fn draws_floats(&self) -> bool {
        matches!(&self.source, Source::Random(random) if !random.precision.is_gguf())
    }

    /// Calls `on_progress(bytes done, bytes in all)` after each tensor read.
    #[must_use]
    pub fn with_progress(mut self, on_progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Takes weights from a folder of packed ones if they are there, and else keeps them there
    /// once they are packed. A checkpoint of other files than GGUF's stays as it is: most of
    /// their weights need no packing.
    #[must_use]
    pub fn with_packed(mut self, folder: PackedFolder) -> Self {
        // If a key cannot be made, the files are about to be refused for a better reason.
        if let Source::Gguf(gguf) = &self.source
            && let Ok(key) = gguf.packed_key()
        {
            self.packed = Some(match folder.find(&key) {
                Some(file) => {
                    file.read_ahead();
                    Packed::Found(file)
                }
                None => Packed::Gathered(Keeper::new(folder, key)),
            });
        }
        self
    }

    /// True where its weights come packed.
    pub fn is_packed(&self) -> bool {
        matches!(self.packed, Some(Packed::Found(_)))
    }

    /// Takes note of a packed matrix, for the folder of [`Checkpoint::with_packed`].
    pub fn note_packed(&self, name: &str, matrix: &PackedMatrix) {
        if let Some(Packed::Gathered(keeper)) = &self.packed {
            keeper.take(name, matrix);
        }
    }

    /// Writes the packed matrices that were noted, on a thread of its own; `None` where there
    /// are none.
    pub fn keep_packed(&self) -> Option<Keeping> {
        match &self.packed {
            Some(Packed::Gathered(keeper)) => keeper.write(),
            _ => None,
        }
    }

    /// The file or directory that was opened.
    pub fn path(&self) -> &Path {
        match &self.source {
            Source::Gguf(gguf) => gguf.path(),
            Source::Safetensors(dir) => dir.path(),
            Source::Random(random) => &random.path,
        }
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Sentences for the user on how the checkpoint is taken: parts that are not read, types
    /// that are widened.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The types whose matrices become wider in memory than they are in the file.
    fn note_of_widths(&self) -> Option<String> {
        let mut widened: BTreeMap<u32, (GgmlType, BTreeSet<&str>)> = BTreeMap::new();
        for wanted in self.wanted.values().filter(|wanted| wanted.is_product()) {
            if let Some(Stored::Blocks(kind)) = self.stored(wanted)
                && kind.format(wanted.shape[1]).is_none()
                && candle_type(kind).is_none()
            {
                let (_, tensors) = widened.entry(kind.id()).or_insert((kind, BTreeSet::new()));
                tensors.insert(&wanted.place.tensor);
            }
        }
        let widened: Vec<String> = widened
            .into_values()
            .map(|(kind, tensors)| format!("{} ({} tensors)", kind.name(), tensors.len()))
            .collect();
        (!widened.is_empty()).then(|| {
            format!(
                "{} widened as read, on a CPU to 16 bits a weight: no kernel multiplies rows of that type and length",
                widened.join(", ")
            )
        })
    }

    /// How a tensor is written; `None` where that is in a way that is not read.
    fn stored(&self, wanted: &Wanted) -> Option<Stored> {
        match &self.source {
            Source::Gguf(gguf) => gguf.stored(&wanted.place.tensor),
            Source::Safetensors(dir) => dir.stored(&wanted.place.tensor),
            Source::Random(random) => Some(random.stored(wanted).0),
        }
    }

    /// Bytes of all weights as they lie in the file.
    pub fn weight_bytes(&self) -> u64 {
        self.bytes_total
    }

    /// A matrix by name (`blk.0.attn_q.weight`, `output.weight`), `[out, in]`: quantised
    /// or floats, as the file has it (on a device FP8 and GGUF's floats as f32).
    ///
    /// Errors: `NoTensor`, also for `output.weight` where the embeddings are
    /// tied: use [`Checkpoint::EMBEDDING`] again there.
    pub fn linear(&self, name: &str, device: &Device) -> Result<Weight, CheckpointError> {
        let wanted = self.find(name)?;
        let Wanted { place, shape, .. } = wanted;
        if let Some(Packed::Found(file)) = &self.packed
            && let Some(matrix) = file.matrix(name)
        {
            self.report(name);
            return Ok(Weight::Packed(matrix));
        }
        let weight = match &self.source {
            Source::Gguf(gguf) if place.transposed => {
                Weight::Plain(gguf_floats(gguf, wanted, device)?)
            }
            Source::Gguf(gguf) => gguf.matrix(place, shape, device)?,
            Source::Safetensors(dir) => dir.matrix(place, shape, device)?,
            Source::Random(random) => {
                let matrix = random.matrix(wanted, device);
                matrix.map_err(|source| CheckpointError::Tensor {
                    name: name.to_owned(),
                    source,
                })?
            }
        };
        self.report(name);
        Ok(weight)
    }

    /// A norm's weight, a bias, or a matrix that goes into no product of rows, by name:
    /// f32.
    pub fn floats(&self, name: &str, device: &Device) -> Result<Tensor, CheckpointError> {
        let wanted = self.find(name)?;
        let Wanted { place, shape, .. } = wanted;
        let floats = match &self.source {
            Source::Gguf(gguf) => gguf_floats(gguf, wanted, device)?,
            Source::Safetensors(dir) => dir.tensor(place, shape, device)?,
            Source::Random(_) => random_tensor(name, shape, device)?
                .to_dtype(candle_core::DType::F32)
                .map_err(|source| CheckpointError::Tensor {
                    name: name.to_owned(),
                    source,
                })?,
        };
        self.report(name);
        Ok(floats)
    }

    /// The tokenizer that came with the weights.
    pub fn tokenizer(&self) -> Result<Tokenizer, CheckpointError> {
        match &self.source {
            Source::Gguf(gguf) => Tokenizer::from_gguf(gguf, self.config.vocab),
            Source::Safetensors(dir) => Tokenizer::of_dir(dir, self.config.vocab),
            Source::Random(random) => Tokenizer::of_bytes(&random.path, self.config.vocab),
        }
    }

    /// The chat template that came with the weights.
    ///
    /// Errors: `Template` where there is none, or where it is not Jinja.
    pub fn chat_template(&self) -> Result<ChatTemplate, CheckpointError> {
        match &self.source {
            Source::Gguf(gguf) => templates::of_gguf(gguf),
            Source::Safetensors(dir) => templates::of_dir(dir),
            Source::Random(_) => ChatTemplate::new(random::TEMPLATE, "", Tokenizer::END_OF_BYTES),
        }
    }

    /// Ids that end a text, the main one first (Qwen2.5: `<|im_end|>`, `<|endoftext|>`).
    pub fn eos_token_ids(&self) -> Result<Vec<u32>, CheckpointError> {
        match &self.source {
            Source::Gguf(gguf) => Ok(ends::eos_of_gguf(gguf)),
            Source::Safetensors(dir) => ends::eos_of_dir(dir, self.config.vocab),
            Source::Random(_) => Ok(vec![256]),
        }
    }

    /// The id to put before every text; `None` where texts begin with none (Qwen).
    pub fn bos_token_id(&self) -> Result<Option<u32>, CheckpointError> {
        match &self.source {
            Source::Gguf(gguf) => Ok(ends::bos_of_gguf(gguf)),
            Source::Safetensors(dir) => ends::bos_of_dir(dir),
            Source::Random(_) => Ok(None),
        }
    }

    /// All tensors that a decoder takes, in no order.
    pub fn tensors(&self) -> impl Iterator<Item = TensorEntry> {
        self.wanted.values().map(|wanted| {
            // What cannot be read is refused when it is, with its name.
            let stored = self.stored(wanted).unwrap_or(Stored::F32);
            let entry = TensorEntry::new(wanted, stored, self.wanted_bytes(wanted));
            TensorEntry {
                // What is drawn is in no file.
                is_one_piece: entry.is_one_piece && !matches!(self.source, Source::Random(_)),
                ..entry
            }
        })
    }

    fn find(&self, name: &str) -> Result<&Wanted, CheckpointError> {
        self.wanted
            .get(name)
            .ok_or_else(|| CheckpointError::NoTensor {
                path: self.path().to_owned(),
                name: name.to_owned(),
            })
    }

    /// Refuses a tensor that is not there, or that is of other sizes.
    fn check_shape(&self, wanted: &Wanted) -> Result<(), CheckpointError> {
        let Place { tensor, shape, .. } = &wanted.place;
        let found = match &self.source {
            Source::Gguf(gguf) => gguf.shape(tensor),
            Source::Safetensors(dir) => dir.shape(tensor),
            Source::Random(_) => return Ok(()),
        };
        let path = self.path().to_owned();
        let name = tensor.to_owned();
        match found {
            None => Err(CheckpointError::NoTensor { path, name }),
            Some(found) if found == shape.as_slice() => Ok(()),
            Some(found) => Err(CheckpointError::Shape {
                path,
                name,
                found: found.to_vec(),
                expected: shape.clone(),
            }),
        }
    }

    /// Bytes that a tensor takes in the file.
    fn wanted_bytes(&self, wanted: &Wanted) -> u64 {
        let place = &wanted.place;
        let tensor = &place.tensor;
        let whole = match &self.source {
            Source::Gguf(gguf) => gguf.tensor_bytes(tensor),
            Source::Safetensors(dir) => dir.tensor_bytes(tensor),
            Source::Random(random) => return random.stored(wanted).1,
        };
        let n_wanted: usize = place.ranges().iter().map(Range::len).sum();
        whole / place.n_rows().max(1) as u64 * n_wanted as u64
    }

    fn report(&self, name: &str) {
        let bytes = self.wanted.get(name).map_or(0, |w| self.wanted_bytes(w));
        let done = self.bytes_done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(on_progress) = &self.on_progress {
            on_progress(done, self.bytes_total);
        }
    }
}

fn random_tensor(name: &str, shape: &[usize], device: &Device) -> Result<Tensor, CheckpointError> {
    random::tensor(name, shape, device).map_err(|source| CheckpointError::Tensor {
        name: name.to_owned(),
        source,
    })
}

/// A tensor as f32 numbers, each of its matrices upright.
fn gguf_floats(
    gguf: &GgufFile,
    wanted: &Wanted,
    device: &Device,
) -> Result<Tensor, CheckpointError> {
    let Wanted { name, shape, place } = wanted;
    if !place.transposed {
        return gguf.floats(place, shape, device);
    }
    let tensor = gguf.floats(place, &place.shape, device)?;
    tensor
        .transpose(D::Minus2, D::Minus1)
        .and_then(|upright| upright.contiguous()?.reshape(shape.as_slice()))
        .map_err(|source| CheckpointError::Tensor {
            name: name.to_owned(),
            source,
        })
}
