"""The model as Composer trains it: gradients do not depend on how a batch is cut, and the host never waits for the device."""

from dataclasses import replace

import pytest
import torch
from engine.helpers import lines_of, outcome


def test_the_gradient_is_that_of_the_sum_over_the_batch_however_it_is_cut_into_rows(bench, phase):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import to_tensors
    from rexplug.model import load_model
    from rexplug.model.packed import use_packed_attention

    assert made.train("first")["steps"] == 1
    stream = made.stream("first")
    batch, after = stream.next(stream.start)
    assert len({row.num_masked for row in batch.rows}) > 1, "rows of unlike weight are the point"
    model = load_model(made.run.checkpoints / "initial")
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, "blocks")
    loss = sum(wrapped({"rows": [row]})["loss"] for row in to_tensors(batch, after)["rows"]) / batch.num_masked
    loss.backward()
    assert lines_of(made)[0]["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
    # After one step the first moment, freed of its bias, is the gradient.
    moments = outcome(made)["first_moments"]
    gradients = [
        parameter.grad
        for parameter in [p for p in model.parameters() if p.ndim > 1] + [p for p in model.parameters() if p.ndim == 1]
    ]
    assert len(moments) == len(gradients)
    for moment, gradient in zip(moments, gradients, strict=True):
        assert float((moment - gradient).abs().max()) <= 1e-5 * float(gradient.abs().max())


def test_concatenated_rows_give_the_sum_of_their_losses_and_gradients(bench, phase):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import to_tensors
    from rexplug.model import build_model
    from rexplug.model.packed import use_packed_attention

    stream = made.stream("first")
    rows = to_tensors(*stream.next(stream.start))["rows"]
    assert len(rows) > 2
    # The packer fills these rows to the last token, but others it cannot: padding between rows is the point.
    for place, width in enumerate((5, 0, 3)):
        padded = torch.nn.functional.pad(rows[place].token_ids, (0, width), value=stream.special.pad)
        rows[place] = replace(rows[place], token_ids=padded)
    model = build_model(made.recipe.model, stream.special, context=64, seed=0)
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, "blocks")

    def run(groups):
        model.zero_grad()
        wrapped.reset()
        for group in groups:
            wrapped({"rows": group})["loss"].backward()
        return wrapped.totals.clone(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    totals, gradient = run([[row] for row in rows])
    together, of_all = run([rows])
    assert torch.allclose(totals, together, rtol=1e-6)
    assert float((gradient - of_all).abs().max()) <= 1e-5 * float(gradient.abs().max())


@pytest.mark.parametrize("backend", ["eager", "sdpa", "varlen"])
def test_the_host_never_waits_for_what_the_device_holds(bench, phase, backend):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from composer.devices import DeviceCPU

    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import data_spec
    from rexplug.model import build_model
    from rexplug.model.packed import use_packed_attention

    class Meta(DeviceCPU):
        """A meta tensor has a shape and no content: code that reads a value of it fails, where on a GPU it would wait."""

        def tensor_to_device(self, tensor):
            return tensor.to("meta")

    stream = made.stream("first")
    spec = data_spec(stream, stream.start)
    batch = Meta().batch_to_device(next(iter(spec.dataloader)))
    rows = [row for microbatch in spec.split_batch(batch, 1) for row in microbatch["rows"]]
    with pytest.raises(NotImplementedError):
        rows[0].cu_seqlens.tolist()
    model = build_model(made.recipe.model, stream.special, context=64, seed=0).to("meta")
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, backend)
    wrapped.totals = wrapped.totals.to("meta")
    assert spec.get_num_tokens_in_batch(batch, "total") == batch["about"]["num_tokens"]
    for size in (1, len(rows)):
        for microbatch in spec.split_batch(batch, size):
            wrapped(microbatch)["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
