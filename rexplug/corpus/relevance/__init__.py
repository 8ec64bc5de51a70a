"""The relevance classifier: sample, labels, audit, training, threshold, filter.

Nothing is imported here: the filter and the labellers are loaded whenever plugins are listed, and must not bring training along.
"""
