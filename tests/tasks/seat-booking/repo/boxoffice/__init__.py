"""Seats in a theatre, and who has them."""
