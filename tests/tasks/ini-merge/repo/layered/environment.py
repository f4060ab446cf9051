"""Settings from environment variables."""

SEPARATOR = "__"


def from_environment(variables, prefix):
    """The sections that variables with a prefix describe.

    Other variables, and those without section and key, are passed over.
    """
    sections = {}
    for name, value in sorted(variables.items()):
        if not name.startswith(prefix):
            continue
        rest = name.lstrip(prefix).lower()
        section, _, key = rest.partition(SEPARATOR)
        if section and key:
            sections.setdefault(section, {})[key] = value
    return sections
