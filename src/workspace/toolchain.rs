//! Folders that a sandbox shows beside the interpreter: the toolchains of Rust, Go and Node.
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// Both, this one's programs first.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.roots.extend(other.roots);
        self.bin.extend(other.bin);
        self.env.extend(other.env);
        self
    }

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

    /// Go's: its own tree and the modules that it has fetched, by `go env` of the `go`
    /// on the `PATH`. Inside nothing is fetched and no other toolchain is taken.
    ///
    /// The error is a sentence that says what is missing and what to do.
    pub fn go() -> Result<Self, String> {
        Self::go_at(&std::env::var_os("PATH").unwrap_or_default())
    }

    fn go_at(path: &OsStr) -> Result<Self, String> {
        let missing = "the repository is a Go module and go was not found: install it \
                       (scripts/setup --languages) or give a command of your own with --test-cmd";
        let go = program("go", path).ok_or_else(|| missing.to_owned())?;
        let said = output_of(&go, &["env", "GOROOT", "GOMODCACHE"])
            .ok_or_else(|| format!("{} does not start: `go env` fails", go.display()))?;
        let mut lines = said.lines().map(PathBuf::from);
        let (root, modules) = (lines.next().unwrap_or_default(), lines.next());
        let mut roots = vec![root.clone()];
        let fixed = [
            ("GOPROXY", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GOENV", "off"),
            ("GOTELEMETRY", "off"),
        ];
        let mut env: Vec<_> = fixed.map(|(name, set)| (name, PathBuf::from(set))).into();
        if let Some(modules) = modules.filter(|dir| dir.is_dir()) {
            env.push(("GOMODCACHE", modules.clone()));
            roots.push(modules);
        }
        Ok(Self {
            roots,
            bin: vec![root.join("bin")],
            env,
        })
    }

    /// Node's: the program that `node` on the `PATH` is, and what was installed with it.
    /// A project's own packages are in its workspace.
    ///
    /// The error is a sentence that says what is missing and what to do.
    pub fn node() -> Result<Self, String> {
        Self::node_at(&std::env::var_os("PATH").unwrap_or_default())
    }

    fn node_at(path: &OsStr) -> Result<Self, String> {
        let missing = "the repository is a JavaScript package and node was not found: install it \
                       (scripts/setup --languages) or give a command of your own with --test-cmd";
        let node = program("node", path).ok_or_else(|| missing.to_owned())?;
        let line = "console.log(process.execPath + '\\n' + process.versions.node)";
        let said = output_of(&node, &["-e", line])
            .ok_or_else(|| format!("{} does not start: `node -e` fails", node.display()))?;
        let (place, version) = said.trim().split_once('\n').unwrap_or((said.trim(), ""));
        let mut numbers = version.split('.').map_while(|n| n.parse().ok());
        let version_is = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version_is < NODE_MIN {
            let (major, minor) = NODE_MIN;
            return Err(format!(
                "node is {version} and has to be {major}.{minor} or newer to run tests: install a \
                 newer one, or give a command of your own with --test-cmd"
            ));
        }
        let bin = Path::new(place)
            .parent()
            .unwrap_or(Path::new("/"))
            .to_owned();
        // `PREFIX/bin/node` has npm and its like in `PREFIX/lib/node_modules`, to which
        // links in `bin` lead. A program that stands alone is shown alone.
        let packages = bin.join("../lib/node_modules").canonicalize();
        let roots = match packages {
            Ok(packages) => vec![bin.clone(), packages],
            Err(_) => vec![PathBuf::from(place)],
        };
        Ok(Self {
            roots,
            bin: vec![bin],
            env: Vec::new(),
        })
    }
}

/// The first Node whose `node --test` writes JUnit XML.
const NODE_MIN: (u32, u32) = (20, 9);

/// A program on a search path.
fn program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let mut places = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    places.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()))
}

/// What a program of the user's own prints, run where no project's settings apply.
fn output_of(program: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null());
    let output = command.env("GOTOOLCHAIN", "local").output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    String::from_utf8(text).ok()
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

    /// A program of this name that prints `said`.
    fn program_that_prints(dir: &Path, name: &str, said: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = dir.join(name);
        std::fs::write(&file, format!("#!/bin/sh\nprintf '{said}'\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_missing_or_old_tool_of_another_language_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().as_os_str();
        program_that_prints(dir.path(), "other", "");
        let none = [Toolchain::go_at(path), Toolchain::node_at(path)].map(Result::unwrap_err);
        for said in none {
            assert!(said.contains("scripts/setup --languages"), "{said}");
            assert!(!said.contains('\n') && !said.contains("  "), "{said}");
        }
        program_that_prints(dir.path(), "node", "/x/bin/node\\n18.20.4\\n");
        let old = Toolchain::node_at(path).unwrap_err();
        assert!(
            old.starts_with("node is 18.20.4 and has to be 20.9"),
            "{old}"
        );
        program_that_prints(dir.path(), "node", "/x/bin/node\\n20.9.0\\n");
        assert_eq!(Toolchain::node_at(path).unwrap().bin, [Path::new("/x/bin")]);
        program_that_prints(dir.path(), "go", "/x/go\\n/nowhere\\n");
        let go = Toolchain::go_at(path).unwrap();
        assert_eq!(
            (go.bin, go.roots),
            (vec!["/x/go/bin".into()], vec!["/x/go".into()])
        );
        assert!(go.env.contains(&("GOPROXY", "off".into())));
    }
}
