"""Paths of the things that rules protect."""


def normalise(path: str) -> str:
    """A path in its one true spelling: ``docs//plans/`` is ``/docs/plans``."""
    return "/" + "/".join(part for part in path.split("/") if part)


def depth(path: str) -> int:
    """How many steps a path is below the root."""
    return sum(1 for part in path.split("/") if part)


def covers(parent: str, path: str) -> bool:
    """Whether a path is the parent or lies below it; both are normalised."""
    if parent == "/":
        return True
    return path == parent or path.startswith(parent + "/")
