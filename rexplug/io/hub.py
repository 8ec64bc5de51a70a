"""Names on the Hugging Face hub: how they are written, which files of them are cached here, and whether the hub has them.

Only `ask_hub` uses the network, for one small answer, and `fetch_model`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rexplug.errors import one_line

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_MAX_LENGTH = 200
"""Characters of a name; the hub allows 96 for the owner and as many for the repository."""
_TIMEOUT = 10.0
"""Seconds to wait for an answer."""
_WEIGHTS = "*.safetensors"
_FILES_OF_MODELS = ("*.json", "*.txt", "*.model", "*.codes", "*.metadata", _WEIGHTS, "*/pytorch_model.bin")
"""Patterns of the files of a model that are downloaded: configs, tokenizers and weights."""
_OTHER_FORMATS = ("onnx/*", "openvino/*", "coreml/*", "gguf/*", "runs/*", "checkpoint-*", "*/checkpoint-*")
_OLD_OWNER = "sentence-transformers"
"""Owner of the models that sentence-transformers finds by a name without an owner."""


@dataclass(frozen=True, slots=True)
class HubName:
    """A dataset or model of the hub, at a branch, tag or commit (the main branch if None).

    A component that reads from the hub returns them from `hub_names`, so that `rexplug check` knows what must be downloaded.
    """

    kind: Literal["dataset", "model"]
    """Which of the hub's two lists it is in."""
    name: str
    """Its name with the owner, `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit; the main branch if None."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" at '{self.revision}'" if self.revision else "")


class HubUnreachable(Exception):
    """The hub gave no answer, so that nothing is known about the name."""


def is_hub_name(name: str) -> bool:
    """Whether `name` can only be a name on the hub: it is written like one, and no such file or folder exists."""
    return _is_well_formed(name) and not Path(name).exists()


def is_folder(name: str) -> bool:
    """Whether a folder of that name exists and may be read; False for a text that cannot be a path."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _is_well_formed(name: str) -> bool:
    return len(name) <= _MAX_LENGTH and _NAME.fullmatch(name) is not None


def cached_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a model on the hub, if it was downloaded before."""
    if not _is_well_formed(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, file, revision=revision)
    return Path(path) if isinstance(path, str) else None


def cached_model(name: str) -> Path | None:
    """A file that describes a model on the hub, if it was downloaded before."""
    found = (cached_file(place, file) for place in _places(name) for file in ("modules.json", "config.json"))
    return next((path for path in found if path is not None), None)


def fetch_model(name: str, *, more: Sequence[str] = (), weights: bool = True) -> Path:
    """The folder with the files of a model on the hub, downloaded if it is not on this machine.

    A name without an owner that the hub does not have is looked for among the models of sentence-transformers too, as that
    library does.

    Args:
        name: the model's name.
        more: patterns of further files.
        weights: whether the weights of the encoder are needed.

    Raises:
        OSError: the hub does not have the model, or does not answer.
        ValueError: `name` is not a valid name on the hub.
    """
    from huggingface_hub import snapshot_download

    first: Exception | None = None
    # Of a model whose encoder is an ONNX graph the weights of modules after it alone, which are in folders of their own.
    patterns = [f"*/{name}" if name == _WEIGHTS and not weights else name for name in _FILES_OF_MODELS]
    for place in _places(name):
        try:
            folder = Path(snapshot_download(place, allow_patterns=patterns, ignore_patterns=list(_OTHER_FORMATS)))
            if weights and not any(folder.glob("*.safetensors")) and (folder / "config.json").exists():
                snapshot_download(place, allow_patterns=["pytorch_model*.bin"])
            if more:
                snapshot_download(place, allow_patterns=list(more))
        except Exception as error:  # the hub's client raises errors of many kinds, offline mode included
            first = first or error
        else:
            return folder
    assert first is not None
    raise first


def _places(name: str) -> tuple[str, ...]:
    """The repositories that a name may mean."""
    return (name,) if "/" in name else (name, f"{_OLD_OWNER}/{name}")


def ask_hub(name: HubName) -> str | None:
    """What is wrong with a name, or None if the hub has it and this user may read it.

    Raises:
        HubUnreachable: there is no network, or the hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().repo_info(name.name, repo_type=name.kind, revision=name.revision, timeout=_TIMEOUT)
    except GatedRepoError:
        return f"the {name.kind} '{name.name}' asks for consent: accept its terms on the hub and log in (hf auth login)"
    except RevisionNotFoundError:
        return f"the {name.kind} '{name.name}' has no branch, tag or commit '{name.revision}' on the hub"
    except RepositoryNotFoundError:
        return f"the hub has no {name.kind} '{name.name}', or it is private and you are not logged in (hf auth login)"
    except Exception as error:  # whatever the connection raises, offline mode included
        raise HubUnreachable(one_line(error, 200) or type(error).__name__) from None
    return None
