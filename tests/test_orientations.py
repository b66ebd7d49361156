import torch

from noiseda.orientations import COUNT, turn, turn_back, turn_each


def test_there_are_eight_different_ones_and_each_is_undone():
    images = torch.rand(2, 3, 4, 6)
    for number in range(COUNT):
        assert torch.equal(turn_back(turn(images, number), number), images)
    square = torch.rand(1, 1, 4, 4)
    assert len({tuple(turn(square, number).flatten().tolist()) for number in range(COUNT)}) == 8
    assert torch.equal(turn(images, 0), images)


def test_each_image_takes_its_own():
    images = torch.rand(3, 2, 5, 5)
    turned = turn_each(images, torch.tensor([6, 0, 3]))
    for index, number in enumerate((6, 0, 3)):
        assert torch.equal(turned[index], turn(images[index : index + 1], number)[0])
