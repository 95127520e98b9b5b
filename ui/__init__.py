"""Command line and window."""
