"""Settings files of every kind: read, or refused in a line that names the file."""

import re
from pathlib import Path

import pytest

from noiseda import plain_yaml
from noiseda.errors import UserError
from noiseda.settings_file import LARGEST, read_settings

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no settings"),
        (b"[1, 2]", "holds no settings"),
        (b"a: 1\nb: {c: 1, c: 2}", "'c' stands 2 times among the names from line 2 on"),
        (b"a: &a {b: 1}\n<<: *a\na: 2", "'a' stands 2 times"),
        (BOMB, "it holds more than 20,000 values"),
        (b"a: &a [*a]", "line 1: an alias stands inside of what it stands for"),
        (b"[" * 2000, "it is deeper than 32 levels"),
        (b"a: 1\nb:\n\tc: 2", "line 3: a tab stands where there must be blanks"),
        ("a: é".encode("latin-1"), "is no UTF-8 text (byte 3 is 0xe9): save it as UTF-8"),
        ("a: 1".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"\x00\x01\x02", "it holds a character that no text does"),
        (b"a: " + b"9" * 5000, "it holds a value that cannot be read"),
        (b"a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        (b"? [a]\n: b", "cannot be read: line 1"),
        (b"x" * (LARGEST + 1), f"bytes long; settings have at most {LARGEST:,}"),
    ],
)
def test_files_that_are_no_settings_are_refused(content, said, tmp_path):
    (path := tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_or_device_is_no_settings_file(tmp_path):
    with pytest.raises(UserError, match="is no file, but a folder"):
        read_settings(tmp_path)
    with pytest.raises(UserError, match="is no file"):
        read_settings(Path("/dev/zero"))


@pytest.mark.parametrize(
    "content",
    [b"seed: 1\r\ntask: denoise\r\n", b"\xef\xbb\xbfseed: 1\ntask: denoise\n", b'{"seed": 1, "task": "denoise"}',
     b"---\nseed: 1\ntask: denoise\n...\n"],
)  # fmt: skip
def test_settings_in_other_clothes_are_read(content, tmp_path):
    (path := tmp_path / "s.yaml").write_bytes(content)
    assert read_settings(path) == {"seed": 1, "task": "denoise"}


@pytest.mark.parametrize(
    "text",
    ["1e3", "1e3.sf", "1_0", "0x10", "1:30", "2024-01-01", ".inf", "null", "~", "", "é", "a\udce9", "- a", "#", "on",
     "=", "<<", "1e-5x", "+1.5", "!x", "\x85", "\ufeff"],
)  # fmt: skip
def test_texts_come_back_as_they_were(text):
    assert plain_yaml.load(plain_yaml.dump({"a": text, "b": [text]})) == {"a": text, "b": [text]}


@pytest.mark.parametrize("number", [0.001, 1e-05, 1e30, 5, -3, True, None, float("inf")])
def test_values_come_back_as_they_were(number):
    assert plain_yaml.load(plain_yaml.dump({"a": number})) == {"a": number}
