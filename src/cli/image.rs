//! Names of container images.
use anyhow::Context;
use std::path::Path;

/// The name by which an image is known whatever folder a command starts in: of an archive the
/// whole path.
pub fn whole_name(image: &str) -> anyhow::Result<String> {
    let archive = Path::new(image);
    if !archive.is_file() {
        return Ok(image.to_owned());
    }
    let archive = archive.canonicalize();
    let archive = archive.with_context(|| format!("cannot read {image}"))?;
    Ok(archive.display().to_string())
}
