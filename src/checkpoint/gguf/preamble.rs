//! The first bytes of a file: whether it is a GGUF file that this program reads, and what
//! else it may be.
use super::super::CheckpointError;
use super::split::SplitName;
use std::path::Path;

/// The versions that are read.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// How other files begin that are given in a GGUF file's place, what they are, and what to
/// do instead.
const OTHERS: [(&[u8], &str, &str); 9] = [
    (b"version https://git-lfs", LFS, LFS_INSTEAD),
    (b"ggjt", OLDER, OLDER_INSTEAD),
    (b"tjgg", OLDER, OLDER_INSTEAD),
    (b"lmgg", OLDER, OLDER_INSTEAD),
    (b"fmgg", OLDER, OLDER_INSTEAD),
    (b"algg", OLDER, OLDER_INSTEAD),
    (b"FUGG", BIG_ENDIAN, BIG_ENDIAN_INSTEAD),
    (
        b"PK\x03\x04",
        "a zip archive or a PyTorch file",
        PYTORCH_INSTEAD,
    ),
    (b"\x1f\x8b", "compressed by gzip", "unpack it first"),
];

const LFS: &str = "a pointer of Git LFS to the weights";
const LFS_INSTEAD: &str = "run `git lfs pull` in its repository, or fetch the file itself";
const OLDER: &str = "of a format that llama.cpp had before GGUF";
const OLDER_INSTEAD: &str = "take a GGUF file of the model";
const BIG_ENDIAN: &str = "a big-endian GGUF file";
const BIG_ENDIAN_INSTEAD: &str =
    "take a little-endian one, or convert it by gguf-py's `gguf-convert-endian`";
const PYTORCH_INSTEAD: &str = "unpack it, or take the model's GGUF file or safetensors";

/// Checks magic and version, which a header's reader takes for granted.
pub(super) fn check(file: &[u8], path: &Path) -> Result<(), CheckpointError> {
    let path_buf = || path.to_owned();
    if !file.starts_with(b"GGUF") {
        return Err(not_gguf(file, path));
    }
    let Some(version) = file.get(4..8) else {
        return Err(CheckpointError::Damaged {
            path: path_buf(),
            reason: "it ends within the GGUF header".into(),
        });
    };
    let found = u32::from_le_bytes(version.try_into().expect("four bytes"));
    // The bytes of a version are the same in both orders only if they are all alike.
    if VERSIONS.contains(&found) {
        Ok(())
    } else if found.swap_bytes() <= 0xffff && found > 0xffff {
        Err(other(path, BIG_ENDIAN, BIG_ENDIAN_INSTEAD))
    } else {
        Err(CheckpointError::GgufVersion {
            path: path_buf(),
            found,
        })
    }
}

fn not_gguf(file: &[u8], path: &Path) -> CheckpointError {
    if let Some((_, what, instead)) = OTHERS.iter().find(|(start, ..)| file.starts_with(start)) {
        return other(path, what, instead);
    }
    // A safetensors file: its header's length, then JSON.
    if file.get(8) == Some(&b'{') && path.extension().is_some_and(|e| e == "safetensors") {
        return other(
            path,
            "a file of safetensors",
            "give the directory that it lies in",
        );
    }
    // A file that was cut by bytes has a header in its first part only.
    match SplitName::of(path) {
        Some(name) if name.part > 1 => CheckpointError::SplitPart {
            path: path.to_owned(),
            part: name.part,
            parts: name.parts,
            first: name.file(1),
        },
        _ => CheckpointError::NotGguf {
            path: path.to_owned(),
        },
    }
}

fn other(path: &Path, what: &'static str, instead: &'static str) -> CheckpointError {
    CheckpointError::OtherFile {
        path: path.to_owned(),
        what,
        instead,
    }
}
