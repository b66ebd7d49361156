"""noiseda: adapt an image-restoration network to your own photographs."""
