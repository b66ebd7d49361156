"""The ready weights: the photographs they learn from, and how they are trained."""
