"""The settings that a program sees."""

from layered.environment import from_environment
from layered.ini import dump, parse
from layered.merge import merge

_TRUE = {"1", "yes", "true", "on"}
_FALSE = {"0", "no", "false", "off"}


class Settings:
    def __init__(self, sections):
        self._sections = sections

    def get(self, section, key, default=None):
        return self._sections.get(section, {}).get(key, default)

    def get_bool(self, section, key, default=False):
        """A setting as a truth value."""
        text = self.get(section, key)
        if text is None:
            return default
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValueError(f"[{section}] {key} is neither true nor false: {text}")

    def to_text(self):
        return dump(self._sections)


def load(*texts, variables=None, prefix="APP_"):
    """Settings from ini texts, with environment variables over them."""
    layers = [parse(text) for text in texts]
    layers.append(from_environment(variables or {}, prefix))
    return Settings(merge(*layers))
