"""The scripts of ``noiseda --completion``, run by the shells they are for."""

import shutil
import subprocess

import pytest

from noiseda import cli
from noiseda.errors import UserError

BASH = r"""source "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_noiseda
(( ${#COMPREPLY[@]} == 0 )) || printf '%s\n' "${COMPREPLY[@]}"
"""
ZSH = r"""compdef() { registered="$*" }
compset() { : }
compadd() { shift; print -l -- "$@" }
_files() { print -l -- *(N) }
source "$0"
words=("$@") CURRENT=$#
_noiseda
[[ $registered == "_noiseda noiseda" ]]
"""
FISH = 'source $argv[1]; complete -C "$argv[2]"'


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Shell -> its script, as the command prints it."""
    folder, paths = tmp_path_factory.mktemp("completion"), {}
    for shell in ("bash", "zsh", "fish"):
        with pytest.raises(cli.Answer) as answer:
            cli.parse(["--completion", shell])
        paths[shell] = folder / f"noiseda.{shell}"
        paths[shell].write_text(answer.value.text + "\n")
    return paths


@pytest.fixture
def place(tmp_path):
    (tmp_path / "two words").mkdir()
    (tmp_path / "denoise-mine.yaml").touch()
    (tmp_path / "photo.png").touch()
    return tmp_path


CASES = [
    ("noiseda ad", {"adapt"}, {"restore", "--help"}),
    ("noiseda ", {"adapt", "data", "hub", "quickstart"}, {"check", "--version"}),
    ("noiseda --v", {"--version"}, {"adapt"}),
    ("noiseda --completion ", {"bash", "zsh", "fish"}, {"adapt"}),
    ("noiseda data ", {"check", "pack"}, {"push", "adapt"}),
    ("noiseda data check --pat", {"--patch"}, {"--shard-megabytes"}),
    ("noiseda adapt --mean_teacher.we", {"--mean_teacher.weight"}, {"--mean_teacher.ramp", "--real"}),
    ("noiseda adapt --max-", {"--max-megapixels"}, {"--out"}),
    ("noiseda adapt --help", {"--help", "--help-all"}, {"--out"}),
    ("noiseda adapt --help mean", {"mean-teacher"}, {"noise-space"}),
    ("noiseda adapt --task de", {"denoise", "derain", "deblur", "dejpeg"}, {"auto"}),
    ("noiseda adapt --strategy ", {"auto", "noise-space", "score"}, {"training", "photo.png"}),
    ("noiseda adapt --network kb", {"kbnet"}, {"unet"}),
    ("noiseda adapt --config de", {"denoise-small", "deblur-realblur", "denoise-mine.yaml"}, {"derain-small.yaml"}),
    ("noiseda compare --config de", {"denoise", "deblur", "denoise-mine.yaml"}, {"denoise-small"}),
    ("noiseda --help mea", {"mean-teacher"}, {"adapt"}),
    ("noiseda --help re", {"restore"}, {"adapt", "--version"}),
    ("noiseda adapt --real ", {"two words", "photo.png"}, {"--out", "auto"}),
    ("noiseda adapt --objective.contrast ", {"true", "false"}, {"photo.png"}),
    ("noiseda restore ", {"two words", "photo.png"}, {"--tile"}),
    ("noiseda restore a b c --precision ", {"auto", "fp32", "bf16"}, {"photo.png"}),
    ("noiseda restore a b c --overwrite ph", {"photo.png"}, {"--tile"}),
]
NOTHING = ["noiseda adapt --training.steps ", "noiseda restore --tile ", "noiseda nothing --x"]


def replies(shell, scripts, line, place):
    words = line.split(" ")
    if shell == "fish":
        command = ["fish", "--no-config", "-c", FISH, str(scripts["fish"]), line]
    else:
        options, program = {"bash": (["--norc"], BASH), "zsh": (["-f"], ZSH)}[shell]
        command = [shell, *options, "-c", program, str(scripts[shell]), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=True)
    assert done.stderr == ""
    found = {reply.partition("\t")[0].rstrip("/").replace("\\ ", " ") for reply in done.stdout.splitlines()}
    return found if shell == "bash" else {reply for reply in found if reply.startswith(words[-1])}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_completes(shell, scripts, place):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    for line, there, absent in CASES:
        found = replies(shell, scripts, line, place)
        assert there <= found, line
        assert not absent & found, line
    for line in NOTHING:
        assert not replies(shell, scripts, line, place), line


def test_bash_takes_a_flag_with_an_equals_sign_apart(scripts, place):
    for words in (["--task", "=", "de"], ["--task", "="]):
        found = subprocess.run(
            ["bash", "--norc", "-c", BASH, str(scripts["bash"]), "noiseda", "adapt", *words],
            capture_output=True, text=True, cwd=place, check=True,
        )  # fmt: skip
        assert found.stdout.split() == ["denoise", "derain", "deblur", "dejpeg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--completion"], "--completion must be one of bash, zsh, fish, not ''"),
        (["--completion", "bassh"], "not 'bassh'; did you mean bash?"),
        (["--completion=tcsh"], "not 'tcsh'"),
    ],
)
def test_another_shell_is_refused(words, said):
    with pytest.raises(UserError) as refused:
        cli.parse(words)
    assert said in str(refused.value)


def test_every_flag_of_every_command_is_offered(scripts):
    text = scripts["bash"].read_text()
    for command in cli.COMMANDS:
        (line,) = [one for one in text.splitlines() if one.lstrip().startswith(f"'{command}':")]
        for action in cli.build_parser(command)._actions:
            for flag in action.option_strings:
                shown = flag if "." in flag else flag.replace("_", "-")
                hidden = action.help == "==SUPPRESS==" or flag.endswith(("+", ".help", "-h"))
                assert hidden or f" {shown} " in line.replace("'", " "), flag
