from tests.training.conftest import noisy, where

__all__ = ["noisy", "where"]
