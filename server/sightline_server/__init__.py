"""Triton without Docker: a launcher, and Python-based stand-ins for the native backends."""
