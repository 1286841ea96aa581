"""Load tests, profiles and reports."""
