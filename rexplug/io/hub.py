"""Names on the Hugging Face hub: how they are written, which files of them are cached here, and whether the hub has them.

Only `ask_hub` uses the network, for one small answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rexplug.errors import one_line

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_MAX_LENGTH = 200
"""Characters of a name; the hub allows 96 for the owner and as many for the repository."""
_TIMEOUT = 10.0
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
