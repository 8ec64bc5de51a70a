"""The relevance classifier: sample, labels, audit, training, threshold, filter."""
