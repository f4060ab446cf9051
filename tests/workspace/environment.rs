//! Environments of the code under test, built without a network: what an install command does
//! is its own.
use crate::sandbox::sandbox;
use egss::workspace::{
    BuildRequest, Environment, EnvironmentSpec, EnvironmentStore, Limits, Rebuild, Sandbox,
    SandboxMode, Service, Shadow, Toolchain, WorkspaceError, build_environment,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A store, and a repository with a package in it.
struct Bench {
    store: EnvironmentStore,
    repo: TempDir,
    /// The interpreter that environments are made of.
    python: PathBuf,
    _kept: TempDir,
}

impl Bench {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let repo = tempfile::tempdir().unwrap();
        fs::write(repo.path().join("setup.py"), "# version 1\n").unwrap();
        fs::write(repo.path().join("mod.py"), "x = 1\n").unwrap();
        Self {
            store: EnvironmentStore::at(&kept.path().join("environments")),
            repo,
            python: sandbox().python().to_owned(),
            _kept: kept,
        }
    }

    /// Without an interpreter of its own, that it takes no time.
    fn spec(&self, install: &str) -> EnvironmentSpec {
        EnvironmentSpec {
            name: "bench".into(),
            install: vec![install.to_owned()],
            ..EnvironmentSpec::default()
        }
    }

    fn build(&self, spec: &EnvironmentSpec) -> Result<Environment, WorkspaceError> {
        self.build_on(spec, self.copy().path(), &mut |_| {})
    }

    fn build_on(
        &self,
        spec: &EnvironmentSpec,
        tree: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Environment, WorkspaceError> {
        let request = BuildRequest {
            spec,
            tree,
            repository: "a repository",
            python: &self.python,
            toolchain: &Toolchain::default(),
            uv: None,
            again: false,
        };
        build_environment(&self.store, &request, on_step)
    }

    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in ["setup.py", "mod.py"] {
            fs::copy(self.repo.path().join(file), copy.path().join(file)).unwrap();
        }
        copy
    }

    fn sandbox(&self, environment: &Environment) -> Sandbox {
        let mode = SandboxMode::Bubblewrap;
        environment.sandbox(mode, &self.python).unwrap()
    }
}

#[test]
fn what_an_install_leaves_is_in_every_workspace_and_its_folder_is_read_only() {
    let bench = Bench::new();
    let install = "mkdir $EGSS_ENVIRONMENT/lib && echo kept > $EGSS_ENVIRONMENT/lib/a.txt \
                   && pwd > where.txt && mkdir -p pkg && echo built > pkg/fast.so";
    let mut spec = bench.spec(install);
    spec.prepare = vec!["echo '# prepared' >> setup.py".into()];
    spec.variables = [("LIB".to_owned(), "{environment}/lib".to_owned())].into();
    let environment = bench.build(&spec).unwrap();
    assert!(environment.id.starts_with("bench-"), "{}", environment.id);
    assert_eq!(environment.built.n_artefacts, 3);

    let workspace = bench.copy();
    let git = TempDir::new().unwrap();
    let shadow = Shadow::open(git.path()).unwrap();
    let base = shadow.snapshot(workspace.path()).unwrap();
    environment.furnish(workspace.path()).unwrap();
    // A tree is furnished without a workspace.
    assert_eq!(
        environment.furnished(&shadow, &base).unwrap(),
        shadow.snapshot(workspace.path()).unwrap()
    );
    let text = |path: &str| fs::read_to_string(workspace.path().join(path)).unwrap();
    assert_eq!(text("setup.py"), "# version 1\n# prepared\n");
    assert_eq!(text("pkg/fast.so"), "built\n");

    let sandbox = bench.sandbox(&environment);
    let shell = |line: &str| {
        let output = sandbox.shell(workspace.path(), line, &Limits::default());
        output.unwrap().text
    };
    assert_eq!(shell("cat $LIB/a.txt"), "kept\n");
    // An editable install points to where the repository was.
    assert_eq!(shell("pwd; cat where.txt"), "/workspace\n/workspace\n");
    let refused = shell("echo x > $LIB/a.txt");
    assert!(refused.contains("Read-only"), "{refused}");
    assert_eq!(environment.faults(), [] as [String; 0]);
}

#[test]
fn an_environment_is_built_once_and_found_by_what_it_hangs_on() {
    let bench = Bench::new();
    let spec = bench.spec("date +%N > built.txt");
    let first = bench.build(&spec).unwrap();
    let mut steps = Vec::new();
    let again = bench.build_on(&spec, bench.copy().path(), &mut |step| {
        steps.push(step.to_owned());
    });
    assert_eq!(again.unwrap(), first);
    assert_eq!(steps, [] as [String; 0]);
    assert_eq!(bench.store.find(&spec, bench.repo.path()).unwrap(), first);

    // Of the same spec another packaging file makes another environment; code does not.
    fs::write(bench.repo.path().join("mod.py"), "x = 2\n").unwrap();
    assert_eq!(bench.store.find(&spec, bench.repo.path()).unwrap(), first);
    fs::write(bench.repo.path().join("setup.py"), "# version 2\n").unwrap();
    let missing = bench.store.find(&spec, bench.repo.path()).unwrap_err();
    assert!(missing.to_string().contains("egss env build"), "{missing}");

    bench.store.remove(&first.id).unwrap();
    assert!(bench.store.list().unwrap().is_empty());
}

#[test]
fn a_build_that_fails_says_which_command_and_is_not_taken_for_an_environment() {
    let bench = Bench::new();
    let spec = bench.spec("echo first; echo 'no compiler' >&2; exit 3");
    let error = bench.build(&spec).unwrap_err().to_string();
    for part in ["ended with status 3", "no compiler", "build.log"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains('\n'), "{error}");
    let kept = bench.store.list().unwrap();
    assert_eq!(kept.len(), 1);
    let why = kept[0].environment.as_ref().unwrap_err();
    assert!(why.contains("was not built to its end"), "{why}");
    let log = fs::read_to_string(kept[0].dir.join("build.log")).unwrap();
    assert!(
        log.contains("first") && log.contains("no compiler"),
        "{log}"
    );
    // The next build begins anew.
    let missing = EnvironmentSpec {
        python: Some("3.99".into()),
        ..EnvironmentSpec::default()
    };
    let error = bench.build(&missing).unwrap_err().to_string();
    assert!(error.contains("Python 3.99 was not found"), "{error}");
}

#[test]
fn a_virtual_environment_is_made_and_one_that_lost_its_interpreter_is_told() {
    let bench = Bench::new();
    let spec = EnvironmentSpec {
        name: "venv".into(),
        python: Some(bench.python.to_string_lossy().into_owned()),
        ..EnvironmentSpec::default()
    };
    let environment = bench.build(&spec).unwrap();
    assert!(environment.built.python_version.is_some());
    let workspace = bench.copy();
    let sandbox = bench.sandbox(&environment);
    let line = "import sys, mod; print(sys.prefix != sys.base_prefix, mod.x)";
    let output = sandbox.run(
        workspace.path(),
        &["python3", "-c", line],
        &Limits::default(),
    );
    assert_eq!(output.unwrap().text, "True 1\n");
    assert_eq!(environment.faults(), [] as [String; 0]);

    fs::remove_file(environment.python().unwrap()).unwrap();
    let faults = environment.faults();
    assert!(faults[0].contains("is broken"), "{faults:?}");
    assert!(faults[0].contains("egss env build --again"), "{faults:?}");
}

#[test]
fn services_answer_for_hosts_beside_every_command_and_end_with_it() {
    let bench = Bench::new();
    let mut spec = bench.spec("true");
    spec.hosts = vec!["service.example".into()];
    spec.services = vec![Service {
        run: "python3 -m http.server 80 --bind 127.0.0.1".into(),
        port: 80,
    }];
    let environment = bench.build(&spec).unwrap();
    let workspace = bench.copy();
    let sandbox = bench.sandbox(&environment);
    let ask = "import urllib.request as r; \
               print(r.urlopen('http://service.example/mod.py').read().decode())";
    for _ in 0..2 {
        let argv = ["python3", "-c", ask];
        let output = sandbox.run(workspace.path(), &argv, &Limits::default());
        assert_eq!(output.unwrap().text, "x = 1\n\n");
    }
    spec.services[0].run = "echo broken; exit 1".into();
    let environment = bench.build(&spec).unwrap();
    let output = bench
        .sandbox(&environment)
        .shell(workspace.path(), "echo on", &Limits::default())
        .unwrap();
    assert!(
        output.text.contains("port 80 did not start"),
        "{}",
        output.text
    );
    assert!(output.text.contains("broken"), "{}", output.text);
}

#[test]
fn commands_in_an_environment_are_always_confined() {
    let bench = Bench::new();
    let environment = bench.build(&bench.spec("true")).unwrap();
    let error = environment
        .sandbox(SandboxMode::UnsafeNone, &bench.python)
        .unwrap_err()
        .to_string();
    assert!(error.contains("leave out --unsafe-no-sandbox"), "{error}");
}

/// An archive as `docker export` writes it: a shell with its libraries, a file that only the
/// image has, and an older checkout of the repository with what an install left in it.
fn archive_of_an_image(at: &Path) {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let libraries = std::process::Command::new("ldd").arg("/bin/sh").output();
    let libraries = String::from_utf8(libraries.unwrap().stdout).unwrap();
    let libraries = libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/bin/sh"]) {
        let copy = root.path().join(file.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    put("etc/release", "the image\n");
    put("testbed/mod.py", "x = 0\n");
    put("testbed/pkg/fast.so", "built\n");
    put("dev/console", "not unpacked\n");
    // Nobody but their owner could read them, and nothing could be put below.
    let private = root.path().join("home/app");
    fs::create_dir_all(&private).unwrap();
    for (path, mode) in [("home/app", 0o500), ("etc/release", 0o200)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(root.path().join(path), mode).unwrap();
    }
    let tar = std::process::Command::new("tar")
        .arg("-cf")
        .arg(at)
        .args(["--mode=u+r", "-C"])
        .arg(root.path())
        .arg(".")
        .status();
    assert!(tar.unwrap().success());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(private, mode).unwrap();
}

#[test]
fn an_image_stands_in_the_place_of_the_machine() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    archive_of_an_image(&archive);
    let spec = EnvironmentSpec {
        workdir: Some("/testbed".into()),
        ..EnvironmentSpec::of_image(&archive.display().to_string()).unwrap()
    };
    let environment = bench.build(&spec).unwrap();
    assert!(
        environment.id.starts_with("image.tar-"),
        "{}",
        environment.id
    );
    // The repository's own version of a file stays.
    let workspace = bench.copy();
    environment.furnish(workspace.path()).unwrap();
    let text = |path: &str| fs::read_to_string(workspace.path().join(path)).unwrap();
    assert_eq!(text("mod.py"), "x = 1\n");
    assert_eq!(text("pkg/fast.so"), "built\n");

    let sandbox = bench.sandbox(&environment);
    let shell = |line: &str| {
        let output = sandbox.shell(workspace.path(), line, &Limits::default());
        output.unwrap().text
    };
    assert_eq!(
        shell("read line < /etc/release; echo $line; pwd"),
        "the image\n/testbed\n"
    );
    let of_machine = "for place in /usr/bin/env /dev/console $HOME/.. /home/app; do \
                      test -s $place && echo $place; done; test -e /bin/ls || echo none";
    assert!(
        shell(of_machine).ends_with("none\n"),
        "{}",
        shell(of_machine)
    );
    assert!(!shell(of_machine).contains("/usr/bin/env"));
    for place in ["/etc/release", "/home/app/x", "/x"] {
        let refused = shell(&format!("echo x > {place}"));
        assert!(!refused.is_empty(), "{place} could be written");
    }
    shell("echo written > here.txt");
    assert_eq!(text("here.txt"), "written\n");

    // The image has no Python: what only reads text is read by the machine's.
    let own = sandbox.own_python().unwrap();
    let argv = [
        own,
        "-c",
        "import os; print(os.getcwd(), open('mod.py').read())",
    ];
    let output = sandbox.run(workspace.path(), &argv, &Limits::default());
    assert_eq!(output.unwrap().text, "/testbed x = 1\n\n");
    assert_eq!(environment.faults(), [] as [String; 0]);
}

#[test]
fn an_image_that_cannot_be_had_is_told_in_one_sentence() {
    let bench = Bench::new();
    let spec = EnvironmentSpec::of_image("no.example/egss/no-such-image:1").unwrap();
    let error = bench.build(&spec).unwrap_err().to_string();
    assert!(
        !error.contains('\n') && error.contains("no-such-image"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    fs::write(&archive, "no archive").unwrap();
    let spec = EnvironmentSpec::of_image(&archive.display().to_string()).unwrap();
    let error = bench.build(&spec).unwrap_err().to_string();
    assert!(error.contains("`tar -x` failed"), "{error}");
}

#[test]
fn compiled_files_are_made_anew_where_a_source_of_theirs_changed() {
    let bench = Bench::new();
    let mut spec = bench.spec("true");
    spec.rebuild = Some(Rebuild {
        run: "test ! -e broken.pyx || { echo 'broken.pyx: no'; exit 1; }; echo built > fast.so"
            .into(),
        when: vec!["*.pyx".into()],
    });
    let environment = bench.build(&spec).unwrap();
    let sandbox = bench.sandbox(&environment);
    let workspace = bench.copy();
    let rebuild = |changed: &[&str]| {
        let changed: Vec<String> = changed.iter().map(|path| (*path).to_owned()).collect();
        let built = sandbox.rebuild(workspace.path(), &changed, &Limits::default());
        (built.unwrap(), workspace.path().join("fast.so").exists())
    };
    assert_eq!(rebuild(&["mod.py"]), (None, false));
    assert_eq!(rebuild(&["mod.py", "pkg/fast.pyx"]), (None, true));
    fs::write(workspace.path().join("broken.pyx"), "").unwrap();
    let why = rebuild(&["broken.pyx"]).0.unwrap();
    assert!(why.ends_with("fails: broken.pyx: no"), "{why}");
}
