"""Classical rivals, which learn from no other photograph: BM3D, non-local means, wavelets; measured as networks are."""
