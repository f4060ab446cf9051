"""The releases that `make-mutations --sdists` makes tasks of."""

# Each is pure Python under an MIT, BSD or Apache licence, and no repository of SWE-bench. Its tests
# run from the source tree. Beside each stand the packages that it or its tests import.
PACKAGES = {
    "boltons==25.0.0": [],
    "click==8.2.1": [],
    "jinja2==3.1.6": ["markupsafe==3.0.2"],
    "marshmallow==4.0.0": ["simplejson==3.20.1"],
    "more-itertools==10.7.0": [],
    "parso==0.8.4": [],
    "sqlparse==0.5.3": [],
    "tomlkit==0.13.3": ["PyYAML==6.0.2"],
    "toolz==1.0.0": [],
    "voluptuous==0.15.2": [],
}
# Pinned, as the explanations of failed assertions are part of issues.
RUNNERS = ["pytest==8.4.2", "pytest-timeout==2.4.0", "coverage==7.10.7"]


def needs() -> "list[str]":
    """All that an environment for these packages has. It is the same for each of them, so that
    one `--python` serves a task file, and a package's tasks hang on no other package."""
    return sorted({*RUNNERS, *(need for more in PACKAGES.values() for need in more)})
