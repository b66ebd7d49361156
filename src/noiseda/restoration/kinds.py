"""What a file is that holds no weights, as far as its first bytes show."""

from __future__ import annotations

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the weights themselves: git lfs pull fetches them"),
    (b"\x1f\x8b", "is compressed (gzip): unpack it first"),
    (b"BZh", "is compressed (bzip2): unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz): unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd): unpack it first"),
    (b"7z\xbc\xaf", "is an archive (7z): unpack it first"),
    (b"Rar!", "is an archive (rar): unpack it first"),
    (b"\x89HDF", "is an HDF5 file, as Keras writes them; networks of other frameworks cannot be read"),
    (b"GGUF", "is a GGUF file, of a language model; expected an image restoration network"),
    (b"\x93NUMPY", "is an array of numpy, not weights by name"),
    (b"\x89PNG", "is a picture (PNG), not weights"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not weights"),
    (b"II*\0", "is a picture (TIFF), not weights"),
    (b"MM\0*", "is a picture (TIFF), not weights"),
    (b"%PDF", "is a PDF document, not weights"),
)
_PAGE = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<!--")
_FIELDS = tuple(bytes([field]) for field in (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42))  # after the version, in ONNX
_INSTEAD = "save its state_dict instead (torch.save(model.state_dict(), file))"


def other_kind(start: bytes, name: str) -> str | None:
    """What a file is, as the end of a sentence about it; None where it may be weights.

    Args:
        start: its first bytes, some hundred.
        name: its name.
    """
    if not start:
        return "is empty; it may have been truncated"
    kind = next((kind for beginning, kind in _BEGINNINGS if start.startswith(beginning)), None)
    if kind is not None:
        return kind
    if start[257:262] == b"ustar":
        return "is an archive (tar): unpack it first; torch.save wrote such before 2017, which cannot be read"
    if start.lstrip().lower().startswith(_PAGE):
        return "is a web page, not the weights; did their download fail?"
    if start[4:8] == b"TFL3":
        return "is a network of TensorFlow Lite; networks of other frameworks cannot be read"
    if start[8:9] != b"{" and (name.lower().endswith(".onnx") or (start[:1] == b"\x08" and start[2:3] in _FIELDS)):
        return f"is an ONNX network, which cannot be trained or exported again; {_INSTEAD}"
    if len(start) > 8 and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"is a text ({' '.join(start[:60].decode('ascii').split())} …), not weights; did its download fail?"
    return None


def archive_kind(names: list[str]) -> str:
    """What a zip archive is that torch.save did not write, as the end of a sentence about it."""
    ends = {name.rpartition("/")[2] for name in names}
    if any("/code/" in f"/{name}" for name in names) or "constants.pkl" in ends:
        return f"is a TorchScript program; {_INSTEAD}"
    if ends & {"archive_format", "serialized_exported_program.json", "model.json", "serialized_state_dict.json"}:
        return f"is a program of torch.export (.pt2); {_INSTEAD}"
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of numpy arrays (.npz), not weights of torch"
    if "config.json" in ends and any(name.endswith(".h5") for name in names):
        return "is a network of Keras; networks of other frameworks cannot be read"
    return "is a zip archive that torch.save did not write: the weights may lie in it, so unpack it first"
