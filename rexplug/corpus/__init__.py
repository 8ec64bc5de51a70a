"""Curation: sources, filters, deduplication, decontamination and the relevance classifier.

Nothing is imported here: sources and filters are loaded whenever plugins are listed, and must not bring curation along.
"""
