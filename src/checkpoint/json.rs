//! A JSON file of a checkpoint's folder.
use super::CheckpointError;
use serde_json::Value;
use std::path::Path;

/// Parses a JSON file; `None` if it is not there.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>, CheckpointError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::Io {
                what: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| CheckpointError::Config {
            path: path.to_owned(),
            reason: format!("not JSON: {source}"),
        })
}
