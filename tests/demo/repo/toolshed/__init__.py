"""Bookkeeping for a neighbourhood tool library."""
