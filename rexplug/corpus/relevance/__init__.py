"""The relevance classifier: sample, labels, audit, training, threshold, filter."""

from rexplug.corpus.relevance.train import train_relevance

__all__ = ["train_relevance"]
