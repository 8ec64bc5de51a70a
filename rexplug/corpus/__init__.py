"""Documents: curation on datatrove.

Nothing is imported here: sources and filters are loaded whenever plugins are listed, and must not bring curation along.
"""
