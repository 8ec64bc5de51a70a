"""Names on the Hugging Face hub: what counts as one, what of it lies on this machine, and what the hub says of it.

Nothing here is fetched but by `ask_hub`, and that is one small answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rexplug.errors import one_line

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_LONGEST = 200
"""Characters of a name; the hub takes 96 for the owner and as many for the repository."""
_PATIENCE = 10.0
"""Seconds to wait for an answer."""


@dataclass(frozen=True, slots=True)
class HubName:
    """A dataset or model of the hub, at a branch, tag or commit (the main branch if None)."""

    kind: Literal["dataset", "model"]
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" at '{self.revision}'" if self.revision else "")


class HubUnreachable(Exception):
    """The hub gave no answer; says nothing about the name that it was asked for."""


def is_hub_name(name: str) -> bool:
    """Whether `name` can only be one of the hub: it is written like one, and there is no such file or folder."""
    return _is_written_like_one(name) and not Path(name).exists()


def is_folder(name: str) -> bool:
    """Whether there is a folder of that name; a text that no file can be called by, or that we may not look at, is none."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _is_written_like_one(name: str) -> bool:
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def cached_file(name: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a model of the hub, if it was downloaded before."""
    if not _is_written_like_one(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def ask_hub(wanted: HubName) -> str | None:
    """What is wrong with a name, or None if the hub has it and gives it to us.

    Raises:
        HubUnreachable: there is no network, or the hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().repo_info(wanted.name, repo_type=wanted.kind, revision=wanted.revision, timeout=_PATIENCE)
    except GatedRepoError:
        return f"the {wanted.kind} '{wanted.name}' asks for consent: accept its terms on the hub and log in (hf auth login)"
    except RevisionNotFoundError:
        return f"the {wanted.kind} '{wanted.name}' has no branch, tag or commit '{wanted.revision}' on the hub"
    except RepositoryNotFoundError:
        return (
            f"the hub has no {wanted.kind} '{wanted.name}', or it is private and you are not logged in (hf auth login)"
        )
    except Exception as error:  # whatever the connection raises, offline mode included
        raise HubUnreachable(one_line(error, 200) or type(error).__name__) from None
    return None
