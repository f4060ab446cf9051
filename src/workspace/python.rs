//! The Python interpreter: which one, and which directories it needs.
use super::WorkspaceError;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// Oldest version that pytest 8 runs on.
const VERSION_MIN: (u32, u32) = (3, 8);

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
            dirs: told.map(PathBuf::from).collect(),
        })
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

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
