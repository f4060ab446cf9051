//! The confinement as arguments of `bwrap`.
use super::WorkspaceError;
use super::stage::Stage;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// System directories that every program needs; nothing personal is in them.
pub(super) const SYSTEM_DIRS: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
];

/// What the loader and the distribution's own links need of `/etc`.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
];

/// Folders that a sandbox has of its own, whatever an image holds there.
const IMAGE_DIRS_NOT_SHOWN: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// Files of `/etc` that a command finds and trusts hosts by.
const NETWORK_FILES: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/pip.conf",
];

/// Whether a command reaches other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// A loopback address of its own.
    None,
    /// The machine's network.
    Open,
}

/// The part of the machine that a command sees beside the system.
pub(super) struct View<'a> {
    /// The workspace: writable, seen at `seen_at` and under its own path.
    pub dir: &'a Path,
    pub seen_at: &'a Path,
    /// The files of an image, in the place of the system's.
    pub image: Option<&'a Path>,
    /// Data of the repository that is not copied: its place, and that in a workspace.
    pub data: &'a [(PathBuf, PathBuf)],
    /// Needed by the interpreter and the toolchain.
    pub readable: &'a [PathBuf],
    pub writable: &'a [PathBuf],
    pub network: Network,
    /// Ports below 1,024 may be listened to, on the command's own loopback address.
    pub low_ports: bool,
    /// A git directory in the workspace, and the objects that it shares with others.
    pub repository: Option<(&'a Path, &'a Path)>,
    /// In the place of `/etc/hosts`; else the stage's file.
    pub hosts: Option<&'a Path>,
    pub stage: &'a Stage,
}

/// Where the stage's programs appear.
pub(super) const STAGE_BIN: &str = "/run/egss/bin";

/// Size of each of the private `/tmp` and `/dev/shm`, in memory.
const TMP_BYTES_MAX: u64 = 512 << 20;

/// Runs as the namespace's first process: the command, then its status. When
/// it ends the kernel kills everything that the command left running, and only
/// then does `bwrap` return.
const INIT: &str = "\"$@\"; exit $?";

const MISSING: &str = "the sandbox needs bubblewrap (`bwrap`), which is not installed: run \
    scripts/setup or install your distribution's package `bubblewrap`, or pass \
    --unsafe-no-sandbox to run the model's commands unconfined";

/// An installed `bwrap`.
#[derive(Clone, Debug)]
pub(super) struct Bubblewrap {
    pub program: PathBuf,
    /// Options that older versions do not have.
    has_size: bool,
    has_disable_userns: bool,
}

impl Bubblewrap {
    /// Looks for `bwrap` on the `PATH`. Error: `NoSandbox` with what to do.
    pub fn find() -> Result<Self, WorkspaceError> {
        Self::find_on(&std::env::var_os("PATH").unwrap_or_default())
    }

    fn find_on(path: &OsStr) -> Result<Self, WorkspaceError> {
        let mut places = std::env::split_paths(path).map(|dir| dir.join("bwrap"));
        let Some(program) = places.find(|program| program.is_file()) else {
            return Err(WorkspaceError::NoSandbox(MISSING.to_owned()));
        };
        let help = Command::new(&program)
            .arg("--help")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| WorkspaceError::io("run", &program, source))?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        Ok(Self {
            program,
            has_size: help.contains("--size"),
            has_disable_userns: help.contains("--disable-userns"),
        })
    }

    /// Arguments up to and without the command itself.
    pub fn args(&self, view: &View<'_>) -> Vec<OsString> {
        let View {
            dir,
            seen_at,
            image,
            data,
            readable,
            writable,
            network,
            low_ports,
            repository,
            hosts,
            stage,
        } = *view;
        let mut args = Args::default();
        // Everything that can be unshared: network, processes, users, hosts.
        args.flag(&[
            "--unshare-all",
            "--as-pid-1",
            "--die-with-parent",
            "--new-session",
        ]);
        if network == Network::Open {
            args.flag(&["--share-net"]);
        }
        // Root would keep its capabilities otherwise, and could make the
        // read-only mounts writable again.
        args.flag(&["--cap-drop", "ALL"]);
        if low_ports {
            // Without further user namespaces being off: that takes one of its own, from
            // which the right does not reach the network's.
            args.flag(&["--unshare-user", "--cap-add", "CAP_NET_BIND_SERVICE"]);
        } else if self.has_disable_userns {
            args.flag(&["--unshare-user", "--disable-userns"]);
        }
        match image {
            Some(image) => args.image(image, Path::new("/"), &[dir, seen_at]),
            None => args.system(),
        }
        for file in ["passwd", "group", "hosts"] {
            let (own, at) = (stage.path("etc").join(file), Path::new("/etc").join(file));
            match (file, hosts, network) {
                ("hosts", Some(hosts), _) => args.pair("--ro-bind", hosts, &at),
                ("hosts", None, Network::Open) => args.pair("--ro-bind-try", &at, &at),
                _ => args.pair("--ro-bind", &own, &at),
            }
        }
        if network == Network::Open {
            for file in NETWORK_FILES.map(Path::new) {
                args.pair("--ro-bind-try", file, file);
            }
        }
        args.flag(&["--proc", "/proc", "--dev", "/dev"]);
        self.tmpfs(&mut args, "/dev/shm");
        args.flag(&["--remount-ro", "/dev"]);
        self.tmpfs(&mut args, "/tmp");
        args.pair("--ro-bind", &stage.path("bin"), Path::new(STAGE_BIN));

        let mut binds = vec![("--bind", dir, dir), ("--bind", dir, seen_at)];
        binds.extend(
            writable
                .iter()
                .map(|at| ("--bind", at.as_path(), at.as_path())),
        );
        let git_dir = seen_at.join(".git");
        if let Some((copy, objects)) = repository {
            binds.push(("--bind", copy, &git_dir));
            binds.push(("--ro-bind", objects, objects));
        }
        for root in readable {
            if writable.iter().any(|at| root.starts_with(at)) {
                continue;
            }
            // A workspace that has a link in an environment's place keeps it:
            // the link's target is shown under its own path.
            let inside = root
                .strip_prefix(seen_at)
                .or_else(|_| root.strip_prefix(dir));
            if !inside.is_ok_and(|path| dir.join(path).is_symlink()) {
                binds.push(("--ro-bind", root, root));
            }
        }
        let places: Vec<(&Path, PathBuf)> = data
            .iter()
            .flat_map(|(from, path)| [dir, seen_at].map(|root| (from.as_path(), root.join(path))))
            .collect();
        for (from, at) in &places {
            binds.push(("--ro-bind-try", from, at));
        }
        binds.sort_by_key(|(_, _, at)| at.components().count());
        binds.dedup_by_key(|(_, _, at)| *at);
        for (kind, from, at) in binds {
            args.pair(kind, from, at);
        }
        // The root itself is a tmpfs of this namespace: writable till here.
        args.flag(&["--remount-ro", "/", "--chdir"]);
        args.0.push(seen_at.into());
        args.flag(&["/bin/sh", "-c", INIT, "sh"]);
        args.0
    }

    fn tmpfs(&self, args: &mut Args, at: &str) {
        if self.has_size {
            args.flag(&["--size", &TMP_BYTES_MAX.to_string()]);
        }
        args.flag(&["--tmpfs", at]);
    }
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    /// The system's own folders.
    fn system(&mut self) {
        for system in SYSTEM_DIRS.map(Path::new) {
            match system.read_link() {
                Ok(target) => self.pair("--symlink", &target, system),
                Err(_) if system.is_dir() => self.pair("--ro-bind", system, system),
                Err(_) => {}
            }
        }
        for file in SYSTEM_FILES.map(Path::new) {
            self.pair("--ro-bind-try", file, file);
        }
    }

    /// The files of an image below `inside`. A folder on the way to one of `places` that it lacks
    /// is put together of its entries: below a folder that is read-only none can be made.
    fn image(&mut self, image: &Path, inside: &Path, places: &[&Path]) {
        let in_image = |path: &Path| image.join(path.strip_prefix("/").unwrap_or(path));
        let entries = std::fs::read_dir(in_image(inside)).into_iter().flatten();
        let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let at = inside.join(&name);
            if IMAGE_DIRS_NOT_SHOWN.iter().any(|own| Path::new(own) == at) {
                continue;
            }
            let from = in_image(&at);
            let Ok(kind) = from.symlink_metadata().map(|meta| meta.file_type()) else {
                continue;
            };
            let leads_on = |place: &&&Path| {
                place.starts_with(&at) && **place != at && !in_image(place).is_dir()
            };
            if kind.is_symlink() {
                let target = from.read_link().unwrap_or_default();
                self.pair("--symlink", &target, &at);
            } else if kind.is_dir() && places.iter().any(|place| leads_on(&place)) {
                self.flag(&["--dir"]);
                self.0.push(at.clone().into());
                self.image(image, &at, places);
            } else if kind.is_dir() || kind.is_file() {
                self.pair("--ro-bind", &from, &at);
            }
        }
    }

    fn flag(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, option: &str, a: &Path, b: &Path) {
        self.0.extend([option.into(), a.into(), b.into()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bubblewrap_is_told_with_three_ways_out() {
        let nowhere = tempfile::tempdir().unwrap();
        let error = Bubblewrap::find_on(nowhere.path().as_os_str()).unwrap_err();
        let said = error.to_string();
        for part in [
            "not installed",
            "scripts/setup",
            "package `bubblewrap`",
            "--unsafe-no-sandbox",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains('\n') && !said.contains("  "), "{said}");
    }
}
