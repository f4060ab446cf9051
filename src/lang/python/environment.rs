//! The environment that a Python repository asks for, read from its packaging files.
use crate::lang::TextFile;
use crate::workspace::EnvironmentSpec;
use std::path::Path;

/// Extras and dependency groups that hold what tests need.
const TEST_EXTRAS: [&str; 6] = ["test", "tests", "testing", "dev", "develop", "all"];

/// Requirement files, by their usual names: what tests need first.
const REQUIREMENT_FILES: [&str; 9] = [
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements_test.txt",
    "test-requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/test.txt",
    "requirements/dev.txt",
];

/// The newest interpreter there is.
const ANY_PYTHON: &str = "3";

/// The environment that the files of `dir` ask for: an interpreter (`.python-version`, the bound of
/// `requires-python`), requirement files, `deps` of tox, packages of `environment.yml` by
/// their names on PyPI, extras with tests, the repository itself in place. With pytest in any
/// case.
pub(super) fn environment(dir: &Path, files: &[String]) -> EnvironmentSpec {
    let has = |path: &str| files.iter().any(|file| file == path);
    let read = |path: &str| match has(path) {
        true => TextFile::read(dir, path).map_or(String::new(), TextFile::into_text),
        false => String::new(),
    };
    let project: toml::Table = toml::from_str(&read("pyproject.toml")).unwrap_or_default();
    let mut requirements: Vec<&str> = vec!["requirements.txt"];
    requirements.extend(REQUIREMENT_FILES);
    requirements.retain(|path| has(path));
    let mut packages = vec!["pytest".to_owned()];
    packages.extend(tox_packages(&read("tox.ini")));
    packages.extend(conda_packages(&read("environment.yml")));
    packages.extend(group_packages(&project));
    let mut seen = std::collections::HashSet::new();
    packages.retain(|package| seen.insert(package.clone()));
    let is_package =
        has("setup.py") || project.contains_key("project") || project.contains_key("build-system");
    let install = is_package.then(|| {
        let extras = extras(&project, &read("setup.cfg"));
        let extras = match extras.is_empty() {
            true => String::new(),
            false => format!("[{}]", extras.join(",")),
        };
        format!("python -m pip install -e '.{extras}'")
    });
    EnvironmentSpec {
        python: Some(python(&read(".python-version"), &project)),
        packages,
        requirements: requirements.into_iter().map(Into::into).collect(),
        install: install.into_iter().collect(),
        ..EnvironmentSpec::default()
    }
}

/// A version: the one that is pinned, else the newest that the project's upper bound allows.
fn python(pinned: &str, project: &toml::Table) -> String {
    let pinned = pinned.lines().next().unwrap_or_default().trim();
    let numbers = |text: &str| -> Vec<u32> {
        let parts = text.split('.').map_while(|part| part.parse().ok());
        parts.collect()
    };
    if let [3, minor, ..] = numbers(pinned)[..] {
        return format!("3.{minor}");
    }
    let bounds = project
        .get("project")
        .and_then(|p| p.get("requires-python"));
    let bounds = bounds.and_then(toml::Value::as_str).unwrap_or_default();
    for bound in bounds.split(',').map(str::trim) {
        let (below, exact) = (bound.strip_prefix("<="), bound.strip_prefix("=="));
        let under = bound.strip_prefix('<').filter(|_| below.is_none());
        match (under, below.or(exact)) {
            (Some(text), _) => {
                if let [3, minor, ..] = numbers(text.trim())[..]
                    && minor > 0
                {
                    return format!("3.{}", minor - 1);
                }
            }
            (None, Some(text)) => {
                if let [3, minor, ..] = numbers(text.trim())[..] {
                    return format!("3.{minor}");
                }
            }
            (None, None) => {}
        }
    }
    ANY_PYTHON.to_owned()
}

/// Names of extras with tests that the project has.
fn extras(project: &toml::Table, setup_cfg: &str) -> Vec<&'static str> {
    let own = project
        .get("project")
        .and_then(|p| p.get("optional-dependencies")?.as_table());
    let declared = section(setup_cfg, "options.extras_require");
    let has = |extra: &&&str| {
        own.is_some_and(|own| own.contains_key(**extra))
            || declared.iter().any(|line| {
                line.split('=')
                    .next()
                    .is_some_and(|name| name.trim() == **extra)
            })
    };
    // One is enough: `all` and `dev` hold `test` as a rule.
    TEST_EXTRAS.iter().find(has).copied().into_iter().collect()
}

/// Packages of the dependency groups (PEP 735) with tests.
fn group_packages(project: &toml::Table) -> Vec<String> {
    let groups = project
        .get("dependency-groups")
        .and_then(toml::Value::as_table);
    let found = TEST_EXTRAS
        .iter()
        .find_map(|name| groups?.get(*name)?.as_array());
    let lines = found.into_iter().flatten().filter_map(toml::Value::as_str);
    lines.map(str::to_owned).collect()
}

/// Lines of a section of an INI file, comments and indentation left out.
fn section<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let heading = format!("[{name}]");
    let lines = text
        .lines()
        .skip_while(|line| line.trim() != heading)
        .skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| !line.trim_start().starts_with(['#', ';']));
    lines.filter(|line| !line.trim().is_empty()).collect()
}

/// `deps` of `[testenv]`; those with substitutions and conditions left out.
fn tox_packages(tox: &str) -> Vec<String> {
    let mut packages = Vec::new();
    let mut in_deps = false;
    for line in section(tox, "testenv") {
        let is_key = !line.starts_with([' ', '\t']);
        let value = match line.split_once('=') {
            Some((key, value)) if is_key => {
                in_deps = key.trim() == "deps";
                value
            }
            _ => line,
        };
        let value = value.trim();
        let is_plain = !value.is_empty() && !value.starts_with(['-', '.']);
        if in_deps && is_plain && !value.contains(['{', '$']) && !value.contains(": ") {
            packages.push(value.to_owned());
        }
    }
    packages
}

/// Conda's `name=1.2` as `name==1.2.*`; packages that are no Python's left out.
fn conda_packages(yml: &str) -> Vec<String> {
    let Some((_, listed)) = yml.split_once("dependencies:") else {
        return Vec::new();
    };
    let entries = listed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    let entries = entries.map(|entry| entry.split('#').next().unwrap_or(entry).trim());
    let named = entries.filter(|entry| {
        let name = entry.split(['=', '<', '>', ' ']).next().unwrap_or(entry);
        !entry.ends_with(':') && !matches!(name, "" | "python" | "pip")
    });
    let pinned = named.map(|entry| match entry.split_once('=') {
        Some((name, version))
            if !version.starts_with('=') && !name.ends_with(['<', '>', '!', '~']) =>
        {
            format!("{name}=={version}.*")
        }
        _ => entry.to_owned(),
    });
    pinned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(files: &[(&str, &str)]) -> EnvironmentSpec {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        environment(dir.path(), &paths)
    }

    #[test]
    fn a_modern_project_is_installed_with_its_tests_extra() {
        let text = "[project]\nname = \"a\"\nrequires-python = \">=3.8,<3.12\"\n\
                    [project.optional-dependencies]\ntest = [\"hypothesis\"]\n\
                    [dependency-groups]\ndev = [\"ruff\"]\n";
        let spec = asked(&[("pyproject.toml", text)]);
        assert_eq!(spec.python.as_deref(), Some("3.11"));
        assert_eq!(spec.packages, ["pytest", "ruff"]);
        assert_eq!(spec.install, ["python -m pip install -e '.[test]'"]);
    }

    #[test]
    fn an_old_project_says_what_it_needs_in_several_files() {
        let tox = "[tox]\nenvlist = py36\n[testenv]\ndeps =\n    mock>=2\n    -rother.txt\n    \
                   py36: x\n    {[base]deps}\ncommands = pytest\n";
        let cfg = "[options.extras_require]\ntesting =\n  nose\n";
        let spec = asked(&[
            ("setup.py", ""),
            ("setup.cfg", cfg),
            ("tox.ini", tox),
            (".python-version", "3.9.18\n"),
            ("requirements.txt", "six\n"),
            ("requirements/test.txt", "nose\n"),
            (
                "environment.yml",
                "channels:\n  - x\ndependencies:\n  - python=3.9\n  - numpy=1.20\n  - scipy>=1  # y\n  - pip:\n    - six\n",
            ),
        ]);
        assert_eq!(spec.python.as_deref(), Some("3.9"));
        assert_eq!(
            spec.packages,
            ["pytest", "mock>=2", "numpy==1.20.*", "scipy>=1", "six"]
        );
        let files = ["requirements.txt", "requirements/test.txt"];
        assert_eq!(spec.requirements, files.map(std::path::PathBuf::from));
        assert_eq!(spec.install, ["python -m pip install -e '.[testing]'"]);
    }

    #[test]
    fn a_folder_of_scripts_has_pytest_and_the_newest_interpreter() {
        let spec = asked(&[("a.py", "")]);
        assert_eq!(spec.python.as_deref(), Some("3"));
        assert_eq!(spec.packages, ["pytest"]);
        assert!(spec.install.is_empty());
    }
}
