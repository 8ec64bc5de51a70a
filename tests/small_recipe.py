"""A small recipe of one phase, which tests of different packages complete with their own sources, tokenizer and model."""


def small_recipe(
    sources: str,
    *,
    name: str = "small",
    tokenizer: str = "{use: train, vocabulary: 320}",
    model: str = "{size: nano}",
    source: str = "web",
    more: str = "",
) -> str:
    """The recipe as YAML text: `sources` is the value of that key, `source` has the whole mixture, `more` are further keys."""
    return f"""\
name: {name}
sources: {sources}
tokenizer: {tokenizer}
model: {model}
phases:
  - name: anneal
    tokens: 20k
    context: 64
    batch_tokens: 512
    learning_rate: {{peak: 1e-3, schedule: linear}}
    mixing: {{use: annealing.constant, shares: {{{source}: 1}}}}
    masking: random
{more}"""
