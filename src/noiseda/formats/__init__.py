"""What the image formats' own structure says, read from their bytes: no pixel is decoded here."""
