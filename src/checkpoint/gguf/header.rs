//! The header of a GGUF file: metadata, and where its tensors lie. Every number is held
//! against the file's size, or the format's rules, before it is used.
//!
//! Source: the format's specification (ggml's `docs/gguf.md`), and `gguf.cpp`, which
//! refuses what the specification leaves open.
use super::super::CheckpointError;
use super::Value;
use egss_kernels::GgmlType;
use std::collections::HashMap;
use std::path::Path;

/// Where tensors begin at multiples of, unless the metadata says otherwise, bytes.
const ALIGNMENT: usize = 32;

/// Every alignment is a multiple of it, bytes (the specification's).
const ALIGNMENT_UNIT: usize = 8;

/// Most dimensions of a tensor (ggml's `GGML_MAX_DIMS`).
const DIMS_MAX: usize = 4;

/// Most arrays within each other; llama.cpp writes none.
const NESTED_MAX: usize = 4;

/// Bytes of the shortest entry of the metadata: an empty key's length, a type, a byte.
const ENTRY_BYTES_MIN: usize = 8 + 4 + 1;

/// Bytes of the shortest tensor's entry: a name's length, no dimension, a type, an offset.
const INFO_BYTES_MIN: usize = 8 + 4 + 4 + 8;

/// The contents of a header.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: HashMap<String, Value>,
    pub tensors: HashMap<String, TensorInfo>,
}

/// One tensor, within its file.
#[derive(Debug)]
pub(super) struct TensorInfo {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    pub kind: Kind,
    /// `[start, end)` in the file, bytes; an empty one where the type is unknown.
    pub extent: (u64, u64),
}

/// A tensor's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Known(GgmlType),
    /// By its number: how long it is nobody knows.
    Unknown(u32),
}

impl Header {
    /// Reads the header of a file of `bytes`, which begins as a GGUF file of versions 2
    /// or 3 does.
    pub fn read(
        bytes: &[u8],
        path: &Path,
        known_bytes: KnownBytes,
    ) -> Result<Self, CheckpointError> {
        let mut reader = Reader {
            bytes,
            path,
            known_bytes,
            // Behind the magic and the version.
            at: 8,
        };
        let n_tensors = reader.count("tensors", INFO_BYTES_MIN)?;
        let n_entries = reader.count("entries of metadata", ENTRY_BYTES_MIN)?;
        let mut metadata = HashMap::with_capacity(n_entries);
        for _ in 0..n_entries {
            let key = reader.string("a key")?;
            let kind = reader.u32(&key)?;
            let value = reader.value(&key, kind, 0)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(reader.wrong(format!("it has the key {key:?} twice")));
            }
        }
        let alignment = reader.alignment(metadata.get("general.alignment"))?;
        let mut infos = Vec::with_capacity(n_tensors);
        for _ in 0..n_tensors {
            infos.push(reader.info(alignment)?);
        }
        let start = reader.at.next_multiple_of(alignment) as u64;
        let tensors = reader.place(infos, start)?;
        Ok(Self { metadata, tensors })
    }
}

/// Gives the size that a file has by its name, bytes; `None` where it is not known.
pub(in super::super) type KnownBytes = fn(&Path) -> Option<u64>;

/// A tensor's entry as it stands: its offset counts from where the data begins.
struct Entry {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    /// Bytes of a tensor of a known type.
    len: Option<u64>,
    offset: u64,
}

/// A header, read up to `at`.
struct Reader<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    known_bytes: KnownBytes,
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], CheckpointError> {
        match self.bytes[self.at..].get(..len) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => Err(self.ends(format!("it ends within {what}"))),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], CheckpointError> {
        let bytes = self.take(N, what)?;
        Ok(*bytes.first_chunk().expect("as many as were asked for"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// How many things follow, each of `bytes_min` bytes or more.
    fn count(&mut self, what: &str, bytes_min: usize) -> Result<usize, CheckpointError> {
        let count = self.u64(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() / bytes_min => Ok(count),
            _ => Err(self.ends(format!("it says that {count} {what} follow"))),
        }
    }

    fn string(&mut self, what: &str) -> Result<String, CheckpointError> {
        let len = self.count(&format!("bytes of {what}"), 1)?;
        let bytes = self.take(len, what)?;
        // Some writers end texts as C does; some vocabularies have tokens that are no UTF-8.
        let end = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |i| i + 1);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn value(&mut self, key: &str, kind: u32, depth: usize) -> Result<Value, CheckpointError> {
        let what = key;
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.array(what)?)),
            1 => Value::I8(i8::from_le_bytes(self.array(what)?)),
            2 => Value::U16(u16::from_le_bytes(self.array(what)?)),
            3 => Value::I16(i16::from_le_bytes(self.array(what)?)),
            4 => Value::U32(self.u32(what)?),
            5 => Value::I32(i32::from_le_bytes(self.array(what)?)),
            6 => Value::F32(f32::from_le_bytes(self.array(what)?)),
            7 => match self.array(what)? {
                [byte @ (0 | 1)] => Value::Bool(byte == 1),
                [byte] => {
                    return Err(self.wrong(format!("{key} is {byte}, where 0 or 1 is expected")));
                }
            },
            8 => Value::String(self.string(what)?),
            9 if depth == NESTED_MAX => {
                return Err(self.wrong(format!("{key} has arrays within arrays within arrays")));
            }
            9 => {
                let kind = self.u32(what)?;
                let bytes_min = self.bytes_min(key, kind)?;
                let n = self.count(&format!("values of {key}"), bytes_min)?;
                let mut values = Vec::with_capacity(n);
                for _ in 0..n {
                    values.push(self.value(key, kind, depth + 1)?);
                }
                Value::Array(values)
            }
            10 => Value::U64(self.u64(what)?),
            11 => Value::I64(i64::from_le_bytes(self.array(what)?)),
            12 => Value::F64(f64::from_le_bytes(self.array(what)?)),
            _ => return Err(self.unknown_kind(key, kind)),
        })
    }

    /// Bytes of the shortest value of a type.
    fn bytes_min(&self, key: &str, kind: u32) -> Result<usize, CheckpointError> {
        Ok(match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 4 + 8,
            _ => return Err(self.unknown_kind(key, kind)),
        })
    }

    fn alignment(&self, value: Option<&Value>) -> Result<usize, CheckpointError> {
        let alignment = match value {
            None => Some(ALIGNMENT),
            Some(value) => value.to_size(),
        };
        let usable = alignment
            .filter(|a| a.is_power_of_two() && a.is_multiple_of(ALIGNMENT_UNIT))
            // No file is aligned to more than it holds.
            .filter(|&a| a <= self.bytes.len() || a == ALIGNMENT);
        usable.ok_or_else(|| {
            let said = alignment.map_or_else(|| "no number".into(), |a| a.to_string());
            self.wrong(format!(
                "general.alignment is {said}, where a power of two from {ALIGNMENT_UNIT} on is expected"
            ))
        })
    }

    fn info(&mut self, alignment: usize) -> Result<Entry, CheckpointError> {
        let name = self.string("a tensor's name")?;
        let n_dims = self.u32(&name)? as usize;
        if n_dims > DIMS_MAX {
            return Err(self.wrong(format!("tensor {name:?} has {n_dims} dimensions")));
        }
        let mut shape = Vec::with_capacity(n_dims);
        for _ in 0..n_dims {
            let size = self.u64(&name)?;
            match usize::try_from(size) {
                Ok(size) if size > 0 => shape.push(size),
                _ => {
                    return Err(self.wrong(format!("tensor {name:?} has a dimension of {size}")));
                }
            }
        }
        // A file has the innermost dimension first.
        let columns = shape.first().copied().unwrap_or(1);
        shape.reverse();
        let id = self.u32(&name)?;
        let (kind, len) = match GgmlType::of_id(id) {
            None => (Kind::Unknown(id), None),
            Some(kind) => {
                if !columns.is_multiple_of(kind.block()) {
                    return Err(self.wrong(format!(
                        "tensor {name:?} has rows of {columns} numbers, which {}'s blocks of {} do not divide",
                        kind.name(),
                        kind.block()
                    )));
                }
                let n = shape
                    .iter()
                    .try_fold(1u64, |n, &size| n.checked_mul(size as u64));
                let len = n
                    .and_then(|n| (n / kind.block() as u64).checked_mul(kind.block_bytes() as u64));
                let Some(len) = len else {
                    return Err(self.wrong(format!("tensor {name:?} is larger than any file")));
                };
                (Kind::Known(kind), Some(len))
            }
        };
        let offset = self.u64(&name)?;
        if !offset.is_multiple_of(alignment as u64) {
            return Err(self.wrong(format!(
                "tensor {name:?} begins at {offset}, which is no multiple of the alignment, {alignment}"
            )));
        }
        Ok(Entry {
            name,
            shape,
            kind,
            len,
            offset,
        })
    }

    /// The tensors' places in the file, whose data begins at `start`.
    fn place(
        &self,
        mut entries: Vec<Entry>,
        start: u64,
    ) -> Result<HashMap<String, TensorInfo>, CheckpointError> {
        entries.sort_by_key(|entry| entry.offset);
        let mut tensors = HashMap::with_capacity(entries.len());
        let mut last: Option<(String, u64)> = None;
        for Entry {
            name,
            shape,
            kind,
            len,
            offset,
        } in entries
        {
            let begin = start.checked_add(offset);
            let end = begin.and_then(|begin| begin.checked_add(len.unwrap_or(0)));
            let (Some(begin), Some(end)) = (begin, end) else {
                return Err(self.wrong(format!("tensor {name:?} is larger than any file")));
            };
            if let Some((before, before_ends)) = &last
                && begin < *before_ends
            {
                return Err(self.wrong(format!(
                    "tensors {before:?} and {name:?} lie over each other"
                )));
            }
            last = Some((name.clone(), end));
            let info = TensorInfo {
                shape,
                kind,
                extent: (begin, end),
            };
            if tensors.insert(name.clone(), info).is_some() {
                return Err(self.wrong(format!("it has the tensor {name:?} twice")));
            }
        }
        let want = last.map_or(0, |(_, end)| end);
        let have = self.bytes.len() as u64;
        match have < want {
            true => Err(CheckpointError::Cut {
                path: self.path.to_owned(),
                have,
                want,
            }),
            false => Ok(tensors),
        }
    }

    fn unknown_kind(&self, key: &str, kind: u32) -> CheckpointError {
        self.wrong(format!("{key} is of type {kind}, which GGUF does not have"))
    }

    /// The header goes on behind the file's end.
    fn ends(&self, reason: String) -> CheckpointError {
        // Within a cut header the file's whole size cannot be read; a file that a
        // manifest knows by name still has one.
        let (path, have) = (self.path.to_owned(), self.bytes.len() as u64);
        let want = (self.known_bytes)(self.path);
        match want.filter(|&want| have < want) {
            Some(want) => CheckpointError::Cut { path, have, want },
            None => CheckpointError::Damaged {
                path,
                reason: format!(
                    "its header cannot be read to the end of the {} bytes that are there ({reason})",
                    super::super::error::Grouped(have)
                ),
            },
        }
    }

    /// The header says something that no GGUF file can.
    fn wrong(&self, reason: String) -> CheckpointError {
        CheckpointError::WrongHeader {
            path: self.path.to_owned(),
            reason,
        }
    }
}
