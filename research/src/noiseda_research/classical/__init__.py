"""Classical rivals, which learn from no other photograph; measured as networks are."""
