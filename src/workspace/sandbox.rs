//! Runs commands that a model wrote: no network; reads of the workspace, the
//! interpreter and system libraries only; writes in the workspace and a
//! private /tmp only; everything in it dies with it.
use super::bubblewrap::{Bubblewrap, Network, STAGE_BIN, SYSTEM_DIRS, View};
use super::environment::{Environment, ImageFacts, Rebuild, Service};
use super::python::{Interpreter, find_own};
use super::repository::OwnRepository;
use super::stage::{OWN_PYTHON, Stage};
use super::supervise::{Reach, supervise};
use super::toolchain::Toolchain;
use super::{CommandEnd, CommandOutput, Limits, WorkspaceError, existing_dir};
use crate::base::Deadline;
use crate::record::LargeData;
use globset::GlobSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a workspace appears unless [`Sandbox::seen_at`] says otherwise. A
/// fixed place, so that tracebacks are the same in every run and branch.
const WORKSPACE: &str = "/workspace";

/// Sets what the kernel limits and becomes the command. Sizes are in units of
/// 512 and 1024 bytes (POSIX `ulimit`); a stricter limit that is set already
/// stays. The data segment and not the address space is limited: runtimes
/// reserve much more than they use. Processes are left to the watcher:
/// `RLIMIT_NPROC` counts all of a user's, and root's never.
const SET_LIMITS: &str = "ulimit -c 0; ulimit -f \"$1\" 2>&-; ulimit -d \"$2\" 2>&-; n=$3; shift 3; exec nice -n \"$n\" \"$@\"";

/// What commands give way by: a fork bomb cannot starve the watcher.
const NICE: u8 = 10;

/// Whether commands are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// Bubblewrap, or a refusal that says how to install it.
    Bubblewrap,
    /// `--unsafe-no-sandbox`: limits only.
    UnsafeNone,
}

/// Runs commands in workspaces; may be shared between threads.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// `None` in [`SandboxMode::UnsafeNone`].
    bubblewrap: Option<Bubblewrap>,
    interpreter: Interpreter,
    /// Runs helpers that only read text. The error is a sentence.
    own: Result<Interpreter, String>,
    /// Needed by the interpreters and the toolchain beside the system directories.
    roots: Vec<PathBuf>,
    toolchain: Toolchain,
    /// Data of the repository that is not copied: its place, and that in a workspace.
    data: Vec<(PathBuf, PathBuf)>,
    /// Folders that commands may write to beside the workspace.
    writable: Vec<PathBuf>,
    network: Network,
    variables: Vec<(String, String)>,
    services: Vec<Service>,
    /// In the place of the stage's own.
    hosts: Option<PathBuf>,
    image: Option<Image>,
    repository: Option<OwnRepository>,
    /// How compiled files are made anew, and the files whose change asks for it.
    rebuild: Option<(Rebuild, GlobSet)>,
    seen_at: PathBuf,
    home: PathBuf,
    stage: Arc<Stage>,
    nice: u8,
    /// When every command of this sandbox and its copies has to be over.
    deadline: Arc<Mutex<Deadline>>,
}

/// An image's files in the place of the system's.
#[derive(Clone, Debug)]
struct Image {
    root: PathBuf,
    /// Its own `PATH`.
    path: String,
    /// egss's helpers are run by the machine's interpreter, and so outside of it.
    own_is_outside: bool,
}

impl Sandbox {
    /// Checks that the sandbox works by running `python` in it, and that
    /// `python` is an interpreter. Errors: `NoPython`, or `NoSandbox` with the
    /// reason and what to do.
    pub fn new(mode: SandboxMode, python: &Path) -> Result<Self, WorkspaceError> {
        let interpreter = Interpreter::ask(python)
            .map_err(|why| WorkspaceError::NoPython(format!("{why}; give another --python")))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = find_own(&interpreter, &path);
        let stage = Stage::new(Some(&interpreter.executable), program_of(&own))?;
        let bubblewrap = match mode {
            SandboxMode::Bubblewrap => Some(Bubblewrap::find()?),
            SandboxMode::UnsafeNone => None,
        };
        let sandbox = Self::of(bubblewrap, interpreter, own, stage, None);
        sandbox.try_out(&["python3", "-c", "print('works')"])?;
        Ok(sandbox)
    }

    /// A sandbox inside the image whose files are at `root`. `python` is an interpreter of
    /// the machine, for an image that has none.
    ///
    /// Errors as [`Self::new`]'s.
    pub(super) fn in_image(
        root: &Path,
        image: &ImageFacts,
        python: &Path,
    ) -> Result<Self, WorkspaceError> {
        let inside = image.python.as_deref();
        let interpreter = match inside {
            Some(inside) => Interpreter::in_image(inside, image.python_version.as_deref()),
            None => Interpreter::ask(python)
                .map_err(|why| WorkspaceError::NoPython(format!("{why}; give another --python")))?,
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = find_own(&interpreter, &path);
        let stage = Stage::new(inside, program_of(&own))?;
        let own_is_outside = inside.is_none() || program_of(&own) != inside;
        let image_of_it = Image {
            root: root.to_owned(),
            path: image.path.clone(),
            own_is_outside,
        };
        let bubblewrap = Some(Bubblewrap::find()?);
        let mut sandbox = Self::of(bubblewrap, interpreter, own, stage, Some(image_of_it));
        sandbox.variables.clone_from(&image.variables);
        sandbox.seen_at.clone_from(&image.workdir);
        match inside {
            Some(_) => sandbox.try_out(&["python3", "-c", "print('works')"])?,
            None => sandbox.try_out(&["/bin/sh", "-c", "echo works"])?,
        }
        Ok(sandbox)
    }

    fn of(
        bubblewrap: Option<Bubblewrap>,
        interpreter: Interpreter,
        own: Result<Interpreter, String>,
        stage: Stage,
        image: Option<Image>,
    ) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let home = home
            .and_then(|path| path.canonicalize().ok())
            .unwrap_or_default();
        let mut roots = interpreter.roots(&SYSTEM_DIRS, &home);
        for root in own.iter().flat_map(|own| own.roots(&SYSTEM_DIRS, &home)) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Self {
            bubblewrap,
            stage: Arc::new(stage),
            roots,
            own,
            seen_at: PathBuf::from(WORKSPACE),
            toolchain: Toolchain::default(),
            data: Vec::new(),
            writable: Vec::new(),
            network: Network::None,
            variables: Vec::new(),
            services: Vec::new(),
            hosts: None,
            image,
            repository: None,
            rebuild: None,
            home,
            interpreter,
            nice: NICE,
            deadline: Arc::default(),
        }
    }

    /// The same sandbox with workspaces seen at `path` inside, for example the
    /// path of the user's repository: a package that was installed from there
    /// in editable mode is then found in the workspace. Bubblewrap only.
    #[must_use]
    pub fn seen_at(mut self, path: &Path) -> Self {
        self.seen_at = path.to_owned();
        self
    }

    /// The same sandbox with commands that give way to nobody: where a model decodes
    /// for others meanwhile, on every core, tests that give way hardly ever end.
    #[must_use]
    pub fn beside_work(mut self) -> Self {
        self.nice = 0;
        self
    }

    /// The same sandbox with a toolchain in it, read-only.
    #[must_use]
    pub fn with_toolchain(mut self, toolchain: Toolchain) -> Self {
        let is_system = |path: &PathBuf| SYSTEM_DIRS.iter().any(|dir| path.starts_with(dir));
        let roots = toolchain.roots.iter().filter(|path| !is_system(path));
        self.roots.extend(roots.cloned());
        self.toolchain = toolchain;
        self
    }

    /// The same sandbox with a toolchain of the machine, which `find` looks for; an image has
    /// its own. Error: `find`'s.
    pub fn with_found(
        self,
        find: impl FnOnce() -> Result<Toolchain, String>,
    ) -> Result<Self, String> {
        match self.image {
            Some(_) => Ok(self),
            None => Ok(self.with_toolchain(find()?)),
        }
    }

    /// The same sandbox with variables that every command sees; `PATH` and `HOME` stay.
    #[must_use]
    pub fn with_variables(mut self, variables: Vec<(String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// The same sandbox for commands that install something into `writable` folders: with the
    /// network open, and with those of the user's variables that say which package registries
    /// to use and hold no password. Bubblewrap only.
    #[must_use]
    pub(super) fn for_installs(mut self, writable: Vec<PathBuf>) -> Self {
        let set = REGISTRY_VARIABLES.iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            (!holds_password(&value)).then(|| ((*name).to_owned(), value))
        });
        let set: Vec<_> = set.collect();
        // A certificate or a folder of packages; one that holds the home folder is not shown.
        let places = set.iter().map(|(_, value)| PathBuf::from(value));
        let places = places.filter(|path| path.is_absolute() && path.exists());
        let home = &self.home;
        self.roots
            .extend(places.filter(|path| !home.starts_with(path)));
        self.variables.splice(0..0, set);
        self.writable = writable;
        self.network = Network::Open;
        self
    }

    /// The same sandbox with a git repository in each workspace, a copy for each command.
    /// Bubblewrap only.
    #[must_use]
    pub fn with_repository(mut self, repository: OwnRepository) -> Self {
        self.repository = Some(repository);
        self
    }

    /// The same sandbox with data of the repository `repo` that is not copied, read-only and in
    /// its place. Bubblewrap only.
    #[must_use]
    pub fn with_data(mut self, repo: &Path, large_data: &[LargeData]) -> Self {
        let paths = large_data.iter().map(|data| Path::new(&data.path));
        // A record can be edited: it must not name a place outside.
        let is_below = |path: &&Path| {
            path.components()
                .all(|part| matches!(part, Component::Normal(_)))
        };
        let paths = paths.filter(is_below);
        self.data = paths
            .map(|path| (repo.join(path), path.to_owned()))
            .collect();
        self
    }

    /// The same sandbox inside an environment, whose interpreter it was made with.
    #[must_use]
    pub(super) fn in_environment(mut self, environment: &Environment) -> Self {
        self.roots.push(environment.dir.clone());
        self.variables.extend(environment.variables());
        self.services.extend(environment.spec.services.clone());
        self.hosts = environment.hosts_file();
        let spec = &environment.spec;
        let rebuild = spec.rebuild.clone();
        self.rebuild = rebuild.map(|rebuild| (rebuild, spec.compiled()));
        self.seen_at.clone_from(&environment.built.seen_at);
        self
    }

    /// The same sandbox for one run, whose deadlines are not those of others.
    #[must_use]
    pub fn for_one_run(&self) -> Self {
        Self {
            deadline: Arc::default(),
            ..self.clone()
        }
    }

    /// From now on no command outlives `deadline`, in copies of this sandbox neither: one
    /// that would is killed, and `DeadlinePassed` said instead of a result.
    pub fn set_deadline(&self, deadline: Deadline) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn deadline(&self) -> Deadline {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True where [`Self::rebuild`] has to be called after a change of these files.
    pub fn has_to_rebuild(&self, changed: &[String]) -> bool {
        let compiled = self.rebuild.as_ref().map(|(_, compiled)| compiled);
        compiled.is_some_and(|compiled| changed.iter().any(|file| compiled.is_match(file)))
    }

    /// Makes the compiled files of the copy at `dir` anew, where one of `changed` (paths
    /// relative to it) is a source of them. The clause says why that failed.
    pub fn rebuild(
        &self,
        dir: &Path,
        changed: &[String],
        limits: &Limits,
    ) -> Result<Option<String>, WorkspaceError> {
        let rebuild = self.rebuild.as_ref().map(|(rebuild, _)| rebuild);
        let Some(rebuild) = rebuild.filter(|_| self.has_to_rebuild(changed)) else {
            return Ok(None);
        };
        let output = self.run(dir, &["/bin/bash", "-c", &rebuild.run], limits)?;
        let failed = output.end != CommandEnd::Exited(0);
        Ok(failed.then(|| format!("`{}` fails: {}", rebuild.run, last_line(&output.text))))
    }

    /// The interpreter that `python3` means inside.
    pub fn python(&self) -> &Path {
        &self.interpreter.executable
    }

    /// The program, by its name inside, that runs helpers which only read text: the
    /// interpreter under test where it is new enough, else a newer one of the machine.
    ///
    /// Error: `NoPython` where there is none, with what to do.
    pub fn own_python(&self) -> Result<&'static str, WorkspaceError> {
        match &self.own {
            Ok(_) => Ok(OWN_PYTHON),
            Err(why) => Err(WorkspaceError::NoPython(why.clone())),
        }
    }

    /// True where the code under test is run by another interpreter than such helpers.
    pub fn has_second_python(&self) -> bool {
        let own = self.own.as_ref();
        own.is_ok_and(|own| own.executable != self.interpreter.executable)
    }

    /// Runs `argv` with `dir` as the working directory and the only writable
    /// place beside a private /tmp. No standard input; of the environment only
    /// what is set here.
    ///
    /// A command that fails, or is stopped at a limit, is no error. Errors:
    /// `dir` is no directory or holds the home folder, the command cannot be
    /// started, the run's deadline came before its end.
    ///
    /// Cost beside the command's own: 10 ms or so.
    pub fn run(
        &self,
        dir: &Path,
        argv: &[&str],
        limits: &Limits,
    ) -> Result<CommandOutput, WorkspaceError> {
        let dir = existing_dir(dir)?;
        if self.bubblewrap.is_some() && self.home.starts_with(&dir) {
            return Err(WorkspaceError::NoSandbox(format!(
                "the workspace {} holds the home folder, which commands must not see; give a \
                 folder of its own",
                dir.display()
            )));
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SET_LIMITS, "sh"])
            .arg(limits.file_bytes_max.div_ceil(512).to_string())
            .arg(limits.memory_bytes_max.div_ceil(1024).to_string())
            .arg(self.nice.to_string())
            .current_dir(&dir)
            .env_clear();
        let image = self.image.as_ref();
        let image =
            image.filter(|image| !(image.own_is_outside && argv.first() == Some(&OWN_PYTHON)));
        let bin = self
            .interpreter
            .executable
            .parent()
            .unwrap_or(Path::new("/"));
        let path_with = |stage_bin: &Path| {
            let mut path = format!("{}:{}", stage_bin.display(), bin.display());
            for folder in &self.toolchain.bin {
                path += &format!(":{}", folder.display());
            }
            path + ":" + image.map_or(SYSTEM_PATH, |image| &image.path)
        };
        command.envs(ENVIRONMENT);
        command.envs(self.toolchain.env.iter().map(|(name, path)| (name, path)));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let repository = self
            .repository
            .as_ref()
            .filter(|_| self.bubblewrap.is_some());
        let copy = repository.map(OwnRepository::copy).transpose()?;
        let reach = if let Some(bubblewrap) = &self.bubblewrap {
            command.env("PATH", path_with(Path::new(STAGE_BIN)));
            command.env("HOME", "/tmp");
            command.arg(&bubblewrap.program);
            command.args(
                bubblewrap.args(&View {
                    dir: &dir,
                    seen_at: &self.seen_at,
                    image: image.map(|image| image.root.as_path()),
                    data: &self.data,
                    readable: match image {
                        Some(_) => &[],
                        None => &self.roots,
                    },
                    writable: &self.writable,
                    network: self.network,
                    low_ports: self.services.iter().any(|service| service.port < 1_024),
                    repository: copy
                        .as_ref()
                        .zip(repository)
                        .map(|(copy, own)| (copy.path(), own.objects.as_path())),
                    hosts: self.hosts.as_deref(),
                    stage: &self.stage,
                }),
            );
            Reach::Namespace
        } else {
            command.env("PATH", path_with(&self.stage.path("bin")));
            command.env("HOME", self.stage.path("home"));
            let mark = new_mark();
            command.env(MARK, &mark);
            Reach::Group {
                mark: format!("{MARK}={mark}"),
            }
        };
        if !self.services.is_empty() {
            command.args(["/bin/bash", "-c", &with_services(&self.services), "sh"]);
        }
        command.args(argv);
        supervise(command, &reach, limits, self.deadline(), &dir)
    }

    /// Runs a shell command line the same way (`/bin/sh -c`).
    pub fn shell(
        &self,
        dir: &Path,
        command: &str,
        limits: &Limits,
    ) -> Result<CommandOutput, WorkspaceError> {
        self.run(dir, &["/bin/sh", "-c", command], limits)
    }

    /// Runs `says_works` inside once, and if that fails says whose fault it is.
    fn try_out(&self, says_works: &[&str]) -> Result<(), WorkspaceError> {
        let empty = self.stage.path("home");
        let limits = Limits::default();
        let python = self.run(&empty, says_works, &limits)?;
        if python.end == CommandEnd::Exited(0) && python.text == "works\n" {
            return Ok(());
        }
        let plain = self.run(&empty, &["true"], &limits)?;
        if plain.end == CommandEnd::Exited(0) {
            return Err(WorkspaceError::NoPython(format!(
                "{} does not start in the sandbox ({}); give another --python",
                self.python().display(),
                last_line(&python.text)
            )));
        }
        Err(WorkspaceError::NoSandbox(format!(
            "bubblewrap is installed but cannot make a sandbox ({}): this kernel or container \
             refuses user namespaces; allow them (sysctl kernel.unprivileged_userns_clone=1, an \
             AppArmor profile for bwrap on newer Ubuntu, or a container that permits them), or \
             pass --unsafe-no-sandbox to run the model's commands unconfined",
            last_line(&plain.text)
        )))
    }
}

/// Where programs of the system are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn program_of(interpreter: &Result<Interpreter, String>) -> Option<&Path> {
    let interpreter = interpreter.as_ref().ok();
    interpreter.map(|interpreter| interpreter.executable.as_path())
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or("it printed nothing")
}

/// Same everywhere, so that a run can be repeated: no bytecode that outlives
/// its source, no random hash order, output as it is written, nothing from the
/// user's own packages.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
    ("NO_COLOR", "1"),
    ("USER", "egss"),
    ("LOGNAME", "egss"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONNOUSERSITE", "1"),
];

/// Say where packages come from, and how the network is reached.
const REGISTRY_VARIABLES: [&str; 27] = [
    "ALL_PROXY",
    "CARGO_HTTP_CAINFO",
    "GOPROXY",
    "GOSUMDB",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PIP_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "npm_config_cafile",
    "npm_config_registry",
];

/// True for an address with a user in it: `https://name:password@host/`.
fn holds_password(value: &str) -> bool {
    value.split_whitespace().any(|address| {
        let host = address.split("://").nth(1).unwrap_or_default();
        host.split('/').next().unwrap_or_default().contains('@')
    })
}

/// Seconds that services have to be ready in.
const SERVICE_S_MAX: u32 = 30;

/// A script that starts services, waits until each takes connections, and becomes the command.
/// They end with it, as all that runs in its sandbox.
fn with_services(services: &[Service]) -> String {
    let mut script = String::new();
    for Service { run, port } in services {
        script += &format!(
            "({run}) >/tmp/service-{port}.log 2>&1 & service=$!\n\
             for _ in $(seq {}); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; \
             kill -0 $service 2>/dev/null || {{ wait $service || break; }}; sleep 0.1; done\n\
             (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null || {{ echo 'the service on port {port} did not start:'; tail -n 5 /tmp/service-{port}.log; exit 1; }}\n",
            10 * SERVICE_S_MAX
        );
    }
    script + "exec \"$@\""
}

/// The variable by which unconfined descendants are found.
const MARK: &str = "EGSS_COMMAND";

/// A value that no other command of this machine has.
fn new_mark() -> String {
    static COMMANDS: AtomicU64 = AtomicU64::new(0);
    let n = COMMANDS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{n}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_known() {
        for (value, holds) in [
            ("https://host/simple", false),
            ("https://name:word@host/simple", true),
            ("https://token@host", true),
            ("https://a/x https://b:c@d/", true),
            ("https://host/@scope/package", false),
            ("/opt/wheels", false),
            ("localhost,10.0.0.0/8", false),
        ] {
            assert_eq!(holds_password(value), holds, "{value}");
        }
    }
}
