"""The studies behind noiseda: strategies compared, verdicts held against the truth; it uses noiseda as anyone would."""
