//! Folders of the user's that the program keeps things in.
use std::path::PathBuf;

/// The folder that the variable `own` names; else `egss/NAME` in the one that `xdg` names (of the
/// XDG base directories), or in `below_home` of the home folder. `None`: there is no home.
pub fn user_dir(own: &str, xdg: &str, below_home: &str, name: &str) -> Option<PathBuf> {
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    set(own).or_else(|| {
        let folder = set(xdg).or_else(|| Some(set("HOME")?.join(below_home)))?;
        Some(folder.join("egss").join(name))
    })
}
