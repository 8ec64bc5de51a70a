"""Overrides set known keys only, and are named in messages about their values."""

import pytest


def blamed(text, problem):
    return f"r.yaml has 1 problem:\n  override {text}: {problem}"


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("seed=3", lambda r: r.seed, 3),
        ("phases.two.tokens=2M", lambda r: r.phases[1].tokens, 2_000_000),
        ("phases.0.tokens=1e5", lambda r: r.phases[0].tokens, 100_000),
        ("phases.one.learning_rate.peak=1e-3", lambda r: r.phases[0].learning_rate.peak, 1e-3),
        ("phases.one.rope.global_theta=160000", lambda r: r.phases[0].rope.global_theta, 160_000.0),
        ("curation.executor.workers=2", lambda r: r.curation.executor.workers, 2),
        ("tokenizer={from: some/folder}", lambda r: r.tokenizer.from_, "some/folder"),
        ("sources.web.pages=64k", lambda r: r.sources["web"].pages, 64_000),
        ("sources.web.filters.1.min_words=3", lambda r: r.sources["web"].filters[1].min_words, 3),
        ("sources.web.filters.0.min_words=3", lambda r: r.sources["web"].filters[0].min_words, 3),
        ("sources.web.filters.toy.long.min_words=3", lambda r: r.sources["web"].filters[0].min_words, 3),
        ("sources.web.filters=[]", lambda r: r.sources["web"].filters, ()),
        ("sources.more={use: pages, paths: there}", lambda r: sorted(r.sources), ["more", "web"]),
        ("phases.one.masking.rate=0.2", lambda r: r.phases[0].masking.rate.start, 0.2),
        ("phases.two.masking.scorer.strength=7", lambda r: r.phases[1].masking.scorer.strength, 7),
        ("description=a=b", lambda r: r.description, "a=b"),
        ("evaluators=[toy.count]", lambda r: r.evaluators[0].name, "toy.count"),
    ],
)
def test_an_override_sets_its_key(load_toy, toy, override, read, value):
    assert read(load_toy(toy, override)) == value


def test_the_last_override_wins(load_toy, toy):
    assert load_toy(toy, "seed=1", "seed=2").seed == 2


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("seed", "overrides look like phases.anneal.tokens=2M"),
        ("=3", "overrides look like phases.anneal.tokens=2M"),
        ("sede=3", "sede: unknown key; did you mean 'seed'?"),
        ("phases.three.tokens=1", "unknown item phases.three; the items are one, two, or 0 to 1"),
        ("phases.2.tokens=1", "unknown item phases.2; the items are one, two, or 0 to 1"),
        ("phases.one.tokns=1", "phases.0.tokns: unknown key; did you mean 'tokens'?"),
        (
            "phases.one.learning_rate.paek=1",
            "phases.0.learning_rate.paek: unknown key; did you mean 'peak'?",
        ),
        ("phases.one.masking.rat=1", "phases.0.masking.rat: unknown key; did you mean 'rate'?"),
        ("sources.wbe.pages=1", "sources.wbe: unknown key; did you mean 'web'?"),
        ("sources.web.pagse=1", "sources.web.pagse: unknown key; did you mean 'pages'?"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("seed={}", "seed: Input should be a valid integer"),
        ("baselines=bm25", "baselines: write a list, [a, b]"),
        ("phases.one.tokens=", "phases.0.tokens: None is not an amount; write a whole number, or one with k, M, B or T, "
         "like 8192, 64k, 1e9 or 350B"),
        ("phases.one.tokens=12:30", "phases.0.tokens: '12:30' is not an amount; write a whole number, or one with k, M, "
         "B or T, like 8192, 64k, 1e9 or 350B"),
        ("model.size=huge", "model.size: Input should be 'nano', 'micro', 'mini', 'base' or 'large'"),
        (
            "phases.two.masking.scorer=toy.nubmers",
            "phases.1.masking.scorer: no SalienceScorer is called 'toy.nubmers'; did you mean 'toy.numbers'? "
            "(installed: toy.numbers)",
        ),
    ],
)  # fmt: skip
def test_a_wrong_override_is_blamed(complaint, toy, override, problem):
    assert complaint(toy, override) == blamed(override, problem)


def test_a_number_has_no_keys(complaint, toy):
    assert complaint("seed: 17\n" + toy, "seed.x=3") == blamed("seed.x=3", "seed is 17, which has no keys")


def test_an_override_that_is_not_yaml(complaint, toy):
    assert complaint(toy, "seed=[") == (
        "r.yaml has 1 problem:\n"
        "  override seed=[:1: this is not YAML: expected the node content, but found '<stream end>'"
    )


def test_all_overrides_are_looked_at(complaint, toy):
    assert complaint(toy, "sede=3", "phases.x.tokens=1") == (
        "r.yaml has 2 problems:\n"
        "  override sede=3: sede: unknown key; did you mean 'seed'?\n"
        "  override phases.x.tokens=1: unknown item phases.x; the items are one, two, or 0 to 1"
    )


def test_neighbours_of_an_override_keep_their_line(complaint, toy):
    text = toy.replace("vocabulary: 1k", "vocabulary: few")
    assert complaint(text, "tokenizer.sample=x").splitlines()[1:] == [
        "  r.yaml:4: tokenizer.vocabulary: 'few' is not an amount; write a whole number, or one with k, M, B or T, "
        "like 8192, 64k, 1e9 or 350B",
        "  override tokenizer.sample=x: tokenizer.sample: 'x' is not an amount; write a whole number, or one with k, M, "
        "B or T, like 8192, 64k, 1e9 or 350B",
    ]
