//! Environments of the code under test: an interpreter, packages, the repository installed in
//! place. An environment is a folder that is built once, kept by its content, and shown
//! read-only to the sandbox.
//!
//! [`EnvironmentSpec`] is an environment as data (`env.toml`). A `Language` reads one from a
//! repository's own files (`lang::needs_of`), and `eval::swebench` reads one from the package
//! `swebench`. [`build_environment`] makes a folder of it, by commands in the sandbox with
//! the network open (`Sandbox::for_installs`, used there alone), under an id that is a digest
//! of the spec and of the files that installing hangs on. Files that an install leaves in the
//! repository (`artefacts.rs`) are kept beside and put into each base tree
//! ([`Environment::furnish`]), so that snapshots, diffs and test runs need to know nothing of
//! them. [`Environment::sandbox`] sets its variables, starts its services beside each
//! command, and shows the workspace at the path for which the repository was installed. The
//! files of an image (`image.rs`) stand in the place of the system's; helpers that only read
//! text run outside of an image whose Python is too old or missing. Before the tests of a
//! patched copy `Sandbox::rebuild` makes compiled files anew, so that the copy alone has
//! them.
mod artefacts;
mod build;
mod built;
mod image;
mod interpreter;
mod layout;
mod spec;
mod store;

pub use build::{BuildRequest, build_environment, find_uv};
pub use built::{Built, Environment};
pub use image::ImageFacts;
pub use spec::{EnvironmentSpec, Rebuild, Service};
pub use store::{EnvironmentStore, Kept};

use super::{CommandEnd, Limits, Sandbox, SandboxMode, Shadow, TreeId, WorkspaceError};
use layout::{ARTEFACTS_DIR, IMAGE_DIR};
use std::path::Path;

impl Environment {
    /// A sandbox in which commands see the environment; `python` is the interpreter where it
    /// has none. Errors: it is broken, or commands are not to be confined.
    pub fn sandbox(&self, mode: SandboxMode, python: &Path) -> Result<Sandbox, WorkspaceError> {
        if mode == SandboxMode::UnsafeNone {
            return Err(WorkspaceError::Environment(format!(
                "the environment {} is installed for the path that the sandbox shows the \
                 repository at; leave out --unsafe-no-sandbox",
                self.id
            )));
        }
        let own = self.python();
        let opened = match &self.built.image {
            Some(image) => Sandbox::in_image(&self.dir.join(IMAGE_DIR), image, python),
            None => Sandbox::new(mode, own.as_deref().unwrap_or(python)),
        };
        let has_own = own.is_some() || self.spec.image.is_some();
        let sandbox = opened.map_err(|error| match error {
            WorkspaceError::NoPython(why) if has_own => WorkspaceError::Environment(format!(
                "the environment {} is broken ({}); build it anew with `egss env build --again`",
                self.id,
                why.replace("; give another --python", "")
            )),
            other => other,
        })?;
        Ok(sandbox.in_environment(self))
    }

    /// Puts into a copy of the repository what the install left in it.
    pub fn furnish(&self, tree: &Path) -> Result<(), WorkspaceError> {
        let from = self.dir.join(ARTEFACTS_DIR);
        artefacts::copy_files(&from, tree, &artefacts::all_files(&from)?)
    }

    /// The tree of a repository with what the install left in it.
    pub fn furnished(&self, shadow: &Shadow, tree: &TreeId) -> Result<TreeId, WorkspaceError> {
        let from = self.dir.join(ARTEFACTS_DIR);
        match from.is_dir() {
            true => shadow.overlaid(tree, &from),
            false => Ok(tree.clone()),
        }
    }

    /// One sentence for each thing that is wrong with it; it is tried out for that.
    pub fn faults(&self) -> Vec<String> {
        let n = artefacts::all_files(&self.dir.join(ARTEFACTS_DIR)).map_or(0, |files| files.len());
        let mut faults = Vec::new();
        if n != self.built.n_artefacts {
            faults.push(format!(
                "{n} files of the install are kept, and it left {}",
                self.built.n_artefacts
            ));
        }
        let sandbox = match self.sandbox(SandboxMode::Bubblewrap, Path::new("python3")) {
            Ok(sandbox) => sandbox,
            Err(error) => return [faults, vec![error.to_string()]].concat(),
        };
        let Some(version) = &self.built.python_version else {
            return faults;
        };
        // Packages are only looked at: what is imported from the repository is not here.
        let script = format!(
            "import platform; v = platform.python_version(); assert v == {version:?}, v\n\
             try:\n from importlib.metadata import distributions\n\
             except ImportError:\n from pkg_resources import working_set as w; n = len(list(w))\n\
             else:\n n = len(list(distributions()))\n\
             assert n >= {}, n",
            self.built.packages.len()
        );
        let empty = std::env::temp_dir();
        let tried = tempfile::tempdir_in(&empty)
            .map_err(|source| WorkspaceError::io("make a folder in", &empty, source))
            .and_then(|dir| {
                let argv = ["python3", "-c", &script];
                sandbox.run(dir.path(), &argv, &Limits::default())
            });
        match tried {
            Ok(output) if output.end == CommandEnd::Exited(0) => {}
            Ok(output) => faults.push(format!(
                "its interpreter or its packages are others than were built: {}",
                output.text.trim().lines().last().unwrap_or_default()
            )),
            Err(error) => faults.push(error.to_string()),
        }
        faults
    }
}
