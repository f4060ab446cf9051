"""Specs of the environments of SWE-bench's instances, from the package `swebench`.

Called as `python3 -I -B THIS REQUEST REPLY`. REQUEST is a JSON file `{"tasks": [task],
"adaptions": {name: adaption}}`. A task has `instance_id`, `repo`, `version`, `commit` (of
which requirement files are read), `git_dir` (a clone, or null), `test_patch` and `has_image`
(everything is installed in it). REPLY gets
`{instance_id: {"spec": environment, "targets": [test target]} or {"why": sentence}}`.

An adaption changes what the package says where its images hold something else by now, or
where conda and root are assumed; see adaptions.toml.
"""

import json
import re
import subprocess
import sys

from swebench.harness.constants import (
    MAP_REPO_TO_ENV_YML_PATHS,
    MAP_REPO_TO_REQS_PATHS,
    MAP_REPO_VERSION_TO_SPECS,
    NON_TEST_EXTS,
)

# Conda's names of packages that PyPI has under another one; none for those that are no
# Python packages.
PYPI_NAMES = {
    "cdms2": None,
    "dask-core": "dask",
    "hdf5": None,
    "iris": "scitools-iris",
    "matplotlib-base": "matplotlib",
    "netcdf4": "netCDF4",
    "pip": None,
    "pytables": "tables",
    "python": None,
}
# The first words of commands that prepare an image and not the repository.
IMAGE_COMMANDS = ("apt-get", "apt", "wget", "locale-gen", "tar", "mkdir", "QHULL_")


# Packages that conda puts into every environment.
SEED = ["pip", "setuptools", "wheel"]


class Unknown(Exception):
    """A sentence on a task that nothing is known of."""


def read(task, path):
    """A file of the task's commit; `None` where there is none."""
    if task["git_dir"] is None:
        return None
    command = ["git", "-c", "safe.directory=*", "--git-dir", task["git_dir"], "show"]
    shown = subprocess.run(command + [f"{task['commit']}:{path}"], capture_output=True)
    return shown.stdout.decode("utf-8", "replace") if shown.returncode == 0 else None


def first_of(task, paths, kind):
    for path in paths:
        text = read(task, path)
        if text is not None:
            return path, text
    raise Unknown(f"its commit {task['commit'][:12]} has no {kind} ({', '.join(paths)})")


def requirements(task, paths):
    """Lines of a requirement file, those that it names in front."""
    path, text = first_of(task, paths, "requirement file")
    folder = path.rpartition("/")[0]
    own, named = [], []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("-r"):
            other = f"{folder}/{line[2:].strip()}".lstrip("/")
            named += packages_in(read(task, other) or "")
        else:
            own += packages_in(line)
    return named + own


def packages_in(text):
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    # The repository itself is installed afterwards.
    return [line for line in lines if line and not line.startswith(("-", ".", "git+"))]


def conda_packages(task, paths):
    """Packages of an environment file, by their names on PyPI."""
    text = first_of(task, paths, "environment file")[1]
    listed = text.split("dependencies:", 1)[-1]
    found = []
    for name in re.findall(r"^\s*-\s+([^\s#]+)\s*(?:#.*)?$", listed, re.M):
        name = name.partition("::")[2] or name
        if name.endswith(":"):
            continue
        stem = re.split(r"[=<>!~]", name)[0]
        pypi = PYPI_NAMES.get(stem, stem)
        if pypi is not None:
            # Conda's `a=1.2` is `a==1.2.*`.
            found.append(
                re.sub(r"^([^=<>!~]+)=([^=].*)$", r"\1==\2.*", name.replace(stem, pypi, 1))
            )
    return found


def packages(task, spec):
    kind = spec.get("packages", "")
    if kind == "requirements.txt":
        return requirements(task, MAP_REPO_TO_REQS_PATHS[task["repo"]])
    if kind == "environment.yml":
        return conda_packages(task, MAP_REPO_TO_ENV_YML_PATHS[task["repo"]])
    return kind.split()


def name_of(requirement):
    return re.split(r"[\s=<>!~\[;]", requirement)[0].lower().replace("_", "-")


def newest_wish_wins(listed):
    """Of requirements of one name the last: `pip_packages` come behind the rest."""
    return list({name_of(line): line for line in listed}.values())


def as_list(value):
    return [value] if isinstance(value, str) else list(value)


def in_place(command):
    """An install by uv that leaves the repository where it is: `python -m pip install -v .`
    becomes `uv pip install -e .`, so that a patch is seen without another install."""
    what = re.search(r"\bpip install\b.*?\s(\.(?:\[[\w,]+\])?)\s*(?:-|$)", command)
    return f"uv pip install -e {what[1]}" if what else command


def variables(spec):
    """Those that the evaluation's commands export."""
    lines = spec.get("eval_commands", [])
    found = (re.match(r"export (\w+)=(.*)$", line) for line in lines)
    return {match[1]: match[2].strip("'\"") for match in found if match}


def targets(task):
    """The test files of a test patch, in the form that the test command takes."""
    files = re.findall(r"^diff --git a/.* b/(.*)$", task["test_patch"], re.M)
    files = [path for path in files if not path.endswith(tuple(NON_TEST_EXTS))]
    if task["repo"] != "django/django":
        return files
    # Modules below `tests`.
    bare = (re.sub(r"\.py$", "", path) for path in files)
    return [re.sub("^tests/", "", path).replace("/", ".") for path in bare]


def environment(task, adaptions):
    try:
        spec = MAP_REPO_VERSION_TO_SPECS[task["repo"]][task["version"]]
    except KeyError:
        raise Unknown(
            f"the package swebench knows no version {task['version']!r} of {task['repo']}"
        ) from None
    lines = spec.get("pre_install", [])
    prepare = [line for line in lines if not line.startswith(IMAGE_COMMANDS)]
    made = {
        "name": f"{task['repo'].rpartition('/')[2]}-{task['version']}",
        "python": spec["python"],
        "packages": newest_wish_wins(SEED + packages(task, spec) + spec.get("pip_packages", [])),
        "prepare": prepare,
        "install": [in_place(line) for line in as_list(spec.get("install", []))],
        "test": as_list(spec["test_cmd"])[-1],
        # A workspace has no history to tell a version by.
        "variables": {**variables(spec), "SETUPTOOLS_SCM_PRETEND_VERSION": f"{task['version']}.0"},
    }
    # The general ones first.
    for name in ("", task["repo"], f"{task['repo']}@{task['version']}"):
        adaption = adaptions.get(name, {})
        if task["has_image"]:
            adaption = {key: adaption[key] for key in adaption if key == "rebuild"}
        adapt(made, adaption)
    return made


def adapt(made, adaption):
    """Lists and tables under `add` go behind what is there, packages under `drop` are left
    out; all else takes its place."""
    adaption = dict(adaption)
    dropped = adaption.pop("drop", [])
    for key, more in adaption.pop("add", {}).items():
        if isinstance(more, dict):
            made.setdefault(key, {}).update(more)
        else:
            made[key] = made.get(key, []) + more
    made.update(adaption)
    wanted = newest_wish_wins(made["packages"])
    made["packages"] = [line for line in wanted if name_of(line) not in dropped]


def main(request_path, reply_path):
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    reply = {}
    for task in request["tasks"]:
        try:
            made = environment(task, request["adaptions"])
            reply[task["instance_id"]] = {"spec": made, "targets": targets(task)}
        except Unknown as unknown:
            reply[task["instance_id"]] = {"why": str(unknown)}
    with open(reply_path, "w", encoding="utf-8") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
