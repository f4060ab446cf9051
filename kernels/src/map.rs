//! Files of weights as memory: read-only, in the pages where the system caches them.
use crate::memory::AlignedBytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Bytes of a file, read from it as they are touched. Cloning and slicing share the map;
/// it is given back with the last of them.
///
/// # Hazard
///
/// The bytes are the file's, not a copy. If somebody cuts the file while it is mapped,
/// touching what is gone ends the process with a bus error (SIGBUS); if somebody writes
/// into it, the bytes change. No program can keep others from that. What is done: a map
/// has the length that the file had when it was opened, whoever reads a header holds
/// everything that it promises against that length before touching it, and the program's
/// own downloads are put in a file's place by renaming, which leaves a map of the old
/// file whole.
#[derive(Clone)]
pub struct MappedBytes {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl MappedBytes {
    /// All of a file that is not empty. Cost: no byte is read yet.
    pub fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this process and never written to; what others
        // may do to the file is said above.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self {
            range: 0..map.len(),
            map: Arc::new(map),
        })
    }

    /// A part of them. Panics where it reaches past their end.
    pub fn slice(&self, part: Range<usize>) -> Self {
        assert!(
            part.start <= part.end && part.end <= self.range.len(),
            "{part:?} of {} bytes",
            self.range.len()
        );
        Self {
            map: self.map.clone(),
            range: self.range.start + part.start..self.range.start + part.end,
        }
    }

    /// Some parts one behind the other: where they lie if they are one, else copied
    /// together.
    pub fn gather(&self, parts: &[Range<usize>]) -> WeightBytes {
        if let [only] = parts {
            return WeightBytes::Mapped(self.slice(only.clone()));
        }
        let mut bytes = AlignedBytes::zeroed(parts.iter().map(Range::len).sum());
        let mut rest = &mut *bytes;
        for part in parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(&self[part.clone()]);
            rest = behind;
        }
        WeightBytes::Owned(bytes)
    }

    /// Asks the system to read them in, without waiting for it.
    pub fn read_ahead(&self) {
        // Where it refuses, pages are read as they are touched.
        #[cfg(unix)]
        let _ = self.map.advise_range(
            memmap2::Advice::WillNeed,
            self.range.start,
            self.range.len(),
        );
    }
}

impl Deref for MappedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

/// Bytes of weights.
pub enum WeightBytes {
    /// Where their file has them.
    Mapped(MappedBytes),
    /// In memory of their own.
    Owned(AlignedBytes),
}

impl WeightBytes {
    /// Says that all of them will be wanted soon.
    pub(crate) fn read_ahead(&self) {
        if let Self::Mapped(bytes) = self {
            bytes.read_ahead();
        }
    }
}

impl Deref for WeightBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    /// A file of the bytes 0 to 99, open and without a name. `by` keeps tests that run
    /// side by side apart.
    fn hundred_bytes(by: &str) -> File {
        let path = std::env::temp_dir().join(format!("egss-map-{by}-{}", std::process::id()));
        std::fs::write(&path, Vec::from_iter(0..100)).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn a_part_stays_in_the_file_and_several_are_copied_together() {
        let bytes = MappedBytes::open(&hundred_bytes("parts")).unwrap();
        assert_eq!(bytes.len(), 100);
        let part = bytes.slice(10..30).slice(5..8);
        assert_eq!(*part, [15, 16, 17]);
        let one = part.gather(from_ref(&(1..3)));
        assert!(matches!(one, WeightBytes::Mapped(_)));
        assert_eq!(*one, [16, 17]);
        let two = bytes.gather(&[90..92, 3..5]);
        assert!(matches!(two, WeightBytes::Owned(_)));
        assert_eq!(*two, [90, 91, 3, 4]);
        drop(bytes);
        assert_eq!(*part, [15, 16, 17], "a part keeps its map");
    }

    #[test]
    #[should_panic(expected = "of 4 bytes")]
    fn a_part_past_the_end_of_its_whole_is_refused() {
        let bytes = MappedBytes::open(&hundred_bytes("past")).unwrap();
        bytes.slice(0..4).slice(2..5);
    }
}
