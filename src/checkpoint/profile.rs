//! Which agent profile a model gets: by name, from the user's configuration, from its
//! manifest, or the standard one.
use super::CheckpointError;
use super::manifest::{config_dir, find_manifest, read};
use crate::base::AgentProfile;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The field of a profile's table that names the one it differs from.
const BASE: &str = "profile";

/// The agent's profile for `model`, as `--model` names it.
///
/// `asked` is `--profile`: a built-in name, a file `agents/NAME.toml` of the user's
/// configuration, or a path to such a file. Without it: the user's `agents/MODEL.toml`,
/// then the manifest's `[agent]`, then `standard`.
///
/// Errors: a name that is none, a table that is no profile; a file's name is said.
pub fn find_profile(asked: Option<&str>, model: &str) -> Result<AgentProfile, CheckpointError> {
    let dir = config_dir().map(|dir| dir.join("agents"));
    let of_user = |name: &str| -> Option<PathBuf> {
        let is_name = Path::new(name).components().count() == 1;
        let file = dir.as_ref()?.join(format!("{name}.toml"));
        (is_name && file.is_file()).then_some(file)
    };
    if let Some(name) = asked {
        if let Some(profile) = AgentProfile::built_in(name) {
            return Ok(profile);
        }
        let as_path = Some(PathBuf::from(name)).filter(|path| path.is_file());
        return match of_user(name).or(as_path) {
            Some(file) => from_file(&file),
            None => Err(CheckpointError::UnknownProfile {
                name: name.to_owned(),
                known: AgentProfile::BUILT_IN.join(", "),
            }),
        };
    }
    if let Some(file) = of_user(model) {
        return from_file(&file);
    }
    let manifest = find_manifest(model).ok();
    match manifest.and_then(|manifest| manifest.agent) {
        Some(table) => from_table(Path::new(&format!("{model}.toml")), table),
        None => Ok(AgentProfile::standard()),
    }
}

fn from_file(path: &Path) -> Result<AgentProfile, CheckpointError> {
    let table: Map<String, Value> =
        toml::from_str(&read(path)?).map_err(|e| CheckpointError::Config {
            path: path.to_owned(),
            reason: format!("not an agent's profile: {e}"),
        })?;
    from_table(path, table)
}

/// A table of what differs from the profile that its field `profile` names.
fn from_table(path: &Path, mut table: Map<String, Value>) -> Result<AgentProfile, CheckpointError> {
    let invalid = |reason: String| CheckpointError::Config {
        path: path.to_owned(),
        reason,
    };
    let base = match table.remove(BASE) {
        None => AgentProfile::standard(),
        Some(Value::String(name)) => AgentProfile::built_in(&name).ok_or_else(|| {
            let known = AgentProfile::BUILT_IN.join(" or ");
            invalid(format!(
                "there is no profile {name:?} to start from; name {known}"
            ))
        })?,
        Some(other) => return Err(invalid(format!("`profile` is {other}, not a name"))),
    };
    if !table.is_empty() && !table.contains_key("name") {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        table.insert("name".into(), stem.into());
    }
    base.with(&table)
        .map_err(|why| invalid(format!("not an agent's profile: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ToolForm;

    fn table(text: &str) -> Result<AgentProfile, CheckpointError> {
        from_table(Path::new("mine.toml"), toml::from_str(text).unwrap())
    }

    #[test]
    fn a_table_names_its_base_and_what_differs() {
        assert_eq!(table("").unwrap(), AgentProfile::standard());
        assert_eq!(table("profile = \"small\"").unwrap(), AgentProfile::small());
        let mine = table("profile = \"small\"\n[limits]\nsteps_max = 20\n").unwrap();
        assert_eq!((mine.name.as_str(), mine.limits.steps_max), ("mine", 20));
        assert!(mine.tools.contains(&ToolForm::EditSymbol));
        let refused = |text: &str| table(text).unwrap_err().to_string();
        assert!(refused("profile = \"tiny\"").contains("small or standard"));
        assert!(refused("step_max = 1").contains("mine.toml"));
        let sampler = |change: &str| {
            let given = "temperature = 1.0\ntop_p = 1.0\ntop_k = 0\nmin_p = 0.0\n";
            let (name, _) = change.split_once(' ').unwrap();
            let others = given.lines().filter(|line| !line.starts_with(name));
            let others: Vec<&str> = others.collect();
            refused(&format!("[sampling]\n{}\n{change}\n", others.join("\n")))
        };
        for wrong in ["temperature = -1.0", "top_p = 2.0", "min_p = -0.1"] {
            let (name, _) = wrong.split_once(' ').unwrap();
            assert!(sampler(wrong).contains(name), "{}", sampler(wrong));
        }
    }

    #[test]
    fn models_up_to_3b_are_small_and_others_are_not() {
        for manifest in crate::checkpoint::manifests().unwrap() {
            let profile = find_profile(None, &manifest.name).unwrap();
            let wanted = if manifest.params_b < 3.0 {
                "small"
            } else {
                "standard"
            };
            assert_eq!(profile.name, wanted, "{}", manifest.name);
        }
        let unknown = find_profile(Some("tiny"), "x").unwrap_err().to_string();
        assert!(unknown.contains("small, standard"), "{unknown}");
    }
}
