//! The Python interpreter: which one, and which directories it needs.
use super::WorkspaceError;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// Oldest version under test: the helpers of `lang::python` that run with the code speak
/// no newer Python.
const VERSION_MIN: (u32, u32) = (3, 6);

/// Oldest version for egss's own helpers: `ast.unparse` came with it.
const OWN_VERSION_MIN: (u32, u32) = (3, 9);

/// Minor versions that are looked for by name, the newest first. A newer one is found as
/// `python3`.
const OWN_MINORS: std::ops::RangeInclusive<u32> = 9..=14;

/// Prints, separated by NUL: version, executable, then every directory that
/// the interpreter loads from.
const PROBE: &str = "
import sys, sysconfig
paths = sysconfig.get_paths()
print('\\0'.join(['%d.%d' % sys.version_info[:2], sys.executable or ''] + [p for p in (
    sys.prefix, getattr(sys, 'base_prefix', ''), sys.exec_prefix, getattr(sys, 'base_exec_prefix', ''),
    paths['stdlib'], paths['platstdlib'], paths['purelib'], paths['platlib']) if p]), end='')
";

/// The interpreter to run a repository's tests with: `flag` if it is given
/// (a program or a virtual environment's folder), else the active virtual
/// environment, else the repository's `.venv` or `venv`, else `python3` on the
/// `PATH`. The first that is there is taken, and run once to see that it works.
///
/// Returns the interpreter's own path (a version manager's shim resolved).
/// Errors: `NoPython` with what is wrong and what to do.
pub fn find_python(flag: Option<&Path>, repo: &Path) -> Result<PathBuf, WorkspaceError> {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    find(flag, active.as_deref(), repo).map(|interpreter| interpreter.executable)
}

fn find(
    flag: Option<&Path>,
    active: Option<&Path>,
    repo: &Path,
) -> Result<Interpreter, WorkspaceError> {
    if let Some(flag) = flag {
        return Interpreter::ask(&program_in(flag))
            .map_err(|why| no_python(format!("{why}; give another --python")));
    }
    if let Some(active) = active.filter(|dir| !dir.as_os_str().is_empty()) {
        return Interpreter::ask(&program_in(active)).map_err(|why| {
            no_python(format!("the active virtual environment does not work: {why}; deactivate it or give --python"))
        });
    }
    for name in [".venv", "venv"] {
        let dir = repo.join(name);
        if dir.join("pyvenv.cfg").is_file() {
            return Interpreter::ask(&program_in(&dir)).map_err(|why| {
                no_python(format!("the repository's virtual environment does not work: {why}; make it again or give --python"))
            });
        }
    }
    Interpreter::ask(Path::new("python3"))
        .map_err(|why| no_python(format!("{why}; install Python 3 or give --python")))
}

/// The interpreter for helpers that only read text: `under_test` where it is new enough,
/// else the first that works of `python3.14` down to `python3.9`, then `python3`, in the
/// folders of `path`.
///
/// Nothing is looked for where `under_test` will do. The error is a sentence that says what
/// is missing and what to do.
pub(super) fn find_own(under_test: &Interpreter, path: &OsStr) -> Result<Interpreter, String> {
    if under_test.version >= OWN_VERSION_MIN {
        return Ok(under_test.clone());
    }
    let newest_first = OWN_MINORS.rev().map(|minor| format!("python3.{minor}"));
    newest_first
        .chain(["python3".to_owned()])
        .flat_map(|name| std::env::split_paths(path).map(move |dir| dir.join(&name)))
        .filter(|program| program.is_absolute() && program.is_file())
        .filter_map(|program| Interpreter::ask(&program).ok())
        .find(|found| found.version >= OWN_VERSION_MIN)
        .ok_or_else(|| {
            let (major, minor) = under_test.version;
            let (own_major, own_minor) = OWN_VERSION_MIN;
            format!(
                "{} is Python {major}.{minor}, and beside it egss needs Python \
                 {own_major}.{own_minor} or later, which is not on the PATH; install one: it is \
                 found as python3, or as python3.{} to python3.{}",
                under_test.executable.display(),
                OWN_MINORS.start(),
                OWN_MINORS.end()
            )
        })
}

/// A virtual environment's folder stands for the program in it.
fn program_in(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("bin/python")
    } else {
        path.to_owned()
    }
}

fn no_python(sentence: String) -> WorkspaceError {
    WorkspaceError::NoPython(sentence)
}

/// What an interpreter says of itself.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    /// Its own path: in a virtual environment the link there, not its target.
    pub executable: PathBuf,
    version: (u32, u32),
    /// Prefixes and library directories: what it loads from.
    dirs: BTreeSet<PathBuf>,
}

impl Interpreter {
    /// Runs `python` once and asks it. The error is a clause without an end.
    pub fn ask(python: &Path) -> Result<Self, String> {
        let name = python.display();
        let output = Command::new(python)
            .args(["-I", "-c", PROBE])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => format!("{name} was not found"),
                _ => format!("{name} cannot be run ({error})"),
            })?;
        let told = String::from_utf8_lossy(&output.stdout);
        let mut told = told.split('\0');
        let version = told.next().unwrap_or_default();
        let (Some(number), Some(executable), true) =
            (parse_version(version), told.next(), output.status.success())
        else {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.trim().lines().last().unwrap_or("it printed nothing");
            return Err(format!("{name} is no Python 3 interpreter ({last})"));
        };
        if number < VERSION_MIN {
            let (major, minor) = VERSION_MIN;
            return Err(format!(
                "{name} is Python {version}, at least {major}.{minor} is needed"
            ));
        }
        if executable.is_empty() {
            return Err(format!("{name} does not know its own path"));
        }
        Ok(Self {
            executable: PathBuf::from(executable),
            version: number,
            dirs: told.map(PathBuf::from).collect(),
        })
    }

    /// One inside an image, which is shown whole. `version` is as it says itself, `3.9.18`; an
    /// interpreter that was not asked yet counts as the oldest.
    pub fn in_image(executable: &Path, version: Option<&str>) -> Self {
        Self {
            executable: executable.to_owned(),
            version: version.and_then(parse_version).unwrap_or(VERSION_MIN),
            dirs: BTreeSet::new(),
        }
    }

    /// Paths to show in the sandbox, each a directory or a program, so that
    /// the interpreter works there; those below `system` are left to the
    /// caller, and none holds the home folder.
    pub fn roots(&self, system: &[&str], home: &Path) -> Vec<PathBuf> {
        let covers = |roots: &BTreeSet<PathBuf>, path: &Path| {
            system.iter().any(|dir| path.starts_with(dir))
                || roots.iter().any(|root| path.starts_with(root))
        };
        let mut roots = BTreeSet::new();
        // Shorter paths sort first, so a prefix stands for what is below it.
        for dir in &self.dirs {
            for dir in [Some(dir.clone()), dir.canonicalize().ok()]
                .into_iter()
                .flatten()
            {
                let is_private = home.starts_with(&dir);
                if !is_private && dir.is_dir() && !covers(&roots, &dir) {
                    roots.insert(dir);
                }
            }
        }
        // Each link on the way from the executable to the real program.
        let mut path = self.executable.clone();
        for _ in 0..40 {
            if !covers(&roots, &path) {
                roots.insert(path.clone());
            }
            match path.read_link() {
                Ok(target) => path = normal(&path.parent().unwrap_or(&path).join(target)),
                Err(_) => break,
            }
        }
        if let Ok(real) = self.executable.canonicalize()
            && !covers(&roots, &real)
        {
            roots.insert(real);
        }
        roots.into_iter().collect()
    }
}

/// Of `3.9` and of `3.9.18`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Without `.` and `..`, by name alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn message(found: Result<Interpreter, WorkspaceError>) -> String {
        found.unwrap_err().to_string()
    }

    #[test]
    fn the_flag_wins_over_the_active_and_the_repositorys_environment() {
        let repo = tempfile::tempdir().unwrap();
        fs::create_dir(repo.path().join(".venv")).unwrap();
        fs::write(repo.path().join(".venv/pyvenv.cfg"), "").unwrap();
        let broken = Path::new("/nonexistent-environment/bin/python");

        let found = find(Some(Path::new("python3")), Some(broken), repo.path()).unwrap();
        assert!(found.executable.is_absolute());
        assert!(
            message(find(None, Some(broken), repo.path())).contains("active virtual environment")
        );
        assert!(
            message(find(None, None, repo.path())).contains("repository's virtual environment")
        );
        let none = tempfile::tempdir().unwrap();
        assert!(find(None, None, none.path()).is_ok());
    }

    #[test]
    fn what_is_no_interpreter_is_refused_in_one_sentence() {
        let none = Path::new("/");
        for (flag, says) in [
            (
                "/nonexistent/python",
                "/nonexistent/python was not found; give another --python",
            ),
            ("/bin/cat", "is no Python 3 interpreter"),
            ("/etc/passwd", "cannot be run"),
        ] {
            let text = message(find(Some(Path::new(flag)), None, none));
            assert!(text.contains(says) && !text.contains('\n'), "{text}");
        }
    }

    /// A folder with programs that say they are Python of some version.
    fn pythons(said: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, version) in said {
            let program = dir.path().join(name);
            let text = format!("#!/bin/sh\nprintf '{version}\\0%s' \"$0\"\n");
            fs::write(&program, text).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn of_version(version: (u32, u32)) -> Interpreter {
        Interpreter {
            executable: "/code/bin/python".into(),
            version,
            dirs: BTreeSet::new(),
        }
    }

    #[test]
    fn a_version_before_3_6_is_refused_with_the_oldest_that_will_do() {
        let dir = pythons(&[("old", "3.5"), ("new", "3.6")]);
        let ask = |name: &str| find(Some(&dir.path().join(name)), None, Path::new("/"));
        assert_eq!(ask("new").unwrap().version, (3, 6));
        let text = message(ask("old"));
        assert!(
            text.ends_with("old is Python 3.5, at least 3.6 is needed; give another --python"),
            "{text}"
        );
    }

    #[test]
    fn helpers_run_by_the_interpreter_under_test_where_it_is_new_enough() {
        let dir = pythons(&[("python3.14", "3.14")]);
        let found = find_own(&of_version(OWN_VERSION_MIN), dir.path().as_os_str()).unwrap();
        assert_eq!(found.executable, Path::new("/code/bin/python"));
    }

    #[test]
    fn an_older_one_has_the_newest_that_works_beside_it() {
        let named = [
            ("python3.14", "this one is broken"),
            ("python3.13", "3.13"),
            ("python3.10", "3.10"),
        ];
        let (old, new) = (pythons(&[("python3", "3.8")]), pythons(&named));
        let path = std::env::join_paths([old.path(), new.path()]).unwrap();
        let found = find_own(&of_version((3, 8)), &path).unwrap();
        assert_eq!(found.executable, new.path().join("python3.13"));

        // A newer one than those that are looked for by name.
        let newest = pythons(&[("python3", "3.20")]);
        let path = std::env::join_paths([old.path(), newest.path()]).unwrap();
        assert_eq!(
            find_own(&of_version((3, 8)), &path).unwrap().version,
            (3, 20)
        );
    }

    #[test]
    fn where_there_is_none_the_sentence_says_which_and_how_it_is_found() {
        let old = pythons(&[("python3", "3.8"), ("python3.9", "broken")]);
        let error = find_own(&of_version((3, 6)), old.path().as_os_str()).unwrap_err();
        assert_eq!(
            error,
            "/code/bin/python is Python 3.6, and beside it egss needs Python 3.9 or later, which \
             is not on the PATH; install one: it is found as python3, or as python3.9 to python3.14"
        );
    }

    #[test]
    fn a_prefix_that_holds_the_home_folder_is_not_shown() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for dir in ["lib/python3.11", "bin"] {
            fs::create_dir_all(home.join(dir)).unwrap();
        }
        fs::write(home.join("bin/python3"), "").unwrap();
        let interpreter = Interpreter {
            executable: home.join("bin/python3"),
            version: VERSION_MIN,
            dirs: [home.clone(), home.join("lib/python3.11")].into(),
        };
        assert_eq!(
            interpreter.roots(&["/usr"], &home),
            [home.join("bin/python3"), home.join("lib/python3.11")]
        );
    }

    #[test]
    fn every_link_from_the_executable_to_the_program_is_shown() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        for dir in ["venv/bin", "shared", "real/bin"] {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        fs::write(base.join("real/bin/python3"), "").unwrap();
        std::os::unix::fs::symlink("../real/bin/python3", base.join("shared/python")).unwrap();
        std::os::unix::fs::symlink(base.join("shared/python"), base.join("venv/bin/python"))
            .unwrap();
        let interpreter = Interpreter {
            executable: base.join("venv/bin/python"),
            version: VERSION_MIN,
            dirs: [base.join("venv"), base.join("real")].into(),
        };
        let roots = interpreter.roots(&["/usr"], Path::new("/home/someone"));
        assert_eq!(
            roots,
            [
                base.join("real"),
                base.join("shared/python"),
                base.join("venv")
            ]
        );
    }
}
