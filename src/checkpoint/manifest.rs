//! Which models are known by name, and where their files lie.
//!
//! The entries of `models/*.toml` are built into the program; a file of the
//! same `name` in `$XDG_CONFIG_HOME/egss/models/` takes an entry's place, and
//! any other file there adds one.
use super::CheckpointError;
use crate::base::ModelManifest;
use std::path::{Path, PathBuf};

/// The model taken where none is named.
pub const DEFAULT_MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

/// `models/*.toml`, in the order in which they are listed.
const BUILT_IN: [(&str, &str); 2] = [
    (
        "models/qwen2.5-coder-0.5b-instruct-q4_k_m.toml",
        include_str!("../../models/qwen2.5-coder-0.5b-instruct-q4_k_m.toml"),
    ),
    (
        "models/qwen2.5-coder-1.5b-instruct-q4_k_m.toml",
        include_str!("../../models/qwen2.5-coder-1.5b-instruct-q4_k_m.toml"),
    ),
];

/// Every known model: the built-in ones, with the user's own in place of or
/// after them.
///
/// Errors: a file of the user's that is no manifest, by its name.
pub fn manifests() -> Result<Vec<ModelManifest>, CheckpointError> {
    manifests_with(config_dir().map(|dir| dir.join("models")).as_deref())
}

/// The manifest of a name. Errors: `UnknownModel`, with the names there are.
pub fn find_manifest(name: &str) -> Result<ModelManifest, CheckpointError> {
    let mut all = manifests()?;
    match all.iter().position(|manifest| manifest.name == name) {
        Some(index) => Ok(all.swap_remove(index)),
        None => Err(CheckpointError::UnknownModel {
            name: name.to_owned(),
            known: all.into_iter().map(|manifest| manifest.name).collect(),
        }),
    }
}

/// The checkpoint meant by `--model`: a path that exists, else the file of the
/// manifest of that name in the models directory.
///
/// Errors: `UnknownModel`; `NotFetched` with the commands that fetch it.
pub fn resolve(name_or_path: &str) -> Result<PathBuf, CheckpointError> {
    let path = Path::new(name_or_path);
    if path.exists() {
        return Ok(path.to_owned());
    }
    // What cannot be a name is a path that is not there.
    if path.components().count() > 1 || path.extension().is_some_and(|e| e == "gguf") {
        return Err(CheckpointError::Missing {
            path: path.to_owned(),
        });
    }
    let manifest = find_manifest(name_or_path)?;
    let path = models_dir()?.join(&manifest.file);
    if path.exists() {
        Ok(path)
    } else {
        Err(CheckpointError::NotFetched {
            name: manifest.name,
            path,
        })
    }
}

/// Where model files are kept: `$EGSS_MODELS_DIR`, else
/// `$XDG_DATA_HOME/egss/models`, else `~/.local/share/egss/models`.
pub fn models_dir() -> Result<PathBuf, CheckpointError> {
    env_path("EGSS_MODELS_DIR")
        .or_else(|| Some(env_path("XDG_DATA_HOME")?.join("egss/models")))
        .or_else(|| Some(env_path("HOME")?.join(".local/share/egss/models")))
        .ok_or(CheckpointError::NoModelsDir)
}

/// The size that a manifest gives for a file of this name, bytes.
pub(super) fn known_bytes(path: &Path) -> Option<u64> {
    let file = path.file_name()?.to_str()?;
    let known = manifests().ok()?;
    Some(known.iter().find(|manifest| manifest.file == file)?.bytes)
}

/// `$XDG_CONFIG_HOME/egss`, else `~/.config/egss`; `None` without a home.
fn config_dir() -> Option<PathBuf> {
    env_path("XDG_CONFIG_HOME")
        .or_else(|| Some(env_path("HOME")?.join(".config")))
        .map(|dir| dir.join("egss"))
}

/// A directory named by the environment; an empty variable names none.
fn env_path(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    (!value.is_empty()).then(|| value.into())
}

fn manifests_with(user_dir: Option<&Path>) -> Result<Vec<ModelManifest>, CheckpointError> {
    let mut all = BUILT_IN
        .iter()
        .map(|(path, text)| parse(Path::new(path), text))
        .collect::<Result<Vec<_>, _>>()?;
    for path in user_dir.map(toml_files).into_iter().flatten() {
        let text = std::fs::read_to_string(&path).map_err(|source| CheckpointError::Io {
            what: "read",
            path: path.clone(),
            source,
        })?;
        let manifest = parse(&path, &text)?;
        match all.iter_mut().find(|known| known.name == manifest.name) {
            Some(known) => *known = manifest,
            None => all.push(manifest),
        }
    }
    Ok(all)
}

/// The `*.toml` of a directory, sorted; none where there is no directory.
fn toml_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn parse(path: &Path, text: &str) -> Result<ModelManifest, CheckpointError> {
    let invalid = |reason: String| CheckpointError::Config {
        path: path.to_owned(),
        reason,
    };
    let manifest: ModelManifest =
        toml::from_str(text).map_err(|e| invalid(format!("not a model manifest: {e}")))?;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if manifest.sha256.len() != 64 || !manifest.sha256.chars().all(is_hex) {
        return Err(invalid("sha256 is not 64 lower-case hex digits".into()));
    }
    // The file is written into the models directory, and nowhere else.
    if Path::new(&manifest.file).file_name() != Some(manifest.file.as_ref()) {
        return Err(invalid(format!(
            "file {:?} is not a plain name",
            manifest.file
        )));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_manifests_are_whole_and_hold_the_default() {
        let all = manifests_with(None).unwrap();
        assert_eq!(all.len(), BUILT_IN.len());
        assert!(all.iter().any(|manifest| manifest.name == DEFAULT_MODEL));
        for manifest in all {
            super::super::ModelConfig::check_architecture(&manifest.architecture).unwrap();
            assert_eq!(manifest.file, format!("{}.gguf", manifest.name));
            assert!(manifest.package.unwrap().name.contains("{n}"));
        }
    }

    #[test]
    fn a_users_manifest_replaces_or_adds_one() {
        let dir = tempfile::tempdir().unwrap();
        let ours = BUILT_IN[1].1;
        let replaced = ours.replace("Apache-2.0", "MIT");
        std::fs::write(dir.path().join("a.toml"), replaced).unwrap();
        let added = ours.replace(DEFAULT_MODEL, "mine");
        std::fs::write(dir.path().join("b.toml"), added).unwrap();
        let all = manifests_with(Some(dir.path())).unwrap();
        let named: Vec<_> = all.iter().map(|m| (&*m.name, &*m.licence)).collect();
        assert_eq!(named[1..], [(DEFAULT_MODEL, "MIT"), ("mine", "Apache-2.0")]);
    }

    #[test]
    fn a_file_that_is_no_manifest_is_refused_by_name() {
        let refusal = |text: &str| parse(Path::new("m.toml"), text).unwrap_err().to_string();
        assert!(refusal("name = 3").starts_with("m.toml: not a model manifest: "));
        let outside = BUILT_IN[0].1.replace("file = \"", "file = \"../");
        assert!(refusal(&outside).ends_with("is not a plain name"));
        let short = BUILT_IN[0].1.replace("1d9614", "");
        assert!(refusal(&short).contains("sha256"));
    }

    #[test]
    fn unknown_names_and_absent_paths_say_what_there_is() {
        let unknown = resolve("no-such-model").unwrap_err().to_string();
        assert!(unknown.contains(DEFAULT_MODEL), "{unknown}");
        for path in ["no/such/model", "absent.gguf"] {
            assert!(matches!(
                resolve(path).unwrap_err(),
                CheckpointError::Missing { .. }
            ));
        }
    }
}
