"""A player for playlists."""

from jukebox.player import Player
from jukebox.playlist import Playlist

__all__ = ["Player", "Playlist"]
