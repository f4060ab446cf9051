"""How long the rain barrel lasts."""
