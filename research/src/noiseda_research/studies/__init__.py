"""Measurements of one question each, behind the figures of research/results: ``python -m noiseda_research.studies.NAME``."""
