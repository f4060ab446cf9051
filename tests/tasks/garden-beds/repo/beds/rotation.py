"""Crop rotation: a family should not grow in the same bed twice in a row."""


def repeated(old_bed, new_bed):
    """The families that a bed has in both years, by name."""
    return sorted(old_bed.families() & new_bed.families())


def tired_beds(old, new):
    """Beds of both plans in which a family follows itself, with those families."""
    tired = {}
    for name in new.names():
        if name not in old.names():
            continue
        families = repeated(old.bed(name), new.bed(name))
        if families:
            tired[name] = families
    return tired
