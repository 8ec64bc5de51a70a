"""What a notebook does, step by step; docs/guide/in-python.md is cut from it."""

import pytest

pytestmark = pytest.mark.slow


def test_the_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")

    # -- start imports --
    import matplotlib.pyplot as plt
    import torch

    import rexplug
    # -- end imports --

    # -- start load --
    recipe = rexplug.load_recipe(
        """
        name: notebook
        sources:
          web: {use: ecommerce.sample_pages, pages: 200}
          retail: {use: ecommerce.sample_pages, pages: 400, filters: [ecommerce.product_page]}
        curation: {decontaminate: none, held_out: 0.05}
        tokenizer: {use: train, vocabulary: 2048}
        model: {size: nano}
        defaults: {context: 256, batch_tokens: 1024}
        phases:
          - name: pretrain
            tokens: 40k
            learning_rate: {peak: 2e-3, schedule: wsd, warmup: 4k, decay: 0}
            mixing: {use: annealing.constant, shares: {web: 0.8, retail: 0.2}}
            masking: {use: random, rate: 0.3}
          - name: anneal
            tokens: 30k
            learning_rate: {peak: 2e-3, schedule: linear}
            mixing: {use: annealing.cosine, start: {web: 0.8, retail: 0.2}, end: {web: 0.1, retail: 0.9}}
            masking: {use: guided_mlm.guided, scorer: {use: ecommerce.attributes}, rate: 0.15}
        evaluators: [masked_recovery]
        """,
        ["seed=3"],
    )
    [phase.name for phase in recipe.phases]  # ['pretrain', 'anneal']
    # -- end load --
    assert [phase.name for phase in recipe.phases] == ["pretrain", "anneal"]
    assert recipe.seed == 3

    # -- start check_and_plan --
    report = rexplug.check(recipe)
    report.ok, report.problems, report.warnings  # (True, (), ())

    forecast = rexplug.plan(recipe, run_dir="runs/notebook")
    print(f"{forecast.plan.tokens:,} tokens in about {forecast.seconds:.0f} s on this machine")
    # -- end check_and_plan --
    assert (report.ok, report.problems, report.warnings) == (True, (), ())
    assert forecast.plan.tokens == 70_000

    # -- start batch --
    run = rexplug.run(recipe, run_dir="runs/notebook", until="tokenize")
    print(run.corpus["retail"])  # SourceCounts(read=400, kept=..., held_out=..., tokens=...)

    stream = rexplug.open_stream(run, "anneal")
    batch = stream.batch(step=20)
    row = batch.rows[0]
    row.token_ids.shape, row.cu_seqlens, row.sources  # one row of samples, packed one after the other
    # -- end batch --
    assert run.corpus["retail"].read == 400
    assert (batch.step, len(row.cu_seqlens)) == (20, len(row.sources) + 1)

    # -- start masks --
    tokenizer = run.load_tokenizer()
    start, end = row.cu_seqlens[:2]
    print(tokenizer.decode(row.token_ids[start:end]))  # what the model reads
    print(tokenizer.decode(row.labels[start:end][row.masked[start:end]]))  # what it predicts
    print(f"{row.num_masked / row.num_tokens:.0%} of the tokens are masked")
    # -- end masks --
    assert row.num_masked == row.masked.sum() > 0
    assert "[MASK]" in tokenizer.decode(row.token_ids)

    # -- start train --
    run = rexplug.run(recipe, run_dir="runs/notebook")  # continues after the stages that are done
    for stage in run.stages.values():
        print(f"{stage.name:<20} {stage.status:<8} {stage.seconds:6.1f} s")
    # -- end train --
    assert run.status == "done"
    assert all(stage.done for stage in run.stages.values())

    # -- start metrics --
    run.metrics[-1]["phase"], len(run.metrics)  # a row per step: phase, step, tokens, loss, learning_rate, ...
    loss = run.columns("total_tokens", "loss", "source_loss.web")  # pandas.DataFrame(loss) makes a table of it
    # -- end metrics --
    assert run.metrics[-1]["phase"] == "anneal"
    assert loss["loss"][-1] < loss["loss"][0]

    # -- start plot --
    figure, axes = plt.subplots()
    axes.plot(loss["total_tokens"], loss["loss"])
    axes.set(xlabel="tokens", ylabel="loss", title=recipe.name)
    figure.savefig("loss.png")
    # -- end plot --
    plt.close(figure)
    assert (tmp_path / "loss.png").stat().st_size > 5000

    # -- start evaluate --
    results = rexplug.evaluate([run, "random:runs/notebook/model"], recipe, run_dir="runs/notebook", out="evaluation")
    [result.label for result in results]  # ['notebook', 'random-notebook']
    # -- end evaluate --
    assert [result.label for result in results] == ["notebook", "random-notebook"]
    assert {row["moment"] for row in run.evaluations} == {"initial", "pretrain", "anneal"}

    # -- start compare --
    for finding in rexplug.compare(results).findings():
        print(finding)
    # -- end compare --
    comparison = rexplug.compare(results)
    assert list(comparison.models) == ["notebook", "random-notebook"]
    assert rexplug.compare([run, "runs/notebook@pretrain"]).models == ["notebook", "notebook@pretrain"]

    # -- start model --
    model = run.load_model()  # or AutoModelForMaskedLM.from_pretrained(run.model)
    inputs = tokenizer("Waterproof hiking [MASK] for men", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[0]
    place = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0, 0]
    print([tokenizer.decode(token) for token in logits[place].topk(5).indices])
    # -- end model --
    assert logits.shape[-1] == model.config.vocab_size
    assert torch.isfinite(logits).all()
