//! Checkpoints that are split over several files (llama.cpp's `gguf-split`).
use super::super::CheckpointError;
use super::header::Header;
use std::path::{Path, PathBuf};

/// A file's name taken apart: `PREFIX-00002-of-00003.gguf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SplitName {
    prefix: String,
    /// From 1 on.
    pub part: usize,
    pub parts: usize,
}

impl SplitName {
    /// `None` for a name that is not that of a part.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, parts) = name.rsplit_once("-of-")?;
        let (prefix, part) = rest.rsplit_once('-')?;
        let number = |digits: &str| -> Option<usize> {
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            (digits.len() == 5 && all_digits).then(|| digits.parse().ok())?
        };
        let (part, parts) = (number(part)?, number(parts)?);
        (1..=parts).contains(&part).then(|| Self {
            prefix: prefix.to_owned(),
            part,
            parts,
        })
    }

    /// The file of a part, from 1 on.
    pub fn file(&self, part: usize) -> String {
        format!("{}-{part:05}-of-{:05}.gguf", self.prefix, self.parts)
    }
}

/// The part that a header says it is: which one, from 1 on, of how many. A file that is
/// not split is the only one.
pub(super) fn place_of(header: &Header, path: &Path) -> Result<(usize, usize), CheckpointError> {
    let number = |key: &str, default: usize| match header.metadata.get(key) {
        None => Ok(default),
        Some(value) => value
            .to_size()
            .ok_or_else(|| wrong(path, format!("{key} is no number"))),
    };
    let (index, parts) = (number("split.no", 0)?, number("split.count", 1)?.max(1));
    match index < parts {
        true => Ok((index + 1, parts)),
        false => Err(wrong(path, format!("split.no is {index} of {parts} parts"))),
    }
}

/// The other parts' paths behind a first part's header, in order; none where there is one
/// file.
///
/// Errors: a file that is not the first, or whose name does not say how the others' go.
pub(super) fn others(header: &Header, path: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let (part, parts) = place_of(header, path)?;
    let name = SplitName::of(path).filter(|name| (name.part, name.parts) == (part, parts));
    if part > 1 {
        return Err(CheckpointError::SplitPart {
            path: path.to_owned(),
            part,
            parts,
            first: name.map_or_else(|| format!("the one of 00001-of-{parts:05}"), |n| n.file(1)),
        });
    }
    if parts == 1 {
        return Ok(Vec::new());
    }
    let Some(name) = name else {
        return Err(CheckpointError::SplitName {
            path: path.to_owned(),
            parts,
        });
    };
    Ok((2..=parts)
        .map(|part| path.with_file_name(name.file(part)))
        .collect())
}

pub(super) fn wrong(path: &Path, reason: String) -> CheckpointError {
    CheckpointError::WrongHeader {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_name_gives_the_others() {
        let name = SplitName::of(Path::new("/models/a-b-00002-of-00013.gguf")).unwrap();
        assert_eq!((name.part, name.parts), (2, 13));
        assert_eq!(name.file(1), "a-b-00001-of-00013.gguf");
        for other in [
            "model.gguf",
            "model-00001-of-00002.safetensors",
            "model-00003-of-00002.gguf",
            "model-00000-of-00002.gguf",
            "model-1-of-2.gguf",
            "model-+0001-of-00002.gguf",
        ] {
            assert_eq!(SplitName::of(Path::new(other)), None, "{other}");
        }
    }
}
