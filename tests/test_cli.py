"""The command line says what it wants: every refusal names the word, what was expected, and the nearest right one."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from noiseda import cli, training
from noiseda.assessment.verdict import Verdict
from noiseda.config import AdaptSettings
from noiseda.errors import UserError
from noiseda.images import Picture, write
from noiseda.settings_file import flatten, to_tree


@pytest.fixture
def refused(capsys):
    """Run a command line that must be refused; returns its message."""

    def run(*words):
        assert cli.main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("noiseda: error: ")
        assert "typing." not in captured.err
        assert "<class" not in captured.err
        return captured.err.removeprefix("noiseda: error: ").rstrip()

    return run


def test_without_a_command_it_lists_all_of_them(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: noiseda COMMAND ...")
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


def test_a_group_lists_its_commands(capsys):
    assert cli.main(["data"]) == 0
    shown = capsys.readouterr().out
    assert "data check" in shown
    assert "quickstart" not in shown


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "noiseda 0.1.0\n"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_says_what_every_flag_does_in_plain_words(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.main([*command.split(), "--help-all"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: noiseda {command} ")
    assert not any(word in shown for word in ("type:", "class '", "Literal", "Optional", "CONFIG", "==SUPPRESS=="))
    assert max(map(len, shown.splitlines())) <= 120
    for action in cli.build_parser(command)._actions:
        assert action.help, action.dest


def test_help_shows_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    cli.main(["adapt", "--help-all"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, value in flatten(to_tree(AdaptSettings())).items():
        flag = name if "." in name else name.replace("_", "-")
        assert f"--{flag}" in shown
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            if name in ("restorer.width", "restorer.depth"):  # the network's own
                continue
            default = "auto" if name in ("strategy", "restorer.network") else value  # what that is depends on others
            assert f"(default: {default})" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("adaptt", "unknown command 'adaptt' (there are "),
        ("adaptt", "did you mean adapt?"),
        ("data chek", "unknown command 'data chek'"),
        ("data chek", "did you mean data check?"),
        ("--seed 3", "a command comes before --seed"),
        ("adapt --traning.steps 3", "unknown flag --traning.steps; did you mean --training.steps?"),
        ("adapt --training.stepz=3", "unknown flag --training.stepz; did you mean --training.steps?"),
        ("adapt --rea photos", "unknown flag --rea; did you mean --real?"),
        ("restore a b c --overlapp 3", "unknown flag --overlapp; did you mean --overlap?"),
        ("adapt --training.steps.a 3", "unknown flag --training.steps.a; did you mean --training.steps?"),
        ("adapt --also.a.b=3", "unknown flag --also.a.b; did you mean --also?"),
        ("adapt --objective.levels.a 3", "unknown flag --objective.levels.a; did you mean --objective.levels?"),
        ("adapt --network.width.a 3", "unknown flag --restorer.width.a; did you mean --restorer.width?"),
        ("restore a b c --max-megapixels.a 3", "unknown flag --max_megapixels.a; did you mean --max-megapixels?"),
        ("adapt --training.steps abc", "--training.steps must be a whole number, not 'abc'"),
        ("adapt --training.ema_decay high", "--training.ema_decay must be a number, not 'high'"),
        ("adapt --training.steps", "--training.steps needs a value: a whole number"),
        (
            "adapt --task denoize",
            "--task must be one of denoise, derain, deblur, dejpeg, not 'denoize'; did you mean denoise?",
        ),
        ("adapt --restorer.channels 2", "--restorer.channels must be one of 1, 3, not '2'"),
        ("adapt --predictor.attention=perhaps", "--predictor.attention must be true or false, not 'perhaps'"),
        ("adapt --objective.levels 5", "--objective.levels must be two whole numbers such as [1, 2], not '5'"),
        ("adapt --predictor.channel_mults 1,2", "must be a list of whole numbers such as [1, 2], not '1,2'"),
        ("adapt --training 5", "--training is a group of settings; name one of them: --training.steps, "),
        ("adapt extra", "unexpected argument 'extra'; usage: noiseda adapt --real PATH"),
        ("restore a b c --tile abc", "--tile must be a whole number or null, not 'abc'"),
        ("restore a b c --precision int4", "--precision must be one of auto, fp32, bf16, not 'int4'"),
        ("restore a b c d", "unexpected argument 'd'; usage: noiseda restore [FLAGS] [WEIGHTS] SOURCE OUT"),
        ("restore", "missing: WEIGHTS, SOURCE, OUT; usage: noiseda restore [FLAGS] [WEIGHTS] SOURCE OUT"),
        ("restore weights.safetensors in", "missing: OUT;"),
        ("evaluate a", "missing: TARGET;"),
        ("evaluate a b --protocol rbg", "must be one of rgb, sidd, derain-y, deblur, not 'rbg'; did you mean rgb?"),
        ("data check", "missing: FOLDER;"),
        ("adapt --config", "--config needs a value"),
        ("adapt --config denoise-smal", "--config denoise-smal: no such file, and no such preset"),
        ("adapt --config=denoise-smal", "did you mean denoise-small?"),
        ("adapt", "--real is missing: give the folder of your own degraded photographs"),
    ],
)
def test_refusals(words, message, refused):
    assert message in refused(*words.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("traning:\n  steps: 3", "unknown setting 'traning.steps' in {file}; did you mean training.steps?"),
        ("training:\n  stepz: 3", "unknown setting 'training.stepz' in {file}; did you mean training.steps?"),
        ("sede: 3", "unknown setting 'sede' in {file}; did you mean seed?"),
        ("training:\n  steps: many", "--training.steps must be a whole number, not 'many'"),
        ("task: dehaze", "--task must be one of denoise, derain, deblur, dejpeg, not 'dehaze'"),
        ("just words", "{file} holds no settings"),
        ("a: [1", "{file} cannot be read"),
    ],
)
def test_refusals_of_settings_files(text, message, refused, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert message.format(file=file) in refused("adapt", "--config", str(file))


def test_hyphens_and_underscores_are_the_same_and_a_switch_needs_no_value():
    for words in (["--max-megapixels", "9", "--overwrite"], ["--max_megapixels=9", "--overwrite", "true"]):
        command, arguments = cli.parse(["restore", "w", "in", "out", *words])
        assert command == "restore"
        assert arguments["max_megapixels"] == 9.0
        assert arguments["overwrite"] is True


def test_a_switch_leaves_the_word_after_it_alone():
    _, arguments = cli.parse(["restore", "--overwrite", "w", "in", "out"])
    assert (str(arguments["weights"]), arguments["source"], str(arguments["out"])) == ("w", "in", "out")


def test_later_flags_win_over_the_file():
    _, arguments = cli.parse(["adapt", "--config", "denoise-small", "--training.batch", "3"])
    settings = AdaptSettings(**arguments)
    assert settings.training.batch == 3
    assert settings.training.side == 48


def test_a_preset_is_a_name_but_a_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, arguments = cli.parse(["adapt", "--config", "derain-spa"])
    assert arguments["task"] == "derain"
    (tmp_path / "derain-spa").write_text("task: deblur\n")
    _, arguments = cli.parse(["adapt", "--config=derain-spa"])
    assert arguments["task"] == "deblur"


def test_a_folder_that_is_not_as_it_should_be_ends_with_status_1(tmp_path, capsys):
    write(Picture(torch.rand(3, 20, 20)), tmp_path / "a.png")
    assert cli.main(["data", "check", str(tmp_path), "--patch", "16"]) == 0
    assert cli.main(["data", "check", str(tmp_path), "--patch", "32"]) == 1
    assert "smaller than the patch of 32" in capsys.readouterr().out


def test_ctrl_c_ends_with_status_130(monkeypatch, capsys):
    def stop(folder):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "data check", lambda: stop)
    stop.__annotations__ = {"folder": str}
    assert cli.main(["data", "check", "x"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_the_three_commands_of_a_whole_job(tmp_path, capsys):
    """Adapt (two steps), restore, evaluate: what a user types, with tiny networks."""
    generator = torch.Generator().manual_seed(0)
    for folder in ("clean", "real"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            write(Picture(torch.rand(3, 24, 32, generator=generator)), tmp_path / folder / f"{name}.png")
    tiny = "--restorer.width 4 --restorer.depth 2 --predictor.width 8 --predictor.patch_size 2 --training.patch 16"
    short = "--training.batch 2 --training.steps 2 --training.device cpu"
    where = f"--clean {tmp_path}/clean --real {tmp_path}/real --out {tmp_path}/run"
    assert cli.main(f"adapt --task denoise {where} {tiny} {short}".split()) == 0
    assert f"adapted network: {tmp_path}/run/restorer.safetensors" in capsys.readouterr().out
    weights = f"{tmp_path}/run/restorer.safetensors"
    assert cli.main(["restore", weights, f"{tmp_path}/real", f"{tmp_path}/restored", "--device", "cpu"]) == 0
    assert "restored 2 of 2 images" in capsys.readouterr().out
    assert cli.main(["evaluate", f"{tmp_path}/restored", f"{tmp_path}/real", "--out", f"{tmp_path}/scores"]) == 0
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scores["images"] == 2
    assert scores["mean"]["psnr"] > 10


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "noiseda", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "noiseda 0.1.0\n"


def test_two_paths_are_restored_with_the_ready_weights(tmp_path):
    """What looks like weights is never taken for photographs: then a path is missing."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/restorer.safetensors").touch()
    assert cli.parse(["restore", "photos", "out", "--tile", "64"])[1]["weights"] == Path("denoise")
    for words in ("--precision fp32 photos out", "photos --overwrite out", "--skip-existing true -- photos out",
                  "--backend=eager photos --tile 64 out"):  # fmt: skip
        found = cli.parse(["restore", *words.split()])[1]
        assert (found["weights"], found["source"], found["out"]) == (Path("denoise"), "photos", Path("out"))
    with pytest.raises(UserError, match="missing: OUT;"):
        cli.parse(["restore", "photos"])
    assert cli.parse(["restore", "mine.pth", "photos", "out"])[1]["weights"] == Path("mine.pth")
    for weights in ("w.safetensors", "denoise", str(tmp_path / "run")):
        with pytest.raises(UserError, match="missing: OUT"):
            cli.parse(["restore", weights, "photos"])


def summary_of(folder, word, shipped):
    verdict = Verdict(word, "the network that it started from", (-0.2, -0.3, -0.1), "of some figures")
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(training.Summary))
    return training.Summary(**{**nothing, "verdict": verdict, "weights": folder / "r.safetensors", "shipped": shipped})


@pytest.mark.parametrize(
    ("word", "shipped", "said"),
    [
        ("better", "trained", ""),
        ("not shown to be better", "trained", ""),
        ("worse", "trained", "so keep the network that it started from;"),
        ("worse", "start", "so r.safetensors holds the network that it started from, and trained.safetensors the "),
    ],
)
def test_a_run_that_did_harm_says_what_to_use(word, shipped, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "adapt", lambda settings: summary_of(tmp_path, word, shipped))
    assert cli.main(["adapt", "--real", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert said in printed
    assert ("so " in printed) == bool(said)
    assert ("adapted network: " in printed) == (shipped == "trained")
