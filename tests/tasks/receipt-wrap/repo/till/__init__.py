"""Receipts for a printer with narrow paper."""
