//! One file of packed weights.
//!
//! The matrices one behind the other, each at a multiple of [`ALIGN`] bytes; then an index of
//! them as JSON; then [`END_BYTES`]: where the index begins (u64), its CRC-32 (u32), and
//! [`MAGIC`]. All numbers are little-endian. The end is written last, so a file that was cut
//! has none.
use super::PackedKey;
use egss_kernels::{Format, MappedBytes, PackedMatrix};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const MAGIC: [u8; 8] = *b"EGSSPAK1";
const END_BYTES: usize = 8 + 4 + MAGIC.len();
/// A page: a matrix begins on one of its own.
const ALIGN: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Index {
    key: PackedKey,
    matrices: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    name: String,
    /// [`Format::name`]
    format: String,
    n: usize,
    k: usize,
    factor: f32,
    start: usize,
    /// CRC-32 of its bytes, taken when they were packed.
    crc: u32,
}

/// A file of packed weights, mapped.
pub struct PackedFile {
    map: MappedBytes,
    key: PackedKey,
    matrices: HashMap<String, Entry>,
}

impl PackedFile {
    /// Opens a file whose index is whole and whose matrices all lie within it; `None` for
    /// any other. Cost: the index.
    pub fn open(path: &Path) -> Option<Self> {
        let map = MappedBytes::open(&File::open(path).ok()?).ok()?;
        let end_at = map.len().checked_sub(END_BYTES)?;
        let (start, rest) = map[end_at..].split_first_chunk::<8>()?;
        let (crc, magic) = rest.split_first_chunk::<4>()?;
        let start = usize::try_from(u64::from_le_bytes(*start)).ok()?;
        let index = map.get(start..end_at).filter(|_| magic == MAGIC)?;
        if crc32fast::hash(index) != u32::from_le_bytes(*crc) {
            return None;
        }
        let Index { key, matrices } = serde_json::from_slice(index).ok()?;
        for entry in &matrices {
            let end = entry.start.checked_add(entry.len()?)?;
            if end > start || !entry.start.is_multiple_of(ALIGN) {
                return None;
            }
        }
        let by_name = matrices.into_iter().map(|e| (e.name.clone(), e)).collect();
        Some(Self {
            map,
            key,
            matrices: by_name,
        })
    }

    /// The checkpoint that it was made of.
    pub fn key(&self) -> &PackedKey {
        &self.key
    }

    /// Asks the system to read it in, without waiting for it.
    pub fn read_ahead(&self) {
        self.map.read_ahead();
    }

    /// A matrix, in the file's pages.
    pub fn matrix(&self, name: &str) -> Option<PackedMatrix> {
        let entry = self.matrices.get(name)?;
        let (format, len) = (Format::of_name(&entry.format)?, entry.len()?);
        let bytes = self.map.slice(entry.start..entry.start + len);
        let (n, k) = (entry.n, entry.k);
        Some(PackedMatrix::mapped(format, n, k, entry.factor, bytes))
    }

    /// The first matrix whose bytes are not what was packed. Cost: reads all of them.
    pub fn damaged(&self) -> Option<&str> {
        let is_damaged = |entry: &&Entry| {
            let len = entry.len().unwrap_or_default();
            crc32fast::hash(&self.map[entry.start..entry.start + len]) != entry.crc
        };
        let damaged = self.matrices.values().find(is_damaged);
        damaged.map(|entry| entry.name.as_str())
    }

    /// Writes a file of these matrices; all of it is on disk when this returns.
    pub(super) fn write(
        file: &mut File,
        key: &PackedKey,
        matrices: &[(String, PackedMatrix)],
        on_bytes: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, &mut *file);
        let mut at = 0;
        let mut index = Index {
            key: key.clone(),
            matrices: Vec::new(),
        };
        for (name, matrix) in matrices {
            let bytes = matrix.packed_bytes();
            index.matrices.push(Entry {
                name: name.clone(),
                format: matrix.format().name(),
                n: matrix.n(),
                k: matrix.k(),
                factor: matrix.factor(),
                start: at,
                crc: crc32fast::hash(bytes),
            });
            out.write_all(bytes)?;
            let next = (at + bytes.len()).next_multiple_of(ALIGN);
            out.write_all(&[0; ALIGN][..next - at - bytes.len()])?;
            at = next;
            on_bytes(bytes.len() as u64);
        }
        let index = serde_json::to_vec(&index)?;
        out.write_all(&index)?;
        out.write_all(&(at as u64).to_le_bytes())?;
        out.write_all(&crc32fast::hash(&index).to_le_bytes())?;
        out.write_all(&MAGIC)?;
        out.into_inner()?;
        file.sync_all()
    }
}

impl Entry {
    fn len(&self) -> Option<usize> {
        PackedMatrix::bytes_of(Format::of_name(&self.format)?, self.n, self.k)
    }
}
