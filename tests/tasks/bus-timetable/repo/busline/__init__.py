"""Departures of a bus stop."""
