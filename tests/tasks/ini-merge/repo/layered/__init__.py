"""Settings in layers: ini texts, and the environment on top."""

from layered.settings import Settings, load

__all__ = ["Settings", "load"]
