import importlib

import pytest

from noiseda.errors import UserError
from noiseda.restoration.torchvision_schema import import_torchvision


def test_torchvision_imports_beside_any_torch_and_twice() -> None:
    import_torchvision()
    import_torchvision()
    import torchvision

    assert torchvision.models.alexnet(weights=None).features[0].out_channels == 64


def test_its_absence_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"noiseda\[lpips\]"):
        import_torchvision()


def test_another_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(UserError, match="something else"):
        import_torchvision()
