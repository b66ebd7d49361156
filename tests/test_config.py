"""Settings: every field explained, every conflict named by its flag, and files that the command line reads back."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import yaml

from noiseda import cli, config, diffusion_settings, restorer_settings, strategies
from noiseda.address import Url
from noiseda.config import (
    AdaptSettings,
    DegradationSettings,
    ObjectiveSettings,
    PredictorSettings,
    RestorerSettings,
    ShardSettings,
    TrainingSettings,
)
from noiseda.errors import UserError
from noiseda.settings_file import differences, flatten, from_tree, read_settings, to_tree, write_settings
from noiseda_research.rivals import settings as rivals

VALID = AdaptSettings(real=Path("real"), clean=Path("clean"))
SECTIONS = {
    "restorer": RestorerSettings,
    "predictor": PredictorSettings,
    "objective": ObjectiveSettings,
    "degradation": DegradationSettings,
    "training": TrainingSettings,
    "shards": ShardSettings,
    "neighbor2neighbor": strategies.Neighbor2NeighborSettings,
    "mean_teacher": strategies.MeanTeacherSettings,
    "pseudo_targets": strategies.PseudoTargetsSettings,
    "score_distillation": strategies.ScoreDistillationSettings,
    "redegradation": strategies.RedegradationSettings,
    "blind_spot": rivals.BlindSpotSettings,
    "transplant": rivals.TransplantSettings,
    "flat_noise": rivals.FlatNoiseSettings,
    "sure": rivals.SureSettings,
    "score": rivals.ScoreSettings,
    "alignment": rivals.AlignmentSettings,
    "dann": rivals.DannSettings,
    "dsn": rivals.DsnSettings,
    "pixelda": rivals.PixeldaSettings,
    "cycada": rivals.CycadaSettings,
    "critic": rivals.CriticSettings,
}
# Every field away from its default, every type among them.
UNUSUAL = AdaptSettings(
    task="derain",
    real=Path("my photographs/real: 2"),
    clean=Path("123"),
    reference=Url("https://example.org/a%20b//shards/?key=1"),
    validation=Path("0123"),
    proxy_pairs=3,
    white_level=4095,
    baseline=Path("baseline.safetensors"),
    ship_worse=True,
    out=Path("runs/é"),
    strategy="synthetic",
    also=["noise-space"],
    minutes=12.5,
    seed=7,
    cache=Path("/tmp/cache"),
    cache_gigabytes=0.5,
    max_megapixels=12.5,
    restorer=RestorerSettings(
        network="unet-tiny", width=32, depth=3, channels=1, start=Path("start.safetensors"), freeze=["down.*"]
    ),
    predictor=PredictorSettings(
        kind="transformer", condition_by="summed", width=16, channel_mults=[1, 2, 3], blocks=2, patch_size=2,
        attention=True, attention_levels=[1], dropout=0.1,
        start=Path("judge.safetensors"), training="frozen",
    ),
    objective=ObjectiveSettings(
        weight=1e-5, ramp=0.0, conditions="real", shuffle="off", contrast=False, margin=0.0, detach_negative=True,
        schedule="cosine", levels=(100, 900), sampling="importance", discrete=True, prediction="v",
        weighting="min-snr", bands="wavelet",
    ),
    loss="psnr",
    degradation=DegradationSettings(kind="streaks", strength=(0.1, 1.0), smoothed=1.5, remembered=0.3),
    training=TrainingSettings(
        steps=10, batch=3, patch=32, learning_rate=1e-6, predictor_learning_rate=3e-4, lr_schedule="constant",
        lr_scaling="none", gradient_accumulation=2,
        max_grad_norm=0.0, ema_decay=0.0, max_regression_db=None, precision="fp32", memory_format="channels_first",
        validate_every=1,
        checkpoint_every=2, log_every=3, picture_every=4, snapshot_every=5, workers=2, device="cpu", compile=True,
        recompute=True, shard=True,
    ),
    shards=ShardSettings(window=2, draws=5),
    neighbor2neighbor=strategies.Neighbor2NeighborSettings(
        weight=1.0, consistency=0.0, synthetic=False, start=0.0, unlike="neighbor2neighbor",
        shared="neighbor2neighbor",
    ),
    mean_teacher=strategies.MeanTeacherSettings(weight=0.5, ramp=0.0, decay=0.9, sigma=5.0, views=8, start=0.5),
    pseudo_targets=strategies.PseudoTargetsSettings(
        weight=0.5, ramp=0.0, levels=(5, 50), draws=3, gate="agreement", start=0.5
    ),
    score_distillation=strategies.ScoreDistillationSettings(
        weight=0.5, ramp=0.0, levels=(5, 50), teacher="restored", start=0.5
    ),
    redegradation=strategies.RedegradationSettings(weight=0.5, ramp=0.0, residual="synthetic", start=0.5),
    blind_spot=rivals.BlindSpotSettings(
        width=16, blocks=1, train_stride=4, test_stride=3, refinements=2, start=0.3, weight=0.5, ramp=0.0,
        synthetic=False,
    ),
    transplant=rivals.TransplantSettings(
        weight=0.5, ramp=0.0, decay=0.9, views=2, strength=(1.0, 1.0), bins=8
    ),
    flat_noise=rivals.FlatNoiseSettings(
        weight=0.5, ramp=1.0, flat=0.3, strength=(1.0, 1.0), phase="random", everywhere=True, start=0.0
    ),
    sure=rivals.SureSettings(weight=0.5, ramp=1.0, flat=0.3, start=0.0, step=0.1),
    score=rivals.ScoreSettings(weight=1.0, ramp=0.0, levels=(5, 50), fidelity=0.0, square=1),
    alignment=rivals.AlignmentSettings(mmd=0.2, coral=3.0, ramp=0.0, grid=2, kernels=3),
    dann=rivals.DannSettings(weight=0.3, ramp=1.0, width=16),
    dsn=rivals.DsnSettings(reconstruction=0.2, difference=0.0, similarity=0.3, by="mmd", ramp=0.0, width=8, blocks=1),
    pixelda=rivals.PixeldaSettings(
        adversarial=0.5, content=0.0, form="hinge", noise=0, width=16, blocks=1, discriminator=8
    ),
    cycada=rivals.CycadaSettings(
        adversarial=0.5, cycle=1.0, semantic=0.0, feature=0.0, ramp=5.0, form="logistic", width=16, blocks=1,
        discriminator=8,
    ),
    critic=rivals.CriticSettings(weight=0.5, ramp=0.0, form="hinge", width=8),
)  # fmt: skip


def change(flag, value, settings=VALID):
    """The same settings but for one, by its dotted name."""
    section, _, name = flag.rpartition(".")
    if not section:
        return dataclasses.replace(settings, **{name: value})
    inner = dataclasses.replace(getattr(settings, section), **{name: value})
    return dataclasses.replace(settings, **{section: inner})


def parse(*words):
    """The settings that the command line makes of some words."""
    command, given = cli.parse(["adapt", *words])
    assert command == "adapt"
    return AdaptSettings(**given)


# -- documentation -----------------------------------------------------------------------------------------------------


def test_every_setting_is_explained():
    """A string stands below every field, which is where ``--help`` finds it; a section is explained by its class."""
    sources = [
        inspect.getsource(module) for module in (config, diffusion_settings, restorer_settings, strategies, rivals)
    ]
    classes = [n for source in sources for n in ast.parse(source).body if isinstance(n, ast.ClassDef)]
    assert {section.name for section in classes} == {
        "AdaptSettings",
        "OwnSections",
        *(kind.__name__ for kind in SECTIONS.values()),
    }
    for section in classes:
        assert ast.get_docstring(section)
        for field, following in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and field.target.id not in {
                *SECTIONS,
                "STRATEGIES",
                "BUILDERS",
                "SHARDS",
                "READS",
                "LOWERS_RISK",
            }:
                explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                assert explained, f"{section.name}.{field.target.id} has no docstring"
                assert following.value.value.strip().endswith((".", ";"))


def test_every_setting_is_a_flag_whose_help_is_its_docstring():
    words = cli.build_parser("adapt").format_help().split()
    text, words = " ".join(words), set(words)
    for flag in flatten(to_tree(VALID)):
        assert {f"--{flag}", f"--{flag.replace('_', '-')}"} & words
    assert "Channels of its first stage; by default the network's own" in text


def test_settings_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VALID.seed = 3


# -- checks ------------------------------------------------------------------------------------------------------------


def test_the_defaults_pass_once_the_folders_are_given():
    VALID.check()
    AdaptSettings(real=Path("r"), pairs=Path("p")).check()
    AdaptSettings(strategy="synthetic", clean=Path("c")).check()
    dataclasses.replace(UNUSUAL, minutes=None).check()  # these and the steps are not both given


NAN = float("nan")
POSITIVE = [
    "training.steps", "training.batch", "training.gradient_accumulation", "training.learning_rate",
    "training.checkpoint_every",
    "training.log_every", "training.picture_every", "training.validate_every", "training.predictor_learning_rate",
    "restorer.width", "restorer.depth", "predictor.width", "predictor.blocks", "predictor.patch_size", "max_megapixels",
    "cache_gigabytes", "shards.window", "shards.draws", "blind_spot.width", "blind_spot.train_stride",
    "blind_spot.test_stride", "score.square", "sure.step", "pseudo_targets.draws",
]  # fmt: skip
NOT_NEGATIVE = [
    "objective.weight", "objective.ramp", "objective.margin", "training.max_grad_norm", "training.max_regression_db",
    "training.workers", "seed",
    "proxy_pairs", "neighbor2neighbor.weight", "neighbor2neighbor.consistency", "mean_teacher.weight",
    "mean_teacher.ramp", "pseudo_targets.weight", "pseudo_targets.ramp", "score_distillation.weight",
    "score_distillation.ramp", "redegradation.weight", "redegradation.ramp",
    "mean_teacher.sigma", "blind_spot.blocks", "blind_spot.weight", "blind_spot.ramp", "blind_spot.refinements",
    "transplant.weight", "transplant.ramp", "score.weight", "score.ramp", "score.fidelity",
]  # fmt: skip
SHARES = [
    "training.ema_decay",
    "predictor.dropout",
    "neighbor2neighbor.start",
    "mean_teacher.decay",
    "mean_teacher.start",
    "pseudo_targets.start",
    "score_distillation.start",
    "redegradation.start",
    "blind_spot.start",
    "transplant.decay",
    "flat_noise.flat",
    "flat_noise.start",
    "sure.flat",
    "sure.start",
]
POSITIVE += [
    "alignment.grid", "alignment.kernels", "dann.width",
    "dsn.width", "dsn.blocks", "pixelda.width", "pixelda.blocks", "pixelda.discriminator", "cycada.width",
    "cycada.blocks", "cycada.discriminator", "critic.width",
]  # fmt: skip
NOT_NEGATIVE += [
    "flat_noise.weight", "flat_noise.ramp", "sure.weight", "sure.ramp",
    "alignment.mmd", "alignment.coral", "alignment.ramp", "dann.weight", "dann.ramp", "dsn.reconstruction",
    "dsn.difference", "dsn.similarity", "dsn.ramp", "pixelda.adversarial", "pixelda.content", "pixelda.noise",
    "cycada.adversarial", "cycada.cycle", "cycada.semantic", "cycada.feature", "cycada.ramp", "critic.weight",
    "critic.ramp",
]  # fmt: skip
CHOICES = {
    "task": "denoising", "strategy": "noise_space", "restorer.channels": 4, "objective.shuffle": "block",
    "predictor.kind": "u-net", "predictor.condition_by": "sum", "predictor.training": "freeze",
    "objective.schedule": "cos", "objective.sampling": "log_snr", "objective.prediction": "x0",
    "objective.weighting": "snr", "objective.bands": "haar", "training.lr_schedule": "linear",
    "training.precision": "fp16", "dsn.by": "coral", "pseudo_targets.gate": "on", "score_distillation.teacher": "both",
    "redegradation.residual": "x",
    "pixelda.form": "lsgan", "cycada.form": "wasserstein", "critic.form": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "value"),
    [(flag, value) for flag in POSITIVE for value in (0, -1, NAN)]
    + [(flag, value) for flag in NOT_NEGATIVE for value in (-1, NAN)]
    + [(flag, value) for flag in SHARES for value in (-0.1, 1.0, 2.0, NAN)]
    + [("predictor.channel_mults", value) for value in ([], [0], [1, -2])]
    + [
        (flag, value)
        for flag in ("objective.levels", "score.levels", "pseudo_targets.levels", "score_distillation.levels")
        for value in ((0, 999), (5, 4), (1, 1000))
    ]
    + [("predictor.attention_levels", value) for value in ([2], [-1], [0, 5])]
    + [("transplant.strength", value) for value in ((0.0, 1.0), (1.5, 1.0))]
    + [(flag, 25) for flag in ("blind_spot.train_stride", "blind_spot.test_stride", "score.square")]
    + [("transplant.bins", 1), ("mean_teacher.views", 3)]
    + [("degradation.smoothed", value) for value in (0.9, NAN, float("inf"))]
    + [("training.patch", value) for value in (0, 8, 65, 68)]
    + list(CHOICES.items()),
)
def test_a_value_out_of_range_is_refused_by_its_flag(flag, value):
    with pytest.raises(UserError) as caught:
        change(flag, value).check()
    assert str(caught.value).startswith(f"--{flag} ")
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (AdaptSettings(degradation=DegradationSettings(remembered="a")), "--degradation.remembered must be a number"),
        (AdaptSettings(degradation=DegradationSettings(smoothed=None)), "--degradation.smoothed must be a number"),
        (AdaptSettings(training=TrainingSettings(steps=[1])), "--training.steps must be a number, not [1]"),
        (AdaptSettings(objective=ObjectiveSettings(levels="a")), "--objective.levels must be two numbers, not 'a'"),
    ],
)
def test_what_is_no_number_is_refused_by_its_flag(settings, said):
    with pytest.raises(UserError, match=re.escape(said)):
        dataclasses.replace(settings, real=Path("photos")).check()


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        (AdaptSettings(clean=Path("c")), ["--real", "--strategy synthetic"]),
        (AdaptSettings(real=Path("r"), clean=Path("c"), pairs=Path("p")), ["--clean", "--pairs", "not both"]),
        (
            AdaptSettings(real=Path("r"), pairs=Path("p"), degradation=DegradationSettings(kind="white")),
            ["--degradation", "--clean", "--pairs"],
        ),
    ],
)
def test_a_conflict_names_every_flag_it_is_about(settings, flags):
    with pytest.raises(UserError) as caught:
        settings.check()
    assert all(flag in str(caught.value) for flag in flags)


@pytest.mark.parametrize(
    ("stem", "channel_mults", "depth", "patch", "multiple"),
    [(4, [1, 2], 4, 60, 8), (4, [1, 2, 4, 8], 1, 48, 32), (1, [1], 6, 48, 32), (3, [1, 2], 4, 64, 24),
     (3, [1], 1, 64, 3)],
)  # fmt: skip
def test_a_patch_must_suit_both_networks(stem, channel_mults, depth, patch, multiple):
    settings = dataclasses.replace(
        VALID,
        restorer=RestorerSettings(depth=depth),
        predictor=PredictorSettings(patch_size=stem, channel_mults=channel_mults),
        training=TrainingSettings(patch=patch),
    )
    with pytest.raises(UserError, match=f"--training.patch must be at least 16 and a multiple of {multiple} "):
        settings.check()
    change("training.patch", 3 * multiple * 16, settings).check()


@pytest.mark.parametrize(
    ("kind", "multiple", "said"),
    [
        ("transformer", 12, "(--predictor.patch_size, and 2 per"),
        ("pixel", 4, "(2 per"),
        ("unet", 24, "x 2 per further"),
    ],
)
def test_a_patch_must_suit_what_the_kind_of_predictor_needs(kind, multiple, said):
    settings = dataclasses.replace(
        VALID,
        restorer=RestorerSettings(depth=3),
        predictor=PredictorSettings(kind=kind, patch_size=3, channel_mults=[1, 1, 1, 1]),
    )
    change("training.patch", 24 + multiple * 5, settings).check()
    with pytest.raises(UserError, match=re.escape(f"multiple of {multiple} ") + ".*" + re.escape(said)):
        change("training.patch", 24 + multiple * 5 + 2, settings).check()


def test_a_predictor_of_single_places_attends_to_none():
    predictor = PredictorSettings(kind="pixel", condition_by="cross-attention")
    with pytest.raises(UserError, match=r"--predictor.condition_by cross-attention .* --predictor.kind pixel"):
        dataclasses.replace(VALID, predictor=predictor).check()


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [VALID, UNUSUAL], ids=["defaults", "unusual"])
def test_settings_come_back_from_their_file(tmp_path, settings):
    path = tmp_path / "settings.yaml"
    write_settings(settings, path)
    assert read_settings(path) == to_tree(settings)
    assert differences(from_tree(read_settings(path)), settings) == []
    assert parse("--config", str(path)) == settings  # types and all: tuples, lists, paths, None


def test_the_unusual_settings_are_unusual():
    usual, unusual = flatten(to_tree(AdaptSettings())), flatten(to_tree(UNUSUAL))
    assert {flag for flag in usual if usual[flag] == unusual[flag]} == {
        "pairs",
        "dry_run",
        "restorer.blocks",  # not of this network
        "restorer.weights",  # not beside a start
    }


def test_types_survive_the_command_line():
    settings = parse("--objective.levels", "[5, 50]", "--predictor.channel_mults", "[1, 3]", "--real", "a b")
    assert settings.objective.levels == (5, 50)
    assert settings.predictor.channel_mults == [1, 3]
    assert settings.real == Path("a b")
    assert settings.clean is None
    assert settings.training.learning_rate is None


def test_later_flags_win_over_the_file(tmp_path):
    write_settings(UNUSUAL, tmp_path / "s.yaml")
    assert parse("--config", str(tmp_path / "s.yaml"), "--seed", "9") == dataclasses.replace(UNUSUAL, seed=9)


def test_texts_are_taken_for_paths():
    assert AdaptSettings(real="real", clean="clean") == VALID


def test_an_address_stays_an_address(tmp_path):
    """A path would make one slash of two; and a file of settings must not hold types of ours."""
    given = {"real": "http://example.org/r", "clean": "HTTPS://example.org//c", "reference": "file:///r"}
    settings = AdaptSettings(**given)
    write_settings(settings, tmp_path / "s.yaml")
    assert yaml.safe_load((tmp_path / "s.yaml").read_text()).items() >= given.items()
    words = [word for flag, value in given.items() for word in (f"--{flag}", value)]
    for parsed in (parse(*words), parse("--config", str(tmp_path / "s.yaml"))):
        assert parsed == settings
        assert all(type(getattr(parsed, flag)) is Url for flag in given)
    assert AdaptSettings(out="http://example.org/o").out == Path("http:/example.org/o")


@pytest.mark.parametrize("flag", ["real", "clean", "pairs", "reference"])
@pytest.mark.parametrize("address", ["http://[::bad", "https://example.org:port/"])
def test_an_address_that_is_none_is_named(flag, address):
    with pytest.raises(UserError, match=rf"--{flag} .* is no address that can be read"):
        AdaptSettings(**{flag: address})


def test_a_tree_holds_plain_values_only():
    tree = to_tree(UNUSUAL)
    assert yaml.safe_load(yaml.safe_dump(tree)) == tree
    assert tree["objective"]["levels"] == [100, 900]
    assert tree["real"] == "my photographs/real: 2"


@pytest.mark.parametrize("content", [b"", b"- 1\n- 2\n", b"just text", b"a: [1", b"\xff\xfe", b"a: !!python/name:os.x"])
def test_a_file_without_settings_is_named(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"settings file .*broken\.yaml"):
        read_settings(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"settings file .*none\.yaml"):
        read_settings(tmp_path / "none.yaml")


# -- differences -------------------------------------------------------------------------------------------------------


def test_every_difference_is_a_line():
    new = change("training.steps", 8000, change("objective.levels", (1, 100)))
    assert differences(VALID, new) == [
        "--objective.levels was [1, 999], now is [1, 100]",
        "--training.steps was 5000, now is 8000",
    ]


FREE = {
    "out": Path("x"), "cache": Path("y"), "baseline": Path("z"), "ship_worse": True, "cache_gigabytes": 1.0,
    "dry_run": True, "training.checkpoint_every": 1,
    "training.log_every": 1, "training.picture_every": 1, "training.snapshot_every": 1, "training.workers": 3,
    "training.recompute": True, "training.shard": True, "training.batch": 3, "training.gradient_accumulation": 2,
}  # fmt: skip


@pytest.mark.parametrize(("flag", "value"), FREE.items())
def test_what_a_run_does_not_compute_with_may_change(flag, value):
    assert differences(VALID, change(flag, value)) == []


def test_everything_else_may_not():
    usual = flatten(to_tree(VALID))
    found = {line.split()[0].removeprefix("--") for line in differences(VALID, UNUSUAL)}
    changed = {flag for flag, value in flatten(to_tree(UNUSUAL)).items() if value != usual[flag]}
    assert found == changed - set(FREE)
    assert len(found) > 35


def test_a_setting_that_an_earlier_version_did_not_have_is_as_usual():
    before = to_tree(VALID)
    del before["seed"]
    assert from_tree(before) == VALID


@pytest.mark.parametrize("name", ["dann", "dsn", "pixelda", "cycada", "critic"])
def test_opponents_are_not_sharded(name):
    """Their constant passes would see gathered weights, which learn."""
    settings = change("training.shard", True)
    for asked in (dataclasses.replace(settings, strategy=name), dataclasses.replace(settings, also=[name])):
        with pytest.raises(UserError, match=rf"--training\.shard .* --strategy {name}"):
            asked.check()
    dataclasses.replace(settings, strategy="mmd").check()


def test_strategies_are_added_once_each_and_by_their_names() -> None:
    known = dict(clean=Path("clean"), real=Path("real"), strategy="noise-space")
    AdaptSettings(**known, also=["synthetic"]).check()
    with pytest.raises(UserError, match=r"--also must be one of .*noise-space.*, not diffusion"):
        AdaptSettings(**known, also=["diffusion"]).check()
    with pytest.raises(UserError, match=r"--also names each strategy once"):
        AdaptSettings(**known, also=["noise-space"]).check()
    with pytest.raises(UserError, match="--real is missing"):
        AdaptSettings(clean=Path("clean"), strategy="synthetic", also=["noise-space"]).check()
    AdaptSettings(clean=Path("clean"), strategy="synthetic").check()
