//! What a sandbox shows beside the interpreter, and Rust's toolchain as that.
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Paths and variables that commands need of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Shown read-only, under their own paths.
    pub roots: Vec<PathBuf>,
    /// Folders of programs, searched before the system's.
    pub bin: Vec<PathBuf>,
    pub env: Vec<(&'static str, PathBuf)>,
}

impl Toolchain {
    /// Rust's: rustup's toolchains, cargo's programs, its configuration and what
    /// it has fetched, by `RUSTUP_HOME` and `CARGO_HOME` or in the home folder;
    /// cargo's credentials are not among it. With it the folder of
    /// `cargo-nextest`, looked for on the `PATH`, at cargo's and in `beside`.
    ///
    /// The error is a sentence that says what is missing and what to do.
    pub fn rust(beside: &Path) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let place = |name: &str, folder: &str| {
            let set = std::env::var_os(name).filter(|value| !value.is_empty());
            set.map(PathBuf::from)
                .or_else(|| Some(home.as_ref()?.join(folder)))
                .filter(|dir| dir.is_dir())
        };
        let (cargo, rustup) = (
            place("CARGO_HOME", ".cargo"),
            place("RUSTUP_HOME", ".rustup"),
        );
        Self::rust_at(&path, cargo.as_deref(), rustup.as_deref(), beside)
    }

    fn rust_at(
        path: &OsStr,
        cargo_home: Option<&Path>,
        rustup_home: Option<&Path>,
        beside: &Path,
    ) -> Result<Self, String> {
        let mut folders: Vec<PathBuf> = cargo_home.iter().map(|dir| dir.join("bin")).collect();
        folders.extend(std::env::split_paths(path).filter(|dir| dir.is_absolute()));
        folders.push(beside.to_owned());
        let holding = |program: &str| {
            let mut found = folders.iter().filter(|dir| dir.join(program).is_file());
            found.next().cloned()
        };
        let cargo = holding("cargo").ok_or_else(|| {
            "the repository is a Rust package and cargo was not found: install a Rust toolchain \
             with rustup, or give a command of your own with --test-cmd"
                .to_owned()
        })?;
        let nextest = holding("cargo-nextest").ok_or_else(|| {
            "the tests of a Rust package are run by cargo-nextest, which is not installed: run \
             scripts/setup --nextest or `cargo install --locked cargo-nextest`"
                .to_owned()
        })?;
        let mut roots = BTreeSet::from([nextest.join("cargo-nextest")]);
        let mut env = Vec::new();
        if let Some(home) = cargo_home {
            env.push(("CARGO_HOME", home.to_owned()));
            let parts = ["bin", "registry", "git", "config.toml", "config"];
            roots.extend(parts.map(|part| home.join(part)));
        }
        if let Some(home) = rustup_home {
            env.push(("RUSTUP_HOME", home.to_owned()));
            // Without the last one rustup would make it, and may not.
            let parts = ["toolchains", "settings.toml", "update-hashes"];
            roots.extend(parts.map(|part| home.join(part)));
            // A toolchain may be a link to a build elsewhere.
            let linked = home.join("toolchains").read_dir().into_iter().flatten();
            let linked = linked.flatten().filter(|entry| entry.path().is_symlink());
            roots.extend(linked.filter_map(|entry| entry.path().canonicalize().ok()));
        }
        let mut bin = vec![cargo];
        if !bin.contains(&nextest) {
            bin.push(nextest);
        }
        roots.retain(|path| path.exists());
        Ok(Self {
            roots: roots.into_iter().collect(),
            bin,
            env,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_nextest_is_told_in_one_sentence_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let none = Toolchain::rust_at(OsStr::new(""), None, None, dir.path()).unwrap_err();
        assert!(none.contains("rustup"), "{none}");
        std::fs::write(dir.path().join("cargo"), "").unwrap();
        let none = Toolchain::rust_at(dir.path().as_os_str(), None, None, dir.path()).unwrap_err();
        assert!(none.contains("scripts/setup --nextest"), "{none}");
        assert!(!none.contains('\n') && !none.contains("  "), "{none}");
    }

    #[test]
    fn cargos_credentials_are_not_shown() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("bin")).unwrap();
        std::fs::create_dir_all(home.path().join("registry")).unwrap();
        for file in [
            "bin/cargo",
            "bin/cargo-nextest",
            "credentials.toml",
            "config.toml",
        ] {
            std::fs::write(home.path().join(file), "").unwrap();
        }
        let found = Toolchain::rust_at(OsStr::new(""), Some(home.path()), None, Path::new("/none"));
        let found = found.unwrap();
        assert_eq!(found.bin, [home.path().join("bin")]);
        let shown = ["bin", "bin/cargo-nextest", "config.toml", "registry"];
        assert_eq!(found.roots, shown.map(|part| home.path().join(part)));
    }
}
