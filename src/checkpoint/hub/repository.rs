//! Fetches a whole repository of sharded safetensors into a directory.
use super::file::HubFile;
use super::remote::Hub;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::error::io;
use serde_json::Value;
use std::path::Path;

/// Endings of the files that a checkpoint is opened with: weights and their index,
/// configurations, tokenizers, chat templates.
const WANTED: [&str; 5] = [".safetensors", ".json", ".jinja", ".model", ".txt"];

/// Fetches the files that make a checkpoint to the directory `target`, which comes to be
/// when all are there: until then they lie in `target` + `.part`. Those that a pull before
/// has brought stay, if they are right.
///
/// All files are of one commit, that of the revision when the pull began. Weights are held
/// against the SHA-256 that the hub has of them; small text files, of which it has none,
/// against their size.
pub(super) fn pull(
    hub: &Hub<'_>,
    target: &Path,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<(), CheckpointError> {
    let (hub, files) = files_of(hub)?;
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let under_way = target.with_file_name(name);
    let here = if target.exists() { target } else { &under_way };
    let mut done = 0;
    let mut missing = Vec::new();
    for file in files {
        if file.is_at(&here.join(&file.name))? {
            done += file.bytes;
            on_progress(done, total);
        } else {
            missing.push(file);
        }
    }
    if missing.is_empty() && here == target {
        return Ok(());
    }
    let mut in_parts = 0;
    for file in &missing {
        in_parts += hub.part_bytes(file);
    }
    hub.check_disk((total - done).saturating_sub(in_parts))?;
    // Half a checkpoint has no name.
    if here == target {
        if under_way.exists() {
            std::fs::remove_dir_all(&under_way).map_err(io("remove", &under_way))?;
        }
        std::fs::rename(target, &under_way).map_err(io("rename", target))?;
    }
    std::fs::create_dir_all(&under_way).map_err(io("create", &under_way))?;
    for file in missing {
        let place = under_way.join(&file.name);
        let dir = place.parent().unwrap_or(&under_way);
        std::fs::create_dir_all(dir).map_err(io("create", dir))?;
        hub.fetch(&file, &place, &mut |bytes| on_progress(done + bytes, total))?;
        done += file.bytes;
    }
    hub.throw_away_parts();
    std::fs::rename(&under_way, target).map_err(io("rename", &under_way))
}

/// The repository at the commit that its revision means now, and what a checkpoint needs
/// of it, small files first: what is wrong with a configuration is soon known.
fn files_of<'a>(hub: &Hub<'a>) -> Result<(Hub<'a>, Vec<HubFile>), CheckpointError> {
    let listing = hub.listing()?;
    let (Some(commit), Some(all)) = (listing["sha"].as_str(), listing["siblings"].as_array())
    else {
        return Err(hub.not_a_hub("its list of files names no commit".into()));
    };
    let mut files = all
        .iter()
        .filter(|file| file["rfilename"].as_str().is_some_and(is_wanted))
        .map(|file| hub_file(hub, file))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| (is_weights(&a.name), &a.name).cmp(&(is_weights(&b.name), &b.name)));
    let has = |found: &dyn Fn(&HubFile) -> bool| files.iter().any(found);
    let missing = if !has(&|file| file.name == "config.json") {
        Some("config.json")
    } else if !has(&|file| is_weights(&file.name)) {
        Some("*.safetensors")
    } else {
        None
    };
    match missing {
        None => Ok((hub.at(commit), files)),
        Some(missing) => Err(CheckpointError::NoCheckpoint {
            repo: hub.repo.clone(),
            missing,
        }),
    }
}

fn hub_file(hub: &Hub<'_>, entry: &Value) -> Result<HubFile, CheckpointError> {
    let name = entry["rfilename"].as_str().unwrap_or_default().to_owned();
    let bytes = entry["lfs"]["size"].as_u64().or(entry["size"].as_u64());
    let bytes = bytes.ok_or_else(|| hub.not_a_hub(format!("it gives no size of {name}")))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let sha256 = text(&entry["lfs"]["sha256"]);
    if is_weights(&name) && sha256.is_none() {
        return Err(hub.not_a_hub(format!("it gives no SHA-256 of {name}")));
    }
    Ok(HubFile {
        name,
        bytes,
        blob: text(&entry["blobId"]),
        sha256,
    })
}

/// Where a repository keeps chat templates of other names than `default`.
const TEMPLATES: &str = "additional_chat_templates/";

/// True for a file that a checkpoint is opened with, at the repository's root or among
/// [`TEMPLATES`], of a name that is nothing but one.
fn is_wanted(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_file = |name: &str| !name.starts_with('.') && name.chars().all(is_plain);
    match name.strip_prefix(TEMPLATES) {
        Some(template) => is_file(template) && template.ends_with(".jinja"),
        None => is_file(name) && WANTED.iter().any(|ending| name.ends_with(ending)),
    }
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_the_directory_and_of_other_kinds_are_left_alone() {
        for name in [
            "config.json",
            "model-00001-of-00004.safetensors",
            "additional_chat_templates/tool_use.jinja",
        ] {
            assert!(is_wanted(name), "{name}");
        }
        let others = [
            "../config.json",
            "original/model.safetensors",
            ".gitattributes",
            ".json",
            "pytorch_model.bin",
            "README.md",
            "a\\b.json",
            "additional_chat_templates/config.json",
            "additional_chat_templates/additional_chat_templates/a.jinja",
            "additional_chat_templates/../a.jinja",
        ];
        for name in others {
            assert!(!is_wanted(name), "{name}");
        }
    }
}
