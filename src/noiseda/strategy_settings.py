"""Settings of the strategies that stand beside noise-space adaptation: one dataclass each, part of the run's tree."""

from __future__ import annotations
