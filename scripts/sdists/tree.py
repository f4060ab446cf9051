"""The files of a source distribution that a task's repository has."""

from pathlib import Path, PurePosixPath

from tasks.checks import Failure

# A task is a line of JSON, which is read whole.
TASK_BYTES_MAX = 3_000_000
# Left out at the root: documentation, and products of the build.
FOLDERS_LEFT_OUT = {"docs", "doc", "artwork", "debian"}
FILES_LEFT_OUT = {"PKG-INFO"}
# A source in one of these is code that runs tests or builds, and gets no defect.
NO_SOURCE = {"tests", "test", "testing", "docs", "examples", "benchmarks", "scripts", "tools"}


def files_of(root: Path) -> "dict[str, str]":
    """Text by path, in order; a failure if it is too much for a task."""
    found = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if not path.is_file() or path.is_symlink() or is_left_out(inside.parts):
            continue
        try:
            found[inside.as_posix()] = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
    size = sum(map(len, found.values()))
    if size > TASK_BYTES_MAX:
        raise Failure(
            f"{root.name} has {size / 1e6:.1f} MB of text, and a task holds"
            f" {TASK_BYTES_MAX / 1e6:.0f} MB"
        )
    return found


def is_left_out(parts: "tuple[str, ...]") -> bool:
    return (
        parts[0] in FOLDERS_LEFT_OUT
        or parts[-1] in FILES_LEFT_OUT
        or any(part.endswith(".egg-info") or part == "__pycache__" for part in parts)
        or ".git" in parts
    )


def is_source(path: str) -> bool:
    """Whether a file is the package's own code, by the names that `egss` knows tests by."""
    *folders, name = PurePosixPath(path).parts
    stem = name[: -len(".py")]
    is_test = stem.startswith("test_") or stem.endswith("_test") or stem in ("tests", "conftest")
    # Code at the root builds the package, or is a package of one file.
    is_build = not folders and stem in ("setup", "noxfile", "tasks")
    return (
        name.endswith(".py")
        and not is_test
        and not is_build
        and NO_SOURCE.isdisjoint(folders)
        # Code of others, which may be anything.
        and not any("vendor" in folder for folder in folders)
    )


def write(files: "dict[str, str]", folder: Path) -> None:
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
