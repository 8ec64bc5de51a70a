"""Batches on their way to the trainer: split over ranks, and made by loader workers."""

import torch


def test_rows_are_dealt_out_and_a_rank_without_one_idles(bench):
    from rexplug.engine.loader import data_spec
    from rexplug.engine.tensor_row import unpack_fields

    stream = bench().stream("first")

    def first(rank: int = 0, world: int = 1) -> dict[str, object]:
        return next(iter(data_spec(stream, stream.start, rank, world).dataloader))

    whole = first()
    assert len(unpack_fields(whole)) == 2
    parts = [first(rank, 3) for rank in range(3)]
    rows = [row for part in parts for row in unpack_fields(part)]
    assert [len(row.token_ids) for row in rows] == [stream.row_tokens] * 3, "a row of another width is compiled again"
    assert sum(row.num_masked for row in unpack_fields(whole)) == sum(row.num_masked for row in rows)
    idle = rows[2]
    assert (idle.num_tokens, idle.num_masked, len(idle.masked)) == (0, 0, 0)
    assert sum(idle.lengths) == stream.row_tokens
    assert max(idle.lengths) == stream.context
    for part in parts:
        assert part["about"].pop("documents").tolist() == whole["about"]["documents"].tolist()
        assert part["about"].items() <= whole["about"].items(), "metrics are those of the global batch"


def test_loader_workers_give_the_batches_of_the_process_itself(bench):
    from rexplug.engine.loader import data_spec

    stream = bench().stream("first")
    alone, beside = (list(data_spec(stream, stream.start, workers=workers).dataloader) for workers in (0, 2))
    assert len(alone) == len(beside) > 3
    for one, other in zip(alone, beside, strict=True):
        assert one["about"].pop("documents").tolist() == other["about"].pop("documents").tolist()
        assert one["about"] == other["about"]
        assert all(torch.equal(one["fields"][name], other["fields"][name]) for name in one["fields"])
        assert [one[key] for key in ("sizes", "lengths", "num_tokens")] == [
            other[key] for key in ("sizes", "lengths", "num_tokens")
        ]
