"""Recipes: read them, scale them, shop for them."""
