"""What heads a comparison's table."""

from rexplug.report.compare import Comparison


def heads(*models):
    made = Comparison(models, ())
    return made.varied, made.heads


def test_what_all_labels_share_is_said_once():
    assert heads("masking=random rate:0.15", "masking=guided_mlm.whole_word") == (
        "masking",
        [["random rate:0.15"], ["guided_mlm.", "whole_word"]],
    )


def test_labels_that_differ_in_more_than_a_value_stay_whole():
    for models in (["a=1 b=2", "a=1 b=3"], ["runs/a", "masking=random"], ["masking=random"], ["a=1", "b=1"]):
        assert heads(*models) == (None, [[model] for model in models])
