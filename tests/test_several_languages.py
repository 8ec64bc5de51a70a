"""A run on four scripts: tokenizer, temperature mixing, contrastive salience, masked recovery, and resuming after a stop."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import rexplug

from rexplug.phase_stream import phase_stream
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory
from rexplug.text.words import split_words

pytestmark = pytest.mark.slow

# Language -> parts of sentences of shops, and of other text: both contain common words of the language.
PARTS = {
    "de": (
        ["Der Stuhl", "Die Jacke", "Der Tisch", "Das Regal"], ["aus geölter Eiche", "in Größe vierzig", "mit Rückenlehne"],
        ["ist versandkostenfrei lieferbar.", "kostet im Angebot zwölf Euro.", "liegt jetzt im Warenkorb."],
        ["Der Minister", "Die alte Stadt", "Der Fluss", "Das Orchester"], ["nahe der Brücke", "seit vielen Jahren", "am Abend"],
        ["ist für die Aussicht bekannt.", "hat im Rathaus gesprochen.", "wird im Herbst besucht."],
    ),
    "ja": (
        ["この椅子は", "この上着は", "この机は", "この棚は"], ["無垢のオーク材で", "人気の新色で", "大きいサイズで"],
        ["送料無料でお届けします。", "特価で販売中です。", "カートに追加できます。"],
        ["大臣は", "古い町は", "その川は", "楽団は"], ["橋の近くで", "長い年月", "夕方になると"],
        ["景色で知られています。", "市役所で話しました。", "秋に人が訪れます。"],
    ),
    "ar": (
        ["هذا الكرسي", "هذه السترة", "هذه الطاولة", "هذا الرف"], ["من خشب البلوط", "بمقاس كبير", "باللون الأزرق"],
        ["متاح مع شحن مجاني.", "معروض بسعر مخفض.", "أضف المنتج إلى السلة."],
        ["الوزير", "المدينة القديمة", "ذلك النهر", "الفرقة الموسيقية"], ["قرب الجسر", "منذ سنوات طويلة", "عند المساء"],
        ["معروفة بالمنظر الجميل.", "تحدث في دار البلدية.", "يزوره الناس في الخريف."],
    ),
    "hi": (
        ["यह कुर्सी", "यह जैकेट", "यह मेज़", "यह अलमारी"], ["ओक की लकड़ी से", "बड़े साइज़ में", "नीले रंग में"],
        ["मुफ़्त डिलीवरी के साथ है।", "छूट पर उपलब्ध है।", "कार्ट में जोड़ी गई है।"],
        ["मंत्री जी", "पुराना शहर", "वह नदी", "वह मंडली"], ["पुल के पास", "कई वर्षों से", "शाम के समय"],
        ["दृश्य के लिए जानी जाती है।", "ने सभा में भाषण दिया।", "पतझड़ में देखी जाती है।"],
    ),
}  # fmt: skip
SIZES = {"de": 160, "ja": 120, "ar": 80, "hi": 40}
TOKENS = {f"{kind}_{language}": size for kind in ("web", "shop") for language, size in SIZES.items()}
SETTINGS = ["phases.anneal.checkpoints.every_tokens=8k", "--until", "train.anneal"]
RECIPE = """
name: several-languages
seed: 7
sources:
{sources}
curation: {{deduplicate: exact, held_out: 0.15}}
tokenizer: {{use: train, vocabulary: 1600}}
model: {{size: nano}}
phases:
  - name: anneal
    tokens: 80k
    context: 128
    batch_tokens: 512
    learning_rate: {{peak: 2e-3, schedule: linear}}
    mixing:
      use: annealing.temperature
      tokens: {tokens}
      exponent: {{start: 0.7, end: 0.3}}
      domain: [{shops}]
      domain_share: {{start: 0.3, end: 0.7}}
    masking:
      use: guided_mlm.guided
      scorer: {{use: guided_mlm.contrastive, domain: [{shops}], general: [{webs}], prior: 20, at_least: 2, share: 1}}
      rate: 0.3
      boost: 3
      unit: span
evaluators: [{{use: masked_recovery, published: false}}]
"""


def write_sources(folder):
    draw = random.Random(5)
    for language, parts in PARTS.items():
        for kind, (who, how, what) in (("shop", parts[:3]), ("web", parts[3:])):
            lines = []
            for _ in range(SIZES[language]):
                blank = "" if language == "ja" else " "
                sentences = [blank.join(map(draw.choice, (who, how, what))) for _ in range(draw.randint(3, 7))]
                lines.append(json.dumps({"text": blank.join(sentences)}))
            path = folder / f"{kind}_{language}" / "texts.jsonl"
            path.parent.mkdir(parents=True)
            path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("languages")
    write_sources(folder)
    sources = "\n".join(f"  {name}: {{use: jsonl, paths: {folder}/{name}}}" for name in TOKENS)
    shops, webs = (", ".join(f"{kind}_{language}" for language in SIZES) for kind in ("shop", "web"))
    recipe = folder / "recipe.yaml"
    tokens = "{" + ", ".join(f"{name}: {size}" for name, size in TOKENS.items()) + "}"
    recipe.write_text(RECIPE.format(sources=sources, shops=shops, webs=webs, tokens=tokens))
    done = rexplug("run", recipe, "--run-dir", folder / "run")
    assert done.returncode == 0, done.stderr
    return recipe, folder / "run"


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_model_learns(whole):
    metrics = lines(whole[1])
    assert np.mean([line["loss"] for line in metrics[-5:]]) < 0.8 * metrics[0]["loss"]
    assert json.loads((whole[1] / "model/parity.json").read_text())["max_difference"] <= 1e-5


def test_tokens_of_each_language_follow_the_temperature(whole):
    recipe = load_recipe(whole[0])
    stream = phase_stream(recipe, recipe.phases[0], RunDirectory(whole[1]))
    taken = dict.fromkeys(TOKENS, 0)
    for batch, _ in stream.batches():
        for row in batch.rows:
            for sample in row.samples:
                taken[stream.sources[sample.source]] += sample.length
    total = sum(taken.values())
    schedule = recipe.phases[0].mixing
    wanted = {name: np.mean([schedule.weights(p)[name] for p in np.linspace(0, 1, 101)]) for name in TOKENS}
    assert {name: count / total for name, count in taken.items()} == pytest.approx(wanted, abs=0.012)
    # Hindi is a tenth of the text and is sampled more often than that.
    assert (taken["shop_hi"] + taken["web_hi"]) / total > 0.15


def test_words_of_shops_are_salient_in_every_language_and_words_of_the_language_are_not(whole):
    (path,) = (whole[1] / "fitted").rglob("contrastive.json")
    salient = set(json.loads(path.read_text()))
    for words in ({"versandkostenfrei", "warenkorb"}, {"送料", "カート"}, {"شحن", "السلة"}, {"डिलीवरी", "कार्ट"}):
        assert words <= salient
    for common in ({"der", "die", "ist"}, {"で", "は"}, {"है", "के", "में"}):
        assert not common & salient


def test_masked_words_are_recovered_in_every_script(whole):
    before, found = (
        json.loads((whole[1] / f"evaluation/{moment}/masked_recovery.json").read_text())
        for moment in ("initial", "anneal")
    )
    values = [[moment["metrics"][f"{name}.words"]["value"] for name in TOKENS] for moment in (before, found)]
    assert sum(values[1]) > sum(values[0]), values
    words = [word["truth"] for example in found["examples"] for word in example["words"]]
    assert len(words) > 50
    assert all(split_words(word) == [word] for word in words)


def test_a_stopped_run_ends_in_the_same_weights(whole, tmp_path):
    recipe, first = whole
    folder = tmp_path / "stopped"
    shutil.copytree(first, folder)
    (folder / "metrics.jsonl").unlink()
    code = "from rexplug.cli import main; main()"
    arguments = ["run", str(recipe), "--run-dir", str(folder), *SETTINGS]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--from", "train.anneal"],
        env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        if (folder / "metrics.jsonl").exists() and len((folder / "metrics.jsonl").read_text().splitlines()) >= 20:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL
    done = rexplug(*arguments)
    assert done.returncode == 0, done.stderr
    weights = [(each / "checkpoints/anneal/final/model.safetensors").read_bytes() for each in (folder, first)]
    assert weights[0] == weights[1]
    assert [line["loss"] for line in lines(folder)] == [line["loss"] for line in lines(first)]
