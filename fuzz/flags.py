"""Flags at values that mean nothing: refused in one sentence, or taken; nothing is written where it does not belong."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
from pathlib import Path

from fuzz.cases import Case, Wrong, tried
from fuzz.images import identity
from fuzz.oracle import digests, unharmed
from fuzz.pictures import picture
from noiseda import cli
from noiseda.strategy_flags import BELONGS

VALUES = (
    "",
    " ",
    "nonsense",
    "-1",
    "0",
    "1" + "0" * 30,
    "1e30",
    "-1e30",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "null",
    "~",
    "true",
    "[]",
    "{}",
    "[1, 2",
    "[[[[1]]]]",
    "{a: {b: c}}",
    "&x",
    "*x",
    "#x",
    "!!python/object/apply:os.getcwd []",
    "1:30",
    "2001-01-01",
    "0x7fffffff",
    "1_000",
    "9223372036854775808",
    "\x1b[31mred",
    "a\nb",
    "%s{0}",
    "é\udce9",
    "[bold]x[/]",
)
"""What people type by mistake, programs by accident, and YAML understands in its own way."""

KNOWN = (
    ("adapt", "--seed", "1" + "0" * 30),
    ("adapt", "--training.patch", "1" + "0" * 30),
    ("adapt", "--network.width", "1" + "0" * 30),
    ("adapt", "--network.depth", "1" + "0" * 30),
    ("adapt", "--predictor.width", "1" + "0" * 30),
    ("adapt", "--predictor.blocks", "1" + "0" * 30),
    ("judge", "--seed", "1" + "0" * 30),
)
"""Those that once went wrong, or nearly; they come first."""

COMMANDS = ("adapt", "restore", "adapt", "evaluate", "judge", "data check", "compare", "export")


def run(case: Case, place: Path) -> str | None:
    """Call a command with one flag at a value."""
    command, flag, value = drawn(case)
    tried(place, f"{command} {flag}={value if len(value) < 40 else value[:37] + '...'!r}")
    inputs, work = place / "in", place / "work"
    usual = _inputs(inputs, command)
    work.mkdir()
    before = digests(inputs)
    beside = {path.name for path in place.iterdir()}
    os.chdir(work)
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        try:
            status = cli.main([*command.split(), *usual, *_owner(command, flag), f"{flag}={value}"])
        except SystemExit as left:
            raise Wrong(f"the program was left by sys.exit({left.code})") from left
    unharmed(inputs, before)
    if more := {path.name for path in place.iterdir()} - beside:
        raise Wrong(f"written outside of its folder: {more}")
    errors = [line for line in said.getvalue().splitlines() if line.startswith("noiseda: error:")]
    if status == 2 and len(errors) == 1:
        return said.getvalue()
    if status not in (0, 1) or errors:
        raise Wrong(f"status {status}, with {len(errors)} errors: {said.getvalue()[-300:]}")
    return None


def drawn(case: Case) -> tuple[str, str, str]:
    """The command, the flag and the value of a case."""
    if case.number < len(KNOWN):
        return KNOWN[case.number]
    chance = case.chance
    command = COMMANDS[case.number % len(COMMANDS)]
    values = list(VALUES)
    random.Random(case.seed).shuffle(values)
    return command, chance.choice(_flags(command)), values[case.number % len(values)]


def _owner(command: str, flag: str) -> list[str]:
    """The strategy that a flag of ``adapt`` belongs to, in place of which it would be refused for its name alone."""
    owners = BELONGS.get(flag[2:].partition(".")[0], ()) if command == "adapt" else ()
    return [f"--strategy={owners[0]}", "--also=[noise-space]"] if owners and "noise-space" not in owners else []


@functools.cache
def _flags(command: str) -> list[str]:
    """Every flag that a command has."""
    actions = cli.build_parser(command)._actions
    found = [option for action in actions for option in action.option_strings if option.startswith("--")]
    return sorted(flag for flag in found if not flag.endswith("help"))


def _inputs(folder: Path, command: str) -> list[str]:
    """What a command works on, and how it is called so that it ends at once."""
    for name, files in {
        "real": ("rgb.png", "baseline.jpg"),
        "clean": ("lossless.webp", "strips.tif"),
    }.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_bytes(picture(file))
    matrix = folder / "matrix.yaml"
    matrix.write_text(
        "strategies: {synthetic: {}, oracle: {}}\n"
        f"sets: {{own: {{real: {folder}/real, test: {folder}/clean}}}}\n"
        "settings: {config: denoise-small}\n"
    )
    weights, real, clean = str(identity(folder.parent)), str(folder / "real"), str(folder / "clean")
    small = ["--network=unet", "--network.width=4", "--network.depth=2", "--predictor.width=8"]
    return {
        "adapt": [f"--real={real}", f"--clean={clean}", "--degradation.kind=white", "--dry-run", *small],
        "restore": [weights, real, "out", "--device=cpu"],
        "evaluate": [real, real],
        "judge": [weights, weights, real],
        "data check": [real],
        "compare": [f"--config={matrix}", "--dry-run"],
        "export": [weights, "--format=safetensors", "--out=out"],
    }[command]
