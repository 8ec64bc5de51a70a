"""The geometry of embeddings."""

from zlib import crc32

import numpy as np
import pytest

from rexplug import Document
from rexplug.evaluation.geometry import EmbeddingGeometry


class FirstWord:
    """Embeds a text by its first word alone; `common` is the length of a vector that all embeddings share."""

    max_tokens = 512

    def __init__(self, common):
        self.common = common

    def encode(self, texts):
        places = np.array(
            [[crc32(t.split()[0].encode()) % 97, crc32(t.split()[0].encode()) % 89, 1] for t in texts], np.float32
        )
        return places - places.mean(0) + self.common * np.array([50, 50, 50], np.float32)


def test_a_narrow_cone_is_measured_and_the_order_kept(Setting):
    documents = {
        source: [Document(f"{source}{n}", " ".join([f"{source}{n}"] * 20)) for n in range(12)]
        for source in ("web", "shop")
    }
    wide, narrow = (EmbeddingGeometry().evaluate(Setting(FirstWord(c), documents)) for c in (0.0, 40.0))
    assert narrow.metrics["anisotropy"].value > 0.99 > 0.5 > wide.metrics["anisotropy"].value
    # Both halves of a document have the same embedding.
    assert wide.main == "order"
    assert wide.metrics["order"].value > 0.6
    assert narrow.metrics["centred.order"].value == pytest.approx(wide.metrics["centred.order"].value, abs=0.05)
