"""Splits text into words, in any script."""
