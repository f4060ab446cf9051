//! An environment as data: `env.toml`.
use super::super::WorkspaceError;
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The needs of the code under test, and how it is installed.
///
/// For example:
///
/// ```toml
/// name = "sympy-1.12"
/// python = "3.9"
/// packages = ["mpmath==1.3.0", "pytest"]
/// install = ["python -m pip install --no-deps -e ."]
/// test = "bin/test -C --verbose"
///
/// [variables]
/// PYTHONWARNINGS = "ignore::UserWarning"
///
/// [[services]]
/// run = "python -m httpbin.core --port 8000"
/// port = 8000
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentSpec {
    /// For people, and the start of the folder's name.
    pub name: String,
    /// A container image, whose files stand in the place of the machine's: a name that Docker
    /// or Podman knows, or the path of an archive of its files (`docker export`). It comes with
    /// everything installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The repository's path in the image; without one, where the image's commands run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<PathBuf>,
    /// The interpreter: a version (`3.9`) or a program's path. Without one there is no virtual
    /// environment, and packages are left to `install`. In an image: a path there, without
    /// one the `python3` of its `PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Requirements as pip takes them, installed in one call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Requirement files of the repository, installed in the same call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<PathBuf>,
    /// Bounds of the packages that other packages are built by, for example `setuptools<46`.
    /// pip knows them since its release 25.3, uv always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub build_constraints: Vec<String>,
    /// A day (`2024-08-01`): packages that were released since are as if they were not there.
    /// Needs uv.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_before: Option<String>,
    /// Commands that change the repository's files before it is installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<String>,
    /// Commands that install the repository in place, run at its root with the network open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub install: Vec<String>,
    /// How the repository is built again after a change of compiled sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Rebuild>,
    /// The command that runs the repository's tests; test files or ids may follow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// The folder below which it takes dotted modules, as unittest does, and not paths; it says
    /// its results as unittest does where it is verbose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_modules: Option<PathBuf>,
    /// Names of hosts that mean the loopback address inside, where services answer for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Variables of every command that runs in the environment; `{environment}` in a value is
    /// its folder, as the variable `EGSS_ENVIRONMENT` is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Programs that run beside every command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
}

/// A command that makes compiled files anew, without a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    pub run: String,
    /// Globs of the files whose change asks for it, for example `*.pyx`; one without a slash
    /// means files of that name in every folder.
    pub when: Vec<String>,
}

/// A program on the loopback address of the command's own network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub run: String,
    /// It is ready when this port takes connections.
    pub port: u16,
}

/// Files that say how a repository is installed. Its other files may change without the
/// environment being another one.
const PACKAGING_FILES: [&str; 15] = [
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "tox.ini",
    "environment.yml",
    "requirements*.txt",
    "package.json",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "Cargo.toml",
    "Cargo.lock",
    "go.mod",
    "go.sum",
];

/// Hexadecimal digits of an environment's id.
const ID_DIGITS: usize = 12;

impl EnvironmentSpec {
    /// Reads an `env.toml`. Errors: it cannot be read, is no TOML, has a field that there is
    /// not, a glob that is none or a path that leads out of the repository.
    pub fn read(path: &Path) -> Result<Self, WorkspaceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| WorkspaceError::io("read", path, source))?;
        let spec: Self = toml::from_str(&text).map_err(|error| {
            WorkspaceError::Environment(format!("{}: {}", path.display(), error.to_string().trim()))
        })?;
        spec.check()
            .map_err(|why| WorkspaceError::Environment(format!("{}: {why}", path.display())))?;
        Ok(spec)
    }

    /// One clause that says what is wrong with it.
    fn check(&self) -> Result<(), String> {
        let leaves = |path: &&PathBuf| {
            let is_plain = |part| matches!(part, std::path::Component::Normal(_));
            !path.components().all(is_plain)
        };
        if let Some(path) = self.requirements.iter().find(leaves) {
            return Err(format!(
                "the requirement file {} must be a path relative to the repository's root",
                path.display()
            ));
        }
        if let Some(folder) = self.test_modules.as_ref().filter(leaves) {
            return Err(format!(
                "`test_modules` {} must be a folder's path relative to the repository's root",
                folder.display()
            ));
        }
        match &self.image {
            Some(image) => self.check_image(image)?,
            None if self.workdir.is_some() => {
                return Err("it names a `workdir` and no `image` that has it".to_owned());
            }
            None => {}
        }
        if self.python.is_none() && !(self.packages.is_empty() && self.requirements.is_empty()) {
            return Err("it names packages and no `python` to install them for".to_owned());
        }
        let is_variable = |name: &&String| {
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if let Some(name) = self.variables.keys().find(|name| !is_variable(name)) {
            return Err(format!("{name:?} is no name of a variable"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if let Some(name) = self.hosts.iter().find(|name| !name.chars().all(is_name)) {
            return Err(format!("{name:?} is no name of a host"));
        }
        match &self.rebuild {
            Some(rebuild) => globs(&rebuild.when).map(drop),
            None => Ok(()),
        }
    }

    fn check_image(&self, image: &str) -> Result<(), String> {
        // An engine would take it for an option.
        if image.is_empty() || image.starts_with('-') || image.contains(char::is_whitespace) {
            return Err(format!("{image:?} is no name of an image"));
        }
        let installs = [
            ("packages", !self.packages.is_empty()),
            ("requirements", !self.requirements.is_empty()),
            ("build_constraints", !self.build_constraints.is_empty()),
            ("released_before", self.released_before.is_some()),
            ("prepare", !self.prepare.is_empty()),
            ("install", !self.install.is_empty()),
        ];
        if let Some((name, _)) = installs.iter().find(|(_, is_set)| *is_set) {
            return Err(format!(
                "an image comes with everything installed; leave out `{name}`, or `image`"
            ));
        }
        let python = self.python.as_deref().map(Path::new);
        let places = [("python", python), ("workdir", self.workdir.as_deref())];
        let is_relative = |path: &Option<&Path>| path.is_some_and(|path| !path.is_absolute());
        match places.iter().find(|(_, path)| is_relative(path)) {
            Some((name, _)) => Err(format!("`{name}` must be a whole path in the image")),
            None => Ok(()),
        }
    }

    /// The environment that an image is.
    ///
    /// Error: a clause on the name.
    pub fn of_image(image: &str) -> Result<Self, String> {
        // `registry/owner/name:tag` and `folder/name.tar` alike.
        let name = image.rsplit('/').next().unwrap_or(image);
        let spec = Self {
            name: name.split([':', '@']).next().unwrap_or(name).to_owned(),
            image: Some(image.to_owned()),
            ..Self::default()
        };
        spec.check()?;
        Ok(spec)
    }

    /// Variables of every command that runs in the environment at `dir`.
    pub(super) fn variables_in(&self, dir: &Path) -> Vec<(String, String)> {
        let folder = dir.to_string_lossy().into_owned();
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("{environment}", &folder)));
        let mut all: Vec<_> = own.collect();
        all.push(("EGSS_ENVIRONMENT".to_owned(), folder));
        all
    }

    /// `env.toml`'s text.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain data serialises")
    }

    /// The name of the environment that this makes of the repository at `tree`: by content, so
    /// that the same one is never built twice. For example `sympy-1.12-0f3a91c2b7de`.
    pub fn id(&self, tree: &Path) -> Result<String, WorkspaceError> {
        let mut digest = Sha256::new();
        digest.update(serde_json::to_vec(self).expect("plain data serialises"));
        let is_input = self.inputs();
        for path in super::super::walk::files(tree)? {
            let Ok(path) = String::from_utf8(path) else {
                continue;
            };
            if is_input(&path) {
                let file = tree.join(&path);
                let bytes = std::fs::read(&file)
                    .map_err(|source| WorkspaceError::io("read", &file, source))?;
                digest.update(path.as_bytes());
                digest.update([0]);
                digest.update(Sha256::digest(bytes));
            }
        }
        let digest: String = digest
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name: String = self.name.chars().filter(|c| is_plain(*c)).collect();
        let name = name.trim_start_matches(['.', '-']);
        let name = if name.is_empty() { "env" } else { name };
        Ok(format!("{name}-{}", &digest[..ID_DIGITS]))
    }

    /// True for files that the environment hangs on.
    fn inputs(&self) -> impl Fn(&str) -> bool + use<> {
        let named = PACKAGING_FILES.map(str::to_owned);
        let named = globs(&named).expect("they are globs");
        let compiled = self.compiled();
        let files = self.requirements.clone();
        move |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            // Of packages that are vendored or test data there may be any number.
            let depth = path.matches('/').count();
            (depth <= 1 && named.is_match(name))
                || compiled.is_match(path)
                || files.iter().any(|file| file == Path::new(path))
        }
    }

    /// The sources whose change asks for [`Self::rebuild`].
    pub fn compiled(&self) -> GlobSet {
        let when = self.rebuild.as_ref().map(|rebuild| &rebuild.when[..]);
        globs(when.unwrap_or_default()).unwrap_or_default()
    }
}

/// A glob without a slash means a name in every folder.
fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let anywhere = match pattern.contains('/') {
            true => pattern.clone(),
            false => format!("**/{pattern}"),
        };
        set.add(Glob::new(&anywhere).map_err(|error| format!("{pattern:?} is no glob: {error}"))?);
    }
    set.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        dir
    }

    #[test]
    fn an_environment_is_another_one_where_what_it_hangs_on_differs() {
        let spec = EnvironmentSpec {
            name: "a b/../c".into(),
            python: Some("3.9".into()),
            requirements: vec!["ci/needs.txt".into()],
            rebuild: Some(Rebuild {
                run: "make".into(),
                when: vec!["*.pyx".into()],
            }),
            ..EnvironmentSpec::default()
        };
        let files = [
            ("setup.py", "1"),
            ("pkg/m.py", "1"),
            ("pkg/fast.pyx", "1"),
            ("ci/needs.txt", "1"),
        ];
        let id = spec.id(tree(&files).path()).unwrap();
        assert!(id.starts_with("ab..c-"), "{id}");
        for (changed, is_another) in [
            ("setup.py", true),
            ("pkg/m.py", false),
            ("pkg/fast.pyx", true),
            ("ci/needs.txt", true),
        ] {
            let changed =
                files.map(|(path, text)| (path, if path == changed { "2" } else { text }));
            let other = spec.id(tree(&changed).path()).unwrap();
            assert_eq!(other != id, is_another, "{changed:?}");
        }
        let more = EnvironmentSpec {
            packages: vec!["six".into()],
            ..spec.clone()
        };
        assert_ne!(more.id(tree(&files).path()).unwrap(), id);
    }

    #[test]
    fn a_file_that_is_none_is_told_in_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env.toml");
        for (text, says) in [
            ("pyton = \"3.9\"", "unknown field `pyton`"),
            ("packages = [\"six\"]", "no `python` to install them for"),
            (
                "requirements = [\"../x\"]\npython = \"3\"",
                "relative to the repository's root",
            ),
            ("[variables]\n\"a b\" = \"1\"", "is no name of a variable"),
            ("image = \"--privileged\"", "is no name of an image"),
            (
                "image = \"a:1\"\ninstall = [\"make\"]",
                "comes with everything installed; leave out `install`",
            ),
            (
                "image = \"a\"\npython = \"3.9\"",
                "a whole path in the image",
            ),
            ("workdir = \"/testbed\"", "no `image` that has it"),
            ("[rebuild]\nrun = \"make\"\nwhen = [\"[\"]", "is no glob"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = EnvironmentSpec::read(&file).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.contains("env.toml"), "{error}");
        }
    }

    #[test]
    fn a_spec_that_was_written_reads_the_same() {
        let spec = EnvironmentSpec {
            name: "x".into(),
            python: Some("3.9".into()),
            install: vec!["pip install -e .".into()],
            variables: [("A".to_owned(), "b".to_owned())].into(),
            services: vec![Service {
                run: "serve".into(),
                port: 80,
            }],
            ..EnvironmentSpec::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env.toml");
        std::fs::write(&file, spec.to_toml()).unwrap();
        assert_eq!(EnvironmentSpec::read(&file).unwrap(), spec);
    }
}
