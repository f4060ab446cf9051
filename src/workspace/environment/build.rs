//! Building an environment: the one place where commands see a network.
use super::super::{CommandEnd, Limits, Sandbox, SandboxMode, Toolchain, WorkspaceError};
use super::artefacts::{Inventory, all_files, copy_files};
use super::interpreter::find_interpreter;
use super::layout::{
    ARTEFACTS_DIR, BUILT_FILE, HOSTS_FILE, IMAGE_DIR, LOG_FILE, SPEC_FILE, VENV_DIR,
};
use super::{Built, Environment, EnvironmentSpec, EnvironmentStore, ImageFacts, image};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The path of the repository inside an environment.
const SEEN_AT: &str = "/workspace";

/// Of one command of a build: compilers take much of each.
const LIMITS: Limits = Limits {
    wall_s_max: 3_600,
    memory_bytes_max: 12 << 30,
    processes_max: 512,
    file_bytes_max: 8 << 30,
    output_bytes_max: 4 << 20,
};

/// Below an environment's folder: bounds of the packages that others are built by.
const BUILD_CONSTRAINTS_FILE: &str = "build-constraints.txt";

/// Lines of a command's output that go into a message.
const TAIL_LINES: usize = 3;

/// A build to be.
pub struct BuildRequest<'a> {
    pub spec: &'a EnvironmentSpec,
    /// A copy of the repository, which is written to.
    pub tree: &'a Path,
    /// For people: where the repository came from.
    pub repository: &'a str,
    /// The interpreter of an environment that has none of its own.
    pub python: &'a Path,
    /// The programs of the machine that its install commands call.
    pub toolchain: &'a Toolchain,
    /// uv, which installs packages in pip's place; what has a [`EnvironmentSpec::released_before`]
    /// needs it.
    pub uv: Option<&'a Path>,
    /// Build it although it is there.
    pub again: bool,
}

/// Builds the environment that a spec makes of a repository, or gives the one that is there.
/// `on_step` is told what begins.
///
/// Commands run in the sandbox with the network open, the environment's folder and the copy of
/// the repository writable, and without the user's files and variables, but for those that say
/// which package registries to use and hold no password.
/// Errors: a command fails (its output is in `build.log` in the environment's folder), the
/// interpreter is missing, somebody else builds it.
pub fn build_environment(
    store: &EnvironmentStore,
    request: &BuildRequest<'_>,
    on_step: &mut dyn FnMut(&str),
) -> Result<Environment, WorkspaceError> {
    let id = request.spec.id(request.tree)?;
    if !request.again
        && let Ok(environment) = store.get(&id)
    {
        return Ok(environment);
    }
    let python = match &request.spec.python {
        // An image's is inside.
        Some(asked) if request.spec.image.is_none() => find_interpreter(asked)?,
        _ => request.python.to_owned(),
    };
    if request.spec.released_before.is_some() && request.uv.is_none() {
        return Err(WorkspaceError::Environment(format!(
            "the environment {id} takes packages that were released before a day, which needs uv; \
             install it (`pip install uv`)"
        )));
    }
    let _lock = store.lock(&id)?;
    let build = Build::begin(store, request, &id, &python)?;
    build.run(&python, on_step)?;
    store.get(&id)
}

struct Build<'a> {
    request: &'a BuildRequest<'a>,
    dir: PathBuf,
    cache: PathBuf,
    started: Instant,
    /// With the interpreter that the environment is made of.
    base: Sandbox,
}

impl<'a> Build<'a> {
    /// An empty folder, and what it is built by.
    fn begin(
        store: &EnvironmentStore,
        request: &'a BuildRequest<'a>,
        id: &str,
        python: &Path,
    ) -> Result<Self, WorkspaceError> {
        let (dir, cache) = (store.folder(id), store.cache());
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| WorkspaceError::io("remove", &dir, e))?;
        }
        for folder in [&dir, &cache, &dir.join("tmp")] {
            fs::create_dir_all(folder)
                .map_err(|e| WorkspaceError::io("make the folder", folder, e))?;
        }
        write(&dir.join(SPEC_FILE), &request.spec.to_toml())?;
        let constraints = request.spec.build_constraints.join("\n") + "\n";
        write(&dir.join(BUILD_CONSTRAINTS_FILE), &constraints)?;
        let names = request
            .spec
            .hosts
            .iter()
            .map(|name| format!("127.0.0.1 {name}\n"));
        let hosts = format!(
            "127.0.0.1 localhost\n::1 localhost\n{}",
            names.collect::<String>()
        );
        write(&dir.join(HOSTS_FILE), &hosts)?;
        let build = Self {
            base: Sandbox::new(SandboxMode::Bubblewrap, python)?,
            request,
            dir,
            cache,
            started: Instant::now(),
        };
        Ok(build)
    }

    fn run(&self, python: &Path, on_step: &mut dyn FnMut(&str)) -> Result<(), WorkspaceError> {
        let (made, artefacts) = match &self.request.spec.image {
            Some(image) => self.unpack(image, on_step)?,
            None => self.install(python, on_step)?,
        };
        let tmp = self.dir.join("tmp");
        fs::remove_dir_all(&tmp).map_err(|e| WorkspaceError::io("remove", &tmp, e))?;
        let built = Built {
            repository: self.request.repository.to_owned(),
            n_artefacts: artefacts.len(),
            bytes: bytes_below(&self.dir),
            wall_s: self.started.elapsed().as_secs(),
            built_at_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            ..made
        };
        let text = serde_json::to_string_pretty(&built).expect("plain data serialises");
        // Under its name it is there whole.
        let begun = self.dir.join(".built");
        write(&begun, &text)?;
        let done = self.dir.join(BUILT_FILE);
        fs::rename(&begun, &done).map_err(|e| WorkspaceError::io("write", &done, e))
    }

    /// Installs packages and the repository; the second value is the files that this left in
    /// the repository, kept below the environment's folder.
    fn install(
        &self,
        python: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<(Built, Vec<PathBuf>), WorkspaceError> {
        let (spec, tree) = (self.request.spec, self.request.tree);
        let mut sandbox = self.opened(&self.base);
        if spec.python.is_some() {
            on_step(&format!(
                "making a virtual environment of {}",
                python.display()
            ));
            let venv = self.dir.join(VENV_DIR);
            let (venv, python) = (path_text(&venv)?, path_text(python)?);
            let make: &[&str] = match self.request.uv {
                Some(_) => &["uv", "venv", "--quiet", "--seed", "--python", python, venv],
                None => &["python3", "-m", "venv", venv],
            };
            self.command(&sandbox, make)?;
            let own = Sandbox::new(
                SandboxMode::Bubblewrap,
                &self.dir.join(VENV_DIR).join("bin/python"),
            )?;
            sandbox = self.opened(&own);
            let files = spec.requirements.iter().map(|file| path_text(file));
            let files = files.collect::<Result<Vec<_>, _>>()?;
            let mut argv = [self.installer(), &["install"]].concat();
            let n_words = argv.len();
            argv.extend(spec.packages.iter().map(String::as_str));
            argv.extend(files.iter().flat_map(|file| ["-r", file]));
            if argv.len() > n_words {
                on_step(&format!("installing {} packages", argv.len() - n_words));
                self.command(&sandbox, &argv)?;
            }
        }
        let before = Inventory::of(tree)?;
        for line in spec.prepare.iter().chain(&spec.install) {
            on_step(line);
            self.command(&sandbox, &["/bin/bash", "-c", line])?;
        }
        if spec.python.is_some() && self.request.uv.is_some() {
            // As pip does: files that are read-only later would be compiled at every start. uv's
            // own way to it needs Python 3.7. A package may hold files of another Python.
            on_step("compiling the packages");
            let venv = self.dir.join(VENV_DIR).join("lib");
            let compile = [
                "python3",
                "-m",
                "compileall",
                "-q",
                "-j",
                "0",
                path_text(&venv)?,
            ];
            let _ = self.command(&sandbox, &compile);
        }
        let artefacts = before.changed_in(tree)?;
        on_step(&format!("keeping {} files of the install", artefacts.len()));
        copy_files(tree, &self.dir.join(ARTEFACTS_DIR), &artefacts)?;
        let mut made = Built {
            seen_at: PathBuf::from(SEEN_AT),
            ..Built::default()
        };
        if spec.python.is_some() {
            made.python_version = Some(self.version(&sandbox)?);
            let freeze = [self.installer(), &["freeze", "--exclude-editable"]].concat();
            made.packages = packages_of(&self.command(&sandbox, &freeze)?);
        }
        Ok((made, artefacts))
    }

    /// Unpacks an image; the second value is the files that it has in the repository's place
    /// and the repository has not, kept below the environment's folder.
    fn unpack(
        &self,
        name: &str,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<(Built, Vec<PathBuf>), WorkspaceError> {
        let spec = self.request.spec;
        let root = self.dir.join(IMAGE_DIR);
        let mut facts: ImageFacts = image::unpack(name, &root, on_step)?;
        if let Some(workdir) = &spec.workdir {
            facts.workdir.clone_from(workdir);
        }
        if let Some(python) = &spec.python {
            facts.python = Some(PathBuf::from(python));
        }
        image::make_places(&root, &facts.workdir)?;
        on_step("trying it out");
        let open = |facts: &ImageFacts| Sandbox::in_image(&root, facts, self.request.python);
        let sandbox = open(&facts)?;
        let mut packages = Vec::new();
        if facts.python.is_some() {
            facts.python_version = Some(self.version(&sandbox)?);
            // pip may not be there.
            let freeze = ["python3", "-m", "pip", "freeze", "--exclude-editable"];
            let frozen = self.command(&sandbox, &freeze);
            packages = frozen.map_or_else(|_| Vec::new(), |said| packages_of(&said));
        }
        let inside = facts.workdir.strip_prefix("/").unwrap_or(&facts.workdir);
        let place = root.join(inside);
        let mut artefacts = all_files(&place)?;
        artefacts.retain(|file| self.request.tree.join(file).symlink_metadata().is_err());
        on_step(&format!(
            "keeping {} files beside the repository's",
            artefacts.len()
        ));
        copy_files(&place, &self.dir.join(ARTEFACTS_DIR), &artefacts)?;
        let made = Built {
            python_version: facts.python_version.clone(),
            packages,
            seen_at: facts.workdir.clone(),
            image: Some(facts),
            ..Built::default()
        };
        Ok((made, artefacts))
    }

    /// The sandbox of a build's commands.
    fn opened(&self, sandbox: &Sandbox) -> Sandbox {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables: Vec<(String, String)> = [
            ("TMPDIR", self.dir.join("tmp")),
            ("PIP_CACHE_DIR", self.cache.join("pip")),
            ("UV_CACHE_DIR", self.cache.join("uv")),
            ("npm_config_cache", self.cache.join("npm")),
            ("VIRTUAL_ENV", self.dir.join(VENV_DIR)),
        ]
        .into_iter()
        .map(|(name, path)| (name.to_owned(), text(&path)))
        .collect();
        let mut set = |name: &str, value: &str| variables.push((name.into(), value.into()));
        set("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        // Links between the cache and the environment are links between two mounts.
        set("UV_LINK_MODE", "copy");
        set("UV_NO_CONFIG", "1");
        set("UV_PYTHON_DOWNLOADS", "never");
        if let Some(day) = &self.request.spec.released_before {
            set("UV_EXCLUDE_NEWER", day);
        }
        if !self.request.spec.build_constraints.is_empty() {
            let file = text(&self.dir.join(BUILD_CONSTRAINTS_FILE));
            set("UV_BUILD_CONSTRAINT", &file);
            set("PIP_BUILD_CONSTRAINT", &file);
        }
        variables.extend(self.request.spec.variables_in(&self.dir));
        let uv = self.request.uv.map(|uv| Toolchain {
            roots: vec![uv.to_owned()],
            bin: uv.parent().map(Path::to_owned).into_iter().collect(),
            env: Vec::new(),
        });
        sandbox
            .clone()
            .with_toolchain(self.request.toolchain.clone().and(uv.unwrap_or_default()))
            .seen_at(Path::new(SEEN_AT))
            .with_variables(variables)
            .for_installs(vec![self.dir.clone(), self.cache.clone()])
    }

    /// The words before `install` and `freeze`.
    fn installer(&self) -> &'static [&'static str] {
        match self.request.uv {
            Some(_) => &["uv", "pip"],
            None => &["python3", "-m", "pip"],
        }
    }

    /// Runs one command in the repository, its output behind the log's.
    fn command(&self, sandbox: &Sandbox, argv: &[&str]) -> Result<String, WorkspaceError> {
        let output = sandbox.run(self.request.tree, argv, &LIMITS)?;
        let said = argv.join(" ");
        let path = self.dir.join(LOG_FILE);
        let log = OpenOptions::new().append(true).create(true).open(&path);
        log.and_then(|mut log: File| write!(log, "$ {said}\n{}\n", output.text))
            .map_err(|e| WorkspaceError::io("write", &path, e))?;
        if output.end == CommandEnd::Exited(0) {
            return Ok(output.text);
        }
        let ended = match (output.stopped, output.end) {
            (Some(stopped), _) => stopped.to_string(),
            (None, CommandEnd::Exited(status)) => format!("ended with status {status}"),
            (None, end) => format!("{end:?}"),
        };
        let lines: Vec<&str> = output.text.lines().map(str::trim).collect();
        let mut lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        let tail = lines.split_off(lines.len().saturating_sub(TAIL_LINES));
        Err(WorkspaceError::Environment(format!(
            "`{said}` {ended} ({}); all that it said is in {}",
            tail.join(" / "),
            path.display()
        )))
    }

    /// The interpreter's version.
    fn version(&self, sandbox: &Sandbox) -> Result<String, WorkspaceError> {
        let script = "import platform; print(platform.python_version())";
        let version = self.command(sandbox, &["python3", "-c", script])?;
        Ok(version.trim().to_owned())
    }
}

/// Of a `pip freeze`, editable packages left out.
fn packages_of(frozen: &str) -> Vec<String> {
    let is_package = |line: &&str| !line.is_empty() && !line.starts_with(['#', '-', ' ']);
    let lines = frozen.lines().filter(is_package);
    lines.map(str::to_owned).collect()
}

/// `uv` on the `PATH`, by its real path.
pub fn find_uv() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| dir.join("uv"));
    places.find(|file| file.is_file())?.canonicalize().ok()
}

fn path_text(path: &Path) -> Result<&str, WorkspaceError> {
    path.to_str().ok_or_else(|| {
        WorkspaceError::Environment(format!("the path {} is not UTF-8", path.display()))
    })
}

fn write(path: &Path, text: &str) -> Result<(), WorkspaceError> {
    fs::write(path, text).map_err(|source| WorkspaceError::io("write", path, source))
}

/// Sizes of the files below `dir`; what cannot be read counts nothing.
fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let meta = entry.path().symlink_metadata().ok()?;
            Some(match meta.is_dir() {
                true => bytes_below(&entry.path()),
                false => meta.len(),
            })
        })
        .sum()
}
