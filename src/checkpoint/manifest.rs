//! Which models are known by name, and where their files lie.
//!
//! The entries of `models/*.toml` are built into the program; a file of the
//! same `name` in `$XDG_CONFIG_HOME/egss/models/` takes an entry's place, and
//! any other file there adds one. The gates in `NAME.gate.toml` beside them come before a
//! model's own, each in the place of one on the same signal, so that the rest of an entry can
//! change with the program.
//!
//! A manifest names one file with its SHA-256, or a whole repository of safetensors. A file
//! is fetched by `hub` and gets its name once its checksum is the manifest's; `repository.rs`
//! fetches a repository.
use super::{CheckpointError, ModelConfig, Precision, families};
use crate::base::{Gates, ModelManifest, ModelSource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How the files end that hold gates and no manifest.
const GATE_SUFFIX: &str = ".gate.toml";

/// Gates that were measured here, for a model that is known by its manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptGates {
    /// The manifest's.
    name: String,
    #[serde(rename = "gate")]
    gates: Gates,
}

/// The model taken where none is named.
pub const DEFAULT_MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

/// The `(path, text)` of `models/NAME.toml` for each name.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!("models/", $name, ".toml"),
            include_str!(concat!("../../models/", $name, ".toml")),
        )),*]
    };
}

/// `models/*.toml`, in the order in which they are listed.
const BUILT_IN: &[(&str, &str)] = built_in![
    "qwen2.5-coder-0.5b-instruct-q4_k_m",
    "qwen2.5-coder-0.5b-instruct",
    "qwen2.5-coder-1.5b-instruct-q4_k_m",
    "qwen2.5-coder-1.5b-instruct",
    "qwen2.5-coder-7b-instruct-q4_k_m",
    "qwen2.5-coder-7b-instruct",
    "qwen2.5-coder-32b-instruct",
    "qwen3-0.6b-q8_0",
    "qwen3-0.6b",
    "qwen3-4b-q4_k_m",
    "qwen3-4b",
    "qwen3-8b-q4_k_m",
    "qwen3-8b",
    "qwen3-32b-q4_k_m",
    "qwen3-32b",
    "qwen3-coder-30b-a3b-instruct",
    "glm-4-9b-0414",
    "glm-4.5-air",
    "glm-4.6",
    "kimi-k2-instruct",
    "smollm2-135m-instruct-q4_1",
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

/// The configuration that a manifest writes down; `None` where it writes none.
///
/// Errors: fields that are no configuration of its architecture.
pub fn manifest_config(manifest: &ModelManifest) -> Result<Option<ModelConfig>, CheckpointError> {
    config_in(Path::new(&format!("{}.toml", manifest.name)), manifest)
}

/// Keeps gates for a known model in the user's configuration, in place of those kept
/// before; the file's path. Whatever looks the model up from then on finds them before the
/// model's own.
///
/// Errors: `UnknownModel`; no home to keep it in; a file that cannot be written.
pub fn keep_gates(name: &str, gates: &Gates) -> Result<PathBuf, CheckpointError> {
    let manifest = find_manifest(name)?;
    let dir = config_dir().ok_or(CheckpointError::NoConfigDir)?;
    keep_gates_in(&dir.join("models"), &manifest.name, gates)
}

/// The checkpoint meant by `--model`: a path that exists, else the file, or the
/// directory, of the manifest of that name in the models directory.
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
    let path = models_dir()?.join(manifest.kept_as());
    if path.exists() {
        Ok(path)
    } else {
        let in_packages = manifest.file().is_some_and(|file| file.package.is_some());
        Err(CheckpointError::NotFetched {
            name: manifest.name,
            path,
            in_packages,
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
    let name = path.file_name()?.to_str()?;
    let known = manifests().ok()?;
    let mut files = known.iter().filter_map(ModelManifest::file);
    Some(files.find(|file| file.file == name)?.bytes)
}

/// `$XDG_CONFIG_HOME/egss`, else `~/.config/egss`; `None` without a home.
pub(super) fn config_dir() -> Option<PathBuf> {
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
    let files = user_dir.map(toml_files).unwrap_or_default();
    let is_gate = |path: &PathBuf| path.to_string_lossy().ends_with(GATE_SUFFIX);
    let (gates, models): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(is_gate);
    for path in models {
        let manifest = parse(&path, &read(&path)?)?;
        match all.iter_mut().find(|known| known.name == manifest.name) {
            Some(known) => *known = manifest,
            None => all.push(manifest),
        }
    }
    for path in gates {
        let kept: KeptGates =
            toml::from_str(&read(&path)?).map_err(|e| CheckpointError::Config {
                path: path.clone(),
                reason: format!("not a model's gates: {e}"),
            })?;
        // One whose model is gone is let be: it harms nobody.
        if let Some(known) = all.iter_mut().find(|known| known.name == kept.name) {
            known.gates = kept.gates.or(std::mem::take(&mut known.gates));
        }
    }
    Ok(all)
}

fn keep_gates_in(dir: &Path, name: &str, gates: &Gates) -> Result<PathBuf, CheckpointError> {
    let file = format!("{name}{GATE_SUFFIX}");
    let path = dir.join(&file);
    if Path::new(&file).file_name() != Some(file.as_ref()) {
        let reason = format!("the model's name {name:?} is no file name");
        return Err(CheckpointError::Config { path, reason });
    }
    let kept = KeptGates {
        name: name.to_owned(),
        gates: gates.clone(),
    };
    let text = toml::to_string(&kept).expect("plain data serialises");
    let io = |source| CheckpointError::Io {
        what: "write",
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(io)?;
    // Whole or not at all: half a file would stop every command that looks a model up.
    let mut whole = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    whole.write_all(text.as_bytes()).map_err(io)?;
    whole.persist(&path).map_err(|e| io(e.error))?;
    Ok(path)
}

pub(super) fn read(path: &Path) -> Result<String, CheckpointError> {
    std::fs::read_to_string(path).map_err(|source| CheckpointError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })
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
    if let Some(file) = manifest.file()
        && (file.sha256.len() != 64 || !file.sha256.chars().all(is_hex))
    {
        return Err(invalid("sha256 is not 64 lower-case hex digits".into()));
    }
    // It is written into the models directory, and nowhere else.
    let kept_as = manifest.kept_as();
    if Path::new(kept_as).file_name() != Some(kept_as.as_ref()) {
        let what = manifest.file().map_or("name", |_| "file");
        return Err(invalid(format!("{what} {kept_as:?} is not a plain name")));
    }
    if let ModelSource::Repository { .. } = manifest.source {
        let precision = manifest.precision.as_deref().unwrap_or_default();
        if Precision::of_name(precision).is_none_or(Precision::is_gguf) {
            return Err(invalid(format!(
                "precision {precision:?} of a repository is neither \"bf16\" nor \"fp8\""
            )));
        }
    }
    config_in(path, &manifest)?;
    Ok(manifest)
}

fn config_in(
    path: &Path,
    manifest: &ModelManifest,
) -> Result<Option<ModelConfig>, CheckpointError> {
    let Some(fields) = &manifest.config else {
        return Ok(None);
    };
    let mut fields = fields.clone();
    fields.insert("model_type".into(), manifest.architecture.clone().into());
    let (config, notes) = families::from_json(path, &Value::Object(fields))?;
    match notes.into_iter().next() {
        None => Ok(Some(config)),
        // A manifest is this program's own: nothing in it is passed over.
        Some(reason) => Err(CheckpointError::Config {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// A built-in manifest, whatever the user's configuration has.
#[cfg(test)]
pub(super) fn find_built_in(name: &str) -> ModelManifest {
    let mut all = manifests_with(None).expect("whole manifests").into_iter();
    all.find(|manifest| manifest.name == name).expect(name)
}

#[cfg(test)]
mod tests {
    use super::super::ModelShape;
    use super::*;

    fn text(name: &str) -> &'static str {
        let path = format!("models/{name}.toml");
        let found = BUILT_IN.iter().find(|(built_in, _)| *built_in == path);
        found.expect(name).1
    }

    #[test]
    fn built_in_manifests_are_whole_and_hold_the_default() {
        let all = manifests_with(None).unwrap();
        assert_eq!(all.len(), BUILT_IN.len());
        assert!(all.iter().any(|manifest| manifest.name == DEFAULT_MODEL));
        for manifest in all {
            assert!(families::knows(&manifest.architecture));
            let Some(file) = manifest.file() else {
                continue;
            };
            assert!(file.file.ends_with(".gguf"));
            if let Some(package) = &file.package {
                assert_eq!(package.name.contains("{n}"), package.parts > 1);
            }
        }
    }

    /// How far the published figure may be rounded.
    const PARAMS_TOLERANCE: f64 = 1e-3;
    /// Model cards differ in whether the embedding and the head count as active.
    const ACTIVE_TOLERANCE: f64 = 0.15;

    #[test]
    fn the_shape_of_every_built_in_manifest_has_as_many_parameters_as_it_says() {
        for manifest in manifests_with(None).unwrap() {
            let config = manifest_config(&manifest).unwrap().expect("a shape");
            let shape = ModelShape::new(&config);
            let is_near = |n: u64, said_b: f32, tolerance: f64| {
                let ratio = n as f64 / 1e9 / f64::from(said_b);
                assert!((ratio - 1.0).abs() < tolerance, "{}: {n}", manifest.name);
            };
            is_near(shape.n_weights(), manifest.params_b, PARAMS_TOLERANCE);
            assert_eq!(manifest.active_params_b.is_some(), config.experts.is_some());
            if let Some(active) = manifest.active_params_b {
                is_near(shape.n_active_weights(), active, ACTIVE_TOLERANCE);
            }
        }
    }

    /// From the indices of the published shards (`total_size` of bf16 is two for each),
    /// and for GLM-4.5-Air and Kimi-K2 from the headers of all shards.
    #[test]
    fn parameters_are_those_of_the_published_shards() {
        let published = [
            ("qwen2.5-coder-7b-instruct", 7_615_616_512),
            ("qwen2.5-coder-32b-instruct", 32_763_876_352),
            ("qwen3-4b", 4_022_468_096),
            ("qwen3-8b", 8_190_735_360),
            ("qwen3-32b", 32_762_123_264),
            ("qwen3-coder-30b-a3b-instruct", 30_532_122_624),
            ("glm-4.5-air", 106_852_251_264),
            ("kimi-k2-instruct", 1_026_408_232_448),
        ];
        for (name, n) in published {
            let config = manifest_config(&find_built_in(name)).unwrap().unwrap();
            assert_eq!(ModelShape::new(&config).n_weights(), n, "{name}");
        }
    }

    #[test]
    fn a_users_manifest_replaces_or_adds_one() {
        let dir = tempfile::tempdir().unwrap();
        let ours = text(DEFAULT_MODEL);
        let replaced = ours.replace("Apache-2.0", "MIT");
        std::fs::write(dir.path().join("a.toml"), replaced).unwrap();
        let added = ours.replace(DEFAULT_MODEL, "mine");
        std::fs::write(dir.path().join("b.toml"), added).unwrap();
        let all = manifests_with(Some(dir.path())).unwrap();
        let named: Vec<_> = all.iter().map(|m| (&*m.name, &*m.licence)).collect();
        assert!(named.contains(&(DEFAULT_MODEL, "MIT")));
        assert_eq!(named[BUILT_IN.len()..], [("mine", "Apache-2.0")]);
    }

    #[test]
    fn kept_gates_are_found_with_their_model_and_change_nothing_else() {
        use crate::base::{Gate, GateSignal};
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let gate = |signal, threshold_nats| Gate {
            signal,
            threshold_nats,
            quantile: Some(0.8),
            provenance: "two \"tasks\"; 2026-11-27".into(),
        };
        let [tool, vote] = [GateSignal::Tool, GateSignal::Vote];
        let keep = |name: &str, gates: &[Gate]| {
            keep_gates_in(&models, name, &gates.iter().cloned().collect())
        };
        keep(DEFAULT_MODEL, &[gate(vote, 0.5)]).unwrap();
        let kept = [gate(vote, 0.375), gate(tool, 0.25)];
        let path = keep(DEFAULT_MODEL, &kept).unwrap();
        keep("a-model-that-is-gone", &kept).unwrap();
        let built_in = manifests_with(None).unwrap();
        let mut expected = built_in.clone();
        let default = expected
            .iter_mut()
            .find(|m| m.name == DEFAULT_MODEL)
            .unwrap();
        let own = default.gates.first().unwrap().clone();
        default.gates = kept.into_iter().chain([own]).collect();
        assert_eq!(manifests_with(Some(&models)).unwrap(), expected);
        // The user's own manifest has them too, whatever gates it names itself.
        std::fs::write(models.join("z.toml"), text(DEFAULT_MODEL)).unwrap();
        assert_eq!(manifests_with(Some(&models)).unwrap(), expected);
        std::fs::write(&path, "name = 3").unwrap();
        let error = manifests_with(Some(&models)).unwrap_err().to_string();
        assert!(
            error.contains("gate.toml: not a model's gates: "),
            "{error}"
        );
        assert!(keep("../x", &[gate(vote, 1.0)]).is_err());
    }

    #[test]
    fn a_file_that_is_no_manifest_is_refused_by_name() {
        let refusal = |text: &str| parse(Path::new("m.toml"), text).unwrap_err().to_string();
        assert!(refusal("name = 3").starts_with("m.toml: not a model manifest: "));
        let file = text(DEFAULT_MODEL);
        let outside = file.replace("file = \"", "file = \"../");
        assert!(refusal(&outside).ends_with("is not a plain name"));
        let short = file.replace("cc324a", "");
        assert!(refusal(&short).contains("sha256"));
        let half = file.replace("bytes = ", "# ");
        assert!(refusal(&half).contains("go together: one is missing"));
        let odd = file.replace("file = \"", "size = 3\nfile = \"");
        assert!(refusal(&odd).contains("unknown field `size`"));
        let mixed = file.replace("file = \"", "revision = \"main\"\nfile = \"");
        assert!(refusal(&mixed).contains("`revision` goes with a whole repository"));
    }

    #[test]
    fn a_repository_has_to_say_its_precision_and_shape() {
        let refusal = |text: &str| parse(Path::new("m.toml"), text).unwrap_err().to_string();
        let repository = text("qwen3-8b");
        assert!(
            parse(Path::new("m.toml"), repository)
                .unwrap()
                .file()
                .is_none()
        );
        let without = repository.replace("precision = \"bf16\"\n", "");
        assert!(refusal(&without).contains("gives neither one file"));
        let narrow = repository.replace("\"bf16\"", "\"int3\"");
        assert!(refusal(&narrow).contains("\"int3\" of a repository is neither"));
        let outside = repository.replace("name = \"", "name = \"../");
        assert!(refusal(&outside).contains("name \"../qwen3-8b\" is not a plain name"));
        let odd = repository.replace("head_dim", "n_loops = 2\nhead_dim");
        assert!(refusal(&odd).contains("n_loops: 2"));
        let shapeless = repository.replace("hidden_size = 4096\n", "");
        assert!(refusal(&shapeless).contains("missing field `hidden_size`"));
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
