"""Finds free rooms for meetings, one day at a time."""
