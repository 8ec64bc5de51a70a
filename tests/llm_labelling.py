"""Labelling a few texts with a language model of the local server of tests/corpus/relevance."""

import re

from rexplug import Candidate, Document
from rexplug.corpus.relevance.llm import Llm

QUOTED = re.compile(r"<document ([0-9a-f]{16})>\n(.*?)\n</document \1>(.*)", re.DOTALL)
TEXTS = ("the price of a kettle", "a poem", "price list")


def document_in(request):
    """The quoted document of a request."""
    return QUOTED.fullmatch(request["messages"][-1]["content"])[2]


def candidates(*texts):
    return [Candidate("web", Document(str(number), text)) for number, text in enumerate(texts)]


def llm(endpoint, **options):
    return Llm(model="toy", base_url=endpoint.url, **{"prompt": "Is it about shops?", "concurrency": 1, **options})


def choice(message, ended="stop"):
    """A completion with one choice."""
    choices = [{"index": 0, "finish_reason": ended, "message": message}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "toy", "choices": choices}
