"""Photographs for training and testing: degradations of clean ones, folders of pairs, and their check."""
