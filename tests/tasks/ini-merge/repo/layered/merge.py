"""Laying one set of sections over another."""


def merge(*layers):
    """New sections that hold the settings of all layers; later ones win."""
    result = {}
    for layer in layers:
        for name, values in layer.items():
            result.setdefault(name, {}).update(values)
    return result
