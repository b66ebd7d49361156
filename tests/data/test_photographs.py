"""Photographs for objects that are handed in: what cannot be had is said in the words of the function."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import noiseda
from noiseda.data.batches import DomainBatches
from tests.training.photographs import folder


@pytest.mark.parametrize("name", ["matched", "white+matched"])
def test_what_is_found_from_photographs_is_none_of_its_degradations(tmp_path: Path, name: str) -> None:
    folder(tmp_path / "clean")
    with pytest.raises(noiseda.UserError) as refused:
        noiseda.photographs(tmp_path / "clean", tmp_path / "clean", degradation=name)
    said = str(refused.value)
    assert said.startswith(f"degradation {name!r}: matched is found from your photographs by noiseda.adapt")
    assert "Give one of white, poisson-gaussian, shot" in said


def test_a_degradation_that_changes_the_size_is_named_by_the_batch(tmp_path: Path) -> None:
    def halved(clean: Tensor, generator: torch.Generator) -> Tensor:
        return clean[:, ::2, ::2]

    data = noiseda.photographs(folder(tmp_path / "clean"), degradation=halved)
    with pytest.raises(noiseda.UserError, match=r"halved made an image \(3, 8, 8\) of .* \(3, 16, 16\)"):
        DomainBatches(data, size=1, patch=16, channels=3, seed=0)[0]
