//! The files of a checkpoint's folder: those that are read, by the precedence of
//! transformers 5.24 (`_get_resolved_checkpoint_files`), and those that lie beside them.
use super::CheckpointError;
use super::json::read_json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) const INDEX: &str = "model.safetensors.index.json";
const ONE_FILE: &str = "model.safetensors";
/// Weights to add to a model's, of the `peft` package.
const ADAPTER: &str = "adapter_model.safetensors";
const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Endings of files that hold weights in forms which this program does not read.
const OTHER_WEIGHTS: [&str; 9] = [
    ".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".npz", ".onnx", ".pt", ".pth",
];
/// Files of those endings that hold no weights.
const NO_WEIGHTS: [&str; 4] = ["optimizer", "rng_state", "scheduler", "training_args"];

/// The files of weights that a folder's model lies in.
#[derive(Debug, Default)]
pub(super) struct WeightFiles {
    /// Names in the order in which they are read; of a tensor in two the later counts.
    pub names: BTreeSet<String>,
    /// Sentences on the files that are not read.
    pub notes: Vec<String>,
}

/// Finds the weights of the folder `dir` with this config.json: the file that it names
/// (`transformers_weights`), else `model.safetensors`, else what
/// `model.safetensors.index.json` names. Without any of them a set of shards that is
/// whole, or the only file of safetensors, is taken.
///
/// Errors: none of these, said by what there is in their place.
pub(super) fn weight_files(dir: &Path, config: &Value) -> Result<WeightFiles, CheckpointError> {
    let here = names(dir)?;
    let mut notes = Vec::new();
    let names = if let Some(named) = config["transformers_weights"].as_str() {
        let named = Path::new(named)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        match named.ends_with(".index.json") {
            true => indexed(dir, &named)?,
            false => BTreeSet::from([named.into_owned()]),
        }
    } else if here.contains(ONE_FILE) {
        if here.contains(INDEX) {
            notes.push(format!("{INDEX} is not read, since {ONE_FILE} is there"));
        }
        BTreeSet::from([ONE_FILE.to_owned()])
    } else if here.contains(INDEX) {
        indexed(dir, INDEX)?
    } else {
        let found = unnamed(dir, &here)?;
        let first = found.first().cloned().unwrap_or_default();
        notes.push(match found.len() {
            1 => format!("{first} is read as the model: there is no {ONE_FILE}"),
            n => format!("{first} and its other parts, {n} in all, are read: there is no {INDEX}"),
        });
        found
    };
    let beside = here.iter().filter(|name| holds_weights(name));
    let beside: Vec<&str> = beside
        .filter(|name| !names.contains(*name) && !is_adapter(name))
        .map(String::as_str)
        .collect();
    if !beside.is_empty() {
        let read = names.first().map_or("", String::as_str);
        notes.push(format!(
            "not read: {}; the model is {read}{}",
            beside.join(", "),
            if names.len() > 1 {
                " and its other parts"
            } else {
                ""
            }
        ));
    }
    if here.iter().any(|name| is_adapter(name)) {
        notes.push(format!(
            "the adapter ({ADAPTER_CONFIG}) is not applied; to use it, merge it into the model \
             and save that"
        ));
    }
    Ok(WeightFiles { names, notes })
}

/// Names of all files in the folder.
fn names(dir: &Path) -> Result<BTreeSet<String>, CheckpointError> {
    let entries = std::fs::read_dir(dir).map_err(|source| CheckpointError::Io {
        what: "list",
        path: dir.to_owned(),
        source,
    })?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

/// The shards that an index names.
fn indexed(dir: &Path, index: &str) -> Result<BTreeSet<String>, CheckpointError> {
    let path = dir.join(index);
    let invalid = |reason: &str| CheckpointError::Config {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    let json = read_json(&path)?.ok_or_else(|| CheckpointError::Missing { path: path.clone() })?;
    let map = json["weight_map"].as_object();
    let map = map.ok_or_else(|| invalid("it has no weight_map; fetch it again"))?;
    // Only the last component counts: an index must not point outside.
    let files: BTreeSet<String> = map
        .values()
        .filter_map(|file| Path::new(file.as_str()?).file_name()?.to_str())
        .map(str::to_owned)
        .collect();
    match files.is_empty() {
        true => Err(invalid("its weight_map names no file; fetch it again")),
        false => Ok(files),
    }
}

/// Files of weights whose names transformers does not take for the model's.
fn unnamed(dir: &Path, here: &BTreeSet<String>) -> Result<BTreeSet<String>, CheckpointError> {
    let candidates: BTreeSet<String> = here
        .iter()
        .filter(|name| name.ends_with(".safetensors") && !is_adapter(name))
        // Mistral's own format has other names for the tensors.
        .filter(|name| !name.starts_with("consolidated"))
        .cloned()
        .collect();
    let is_whole =
        candidates
            .first()
            .and_then(|name| shard(name))
            .is_some_and(|(stem, _, n_shards)| {
                let of_set = candidates.iter().filter_map(|name| shard(name));
                let of_set = of_set.filter(|(s, _, n)| (*s, *n) == (stem, n_shards));
                candidates.len() == n_shards && of_set.count() == n_shards
            });
    if candidates.len() == 1 && !is_whole && candidates.first().and_then(|n| shard(n)).is_some() {
        return Err(CheckpointError::Folder {
            dir: dir.to_owned(),
            reason: format!(
                "holds one part of a model ({}) and neither the others nor {INDEX}; fetch them",
                candidates.first().map_or("", String::as_str)
            ),
        });
    }
    if candidates.len() == 1 || is_whole {
        return Ok(candidates);
    }
    let reason = if !candidates.is_empty() {
        let all: Vec<&str> = candidates.iter().map(String::as_str).collect();
        format!(
            "holds several files of weights ({}) and neither {ONE_FILE} nor {INDEX} to say which are the model; fetch that index, or take the others away",
            all.join(", ")
        )
    } else if here.iter().any(|name| is_adapter(name)) {
        "holds an adapter alone; merge it into its base model, save that as safetensors and give \
         the result"
            .to_owned()
    } else if let Some(name) = here.iter().find(|name| holds_weights(name)) {
        format!(
            "holds weights as {name} alone, which this program does not read; save the model as \
             {ONE_FILE} (transformers' save_pretrained)"
        )
    } else {
        return Err(CheckpointError::NoFile {
            dir: dir.to_owned(),
            file: "*.safetensors",
        });
    };
    Err(CheckpointError::Folder {
        dir: dir.to_owned(),
        reason,
    })
}

/// The parts of `STEM-00001-of-00002.safetensors`.
fn shard(name: &str) -> Option<(&str, usize, usize)> {
    let (rest, n_shards) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    Some((stem, number.parse().ok()?, n_shards.parse().ok()?))
}

fn is_adapter(name: &str) -> bool {
    name == ADAPTER || name == ADAPTER_CONFIG || name == "adapter_model.bin"
}

fn holds_weights(name: &str) -> bool {
    let is_other = OTHER_WEIGHTS.iter().any(|ending| name.ends_with(ending));
    name.ends_with(".safetensors")
        || is_other && !NO_WEIGHTS.iter().any(|start| name.starts_with(start))
}
