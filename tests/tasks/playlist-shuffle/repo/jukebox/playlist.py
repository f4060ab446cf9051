"""Playlists: a name, and tracks in the order their owner gave them."""


class Playlist:
    def __init__(self, name, tracks=()):
        self.name = name
        self.tracks = list(tracks)

    def add(self, track):
        if track in self.tracks:
            raise ValueError(f"{track} is in {self.name} already")
        self.tracks.append(track)

    def __len__(self):
        return len(self.tracks)
