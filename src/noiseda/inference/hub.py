"""Networks on a model hub, or in a folder laid out like one: ``model.safetensors`` and its card, ``README.md``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from noiseda.errors import UserError
from noiseda.inference.card import card
from noiseda.restoration import Restorer, load
from noiseda.storage import atomic, spelt

try:
    from huggingface_hub import ModelHubMixin, hf_hub_download
except ImportError as error:
    raise UserError(f"a model hub needs huggingface_hub ({error}); pip install 'noiseda[hub]' brings it") from error

FILE = "model.safetensors"


class HubRestorer(ModelHubMixin, library_name="noiseda", tags=["image-restoration"]):
    """A network with the methods of huggingface_hub: ``save_pretrained``, ``push_to_hub``, ``from_pretrained``.

    Args:
        weights: its file.

    Attributes:
        network: the network, in evaluation mode.
    """

    def __init__(self, weights: Path | str) -> None:
        self.weights = Path(weights)
        self.network: Restorer = load(self.weights)

    def _save_pretrained(self, save_directory: Path) -> None:
        folder = Path(save_directory)
        described = card(self.weights, self.network, folder / FILE, None)
        for name, content in ((FILE, self.weights.read_bytes()), ("README.md", spelt(described))):
            with atomic(folder / name) as file:
                file.write(content)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **model_kwargs: Any,  # noqa: ANN401 (the mixin's)
    ) -> HubRestorer:
        if os.path.isdir(model_id):
            return cls(Path(model_id) / FILE)
        found = hf_hub_download(
            repo_id=model_id,
            filename=FILE,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(found)


def push(weights: Path, repository: str, *, private: bool = False) -> str:
    """Put a network and its card on a model hub, as the user that is logged in there.

    Args:
        weights: Weights file of noiseda.
        repository: Its name on the hub, USER/NAME; it is made where there is none.
        private: Make it so that nobody else sees it.

    Returns:
        Where it lies.

    Raises:
        UserError: Nobody is logged in, or the hub does not answer.
        WeightsError: The weights file cannot be loaded.
    """
    network = HubRestorer(weights)
    try:
        return str(network.push_to_hub(repository, private=private))
    except Exception as error:  # HTTP, authentication, names: no class in common
        raise UserError(f"{repository} could not be put on the hub: {_first(error)} (hf auth login logs in)") from error


def pull(repository: str, out: Path, *, revision: str | None = None, overwrite: bool = False) -> Path:
    """Fetch a network from a model hub.

    Args:
        repository: Its name on the hub, USER/NAME, or a folder laid out like one.
        out: The weights file to write.
        revision: Branch, tag or commit; by default the newest.
        overwrite: Replace a file that exists already.

    Returns:
        The weights file.

    Raises:
        UserError: The hub or the repository cannot be had; the file exists already.
        WeightsError: What was fetched is no network that noiseda knows.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists already; --overwrite replaces it")
    try:
        found = HubRestorer.from_pretrained(repository, revision=revision)
    except UserError:
        raise
    except Exception as error:  # HTTP, authentication, names: no class in common
        raise UserError(f"{repository} could not be fetched: {_first(error)}") from error
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic(out) as file:
            file.write(found.weights.read_bytes())
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    return out


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
