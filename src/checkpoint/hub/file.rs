//! A file of a repository, and its checksum.
use crate::checkpoint::CheckpointError;
use crate::checkpoint::error::io;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A file of a repository, and what it has to be.
pub(super) struct HubFile {
    /// Within the repository.
    pub name: String,
    pub bytes: u64,
    /// SHA-256, lower-case hex; `None` where the hub gives none: of small text files.
    pub sha256: Option<String>,
    /// The hub's name of the contents.
    pub blob: Option<String>,
}

impl HubFile {
    /// True where the file lies at `path`, whole and right.
    pub fn is_at(&self, path: &Path) -> Result<bool, CheckpointError> {
        Ok(path.exists() && self.misfit(path)?.is_none())
    }

    /// The difference that makes the file at `path` another one, if there is one. Cost: reads it once.
    pub fn misfit(&self, path: &Path) -> Result<Option<String>, CheckpointError> {
        let bytes = path.metadata().map_err(io("read", path))?.len();
        if bytes != self.bytes {
            return Ok(Some(format!("{bytes} bytes, not {}", self.bytes)));
        }
        let Some(expected) = &self.sha256 else {
            return Ok(None);
        };
        let found = sha256_of(path)?;
        Ok((found != *expected).then(|| format!("SHA-256 {found}, not {expected}")))
    }

    /// The name of its `.part`: the contents', so that no other file's is taken up.
    pub fn part_name(&self) -> String {
        // Names of blobs are the hub's words.
        let is_plain = |blob: &&String| blob.chars().all(|c| c.is_ascii_alphanumeric());
        let contents = self.sha256.as_ref().or(self.blob.as_ref());
        let contents = contents.filter(is_plain).cloned();
        let contents =
            contents.unwrap_or_else(|| format!("{}-{}", self.name.replace('/', "--"), self.bytes));
        format!("{contents}.part")
    }
}

/// SHA-256 of a file, lower-case hex. Cost: reads the file once, 1 MiB at a time.
pub fn sha256_of(path: &Path) -> Result<String, CheckpointError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).map_err(io("read", path))? {
            0 => break,
            n => digest.update(&block[..n]),
        }
    }
    Ok(hex(&digest.finalize()))
}

/// SHA-256 of some bytes, lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}
