"""One objective after another, on one restorer."""

from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import MeanTeacher, Neighbor2Neighbor, Stages, SyntheticOnly
from noiseda.adaptation.catalogue import build
from noiseda.restoration import UNet
from noiseda.strategies import MeanTeacherSettings, Neighbor2NeighborSettings
from tests.adaptation.examples import batch, restorer
from tests.training.photographs import small


def staged(start=0.5):
    network = restorer()
    return Stages([(0.0, SyntheticOnly(network)), (start, MeanTeacher(network, MeanTeacherSettings()))])


def test_each_has_its_part_of_the_run():
    stages, one = staged(), batch()
    draws = stages.draw(one.y_syn, torch.Generator().manual_seed(0))
    alone, late = stages.objectives
    for progress, part, terms in (
        (0.0, alone, {"restoration"}), (0.49, alone, {"restoration"}),
        (0.5, late, {"restoration", "teacher"}), (1.0, late, {"restoration", "teacher"}),
    ):  # fmt: skip
        found = stages(replace(one, progress=progress), draws)
        assert stages.at(progress) is part
        assert set(found.errors) == terms
        own = part(one, draws[stages.objectives.index(part)])
        assert torch.equal(stages.losses(found, progress)["loss"], part.losses(own, progress)["loss"])
    assert stages.real_from == 0.5
    assert stages.wants_real


def test_what_comes_late_is_reported_of_every_step():
    stages = staged()
    stages.after_step(0.0)
    assert torch.equal(stages.objectives[1].teacher.steps, torch.tensor(1.0)), "the teacher follows all along"


def test_networks_are_named_once():
    stages = staged()
    assert [type(network).__name__ for network in stages.networks()] == ["UNet", "Teacher"]
    assert len({id(weight) for weight in stages.parameters()}) == len(list(stages.parameters()))


@pytest.mark.parametrize(
    ("starts", "message"),
    [((0.1, 0.5), "the first at 0"), ((0.0, 0.0), "rising"), ((0.0, 0.7, 0.5), "rising"), ((), "the first at 0")],
)
def test_shares_must_rise_from_zero(starts, message):
    network = restorer()
    with pytest.raises(ValueError, match=message):
        Stages([(start, SyntheticOnly(network)) for start in starts])


def test_restorers_must_be_one():
    with pytest.raises(ValueError, match="share one restorer"):
        Stages([(0.0, SyntheticOnly(restorer())), (0.5, SyntheticOnly(restorer()))])


@pytest.mark.parametrize(("name", "settings"), [
    ("mean-teacher", MeanTeacherSettings(start=0.25)),
    ("neighbor2neighbor", Neighbor2NeighborSettings(start=0.25)),
])  # fmt: skip
def test_a_head_start_is_a_stage(tmp_path, name, settings):
    section, network = name.replace("-", "_"), UNet(width=4, depth=2)
    asked = replace(small(tmp_path, strategy=name), **{section: settings})
    late = build(network, asked)
    assert isinstance(late, Stages)
    assert late.starts == (0.0, 0.25)
    at_once = build(network, replace(asked, **{section: replace(settings, start=0.0)}))
    assert type(at_once) in (MeanTeacher, Neighbor2Neighbor)
    assert at_once.real_from == 0.0


def test_without_synthetic_pairs_there_is_no_head_start(tmp_path):
    asked = small(tmp_path, strategy="neighbor2neighbor", neighbor2neighbor=Neighbor2NeighborSettings(synthetic=False))
    assert isinstance(build(UNet(width=4, depth=2), asked), Neighbor2Neighbor)
    asked = small(tmp_path, strategy="source-free", mean_teacher=MeanTeacherSettings(start=0.5))
    assert isinstance(build(UNet(width=4, depth=2), asked), MeanTeacher)
