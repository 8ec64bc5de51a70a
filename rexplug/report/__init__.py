"""The report, the model card and the dataset card of a run, and comparisons of models."""

from rexplug.report.card import write_card
from rexplug.report.contents import Contents
from rexplug.report.dataset_card import write_dataset_card
from rexplug.report.page import write_report

__all__ = ["Contents", "write_card", "write_dataset_card", "write_report"]
