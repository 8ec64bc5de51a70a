"""Curation: sources, filters, deduplication, decontamination and the relevance classifier."""
