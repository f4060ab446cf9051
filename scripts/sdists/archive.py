"""Source distributions from PyPI, unpacked, and environments for their tests."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

from fetching import last_line, pip_download
from tasks.checks import Failure

# A release by name and version, as PyPI writes both.
RELEASE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!_-]+)")


def parts(release: str) -> "tuple[str, str]":
    """Name and version; a failure if `release` is not NAME==VERSION."""
    found = RELEASE.fullmatch(release)
    if found is None:
        raise Failure(f"{release!r} is no NAME==VERSION, as in toolz==1.0.0")
    return found.group(1), found.group(2)


def unpacked(release: str, folder: Path) -> Path:
    """The project's root below `folder`, where the archive of `release` is fetched to.

    An archive that lies there is not fetched again.
    """
    name, version = parts(release)
    folder.mkdir(parents=True, exist_ok=True)
    archive = archive_in(folder, name, version)
    if archive is None:
        command = pip_download(release, folder, "--no-binary", name)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        archive = archive_in(folder, name, version)
        if done.returncode != 0 or archive is None:
            raise Failure(
                f"pip could not fetch the source distribution of {release} (is there such a"
                f" release, and a network?): {last_line(done.stderr or done.stdout)}"
            )
    with tarfile.open(archive) as files:
        # Not in every Python that the scripts run under.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        files.extractall(folder, **safe)
        top = PurePosixPath(files.getnames()[0]).parts[0]
    return folder / top


def archive_in(folder: Path, name: str, version: str) -> "Path | None":
    wanted = spelled_alike(f"{name}-{version}.tar.gz")
    found = [path for path in folder.glob("*.tar.gz") if spelled_alike(path.name) == wanted]
    return found[0] if found else None


def spelled_alike(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def environment(folder: Path, *packages: "str | Path") -> Path:
    """The interpreter of a virtual environment in `folder` that has `packages`."""
    python = folder / "bin" / "python"
    make = [sys.executable, "-m", "venv", folder]
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *packages]
    for command in [pip] if python.exists() else [make, pip]:
        words = [str(word) for word in command]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(
                f"no environment could be made in {folder}: {last_line(done.stderr or done.stdout)}"
            )
    return python
