"""Tagging over HTTP, on this machine alone, and a page for it."""
