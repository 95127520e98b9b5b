"""What the losses reward, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engines.skeleton import FACE68
from training import losses
from training.augment import apply_maps, crop_maps
from training.perceptual import PerceptualLoss, SqueezeNet, Vgg19, open_perceptual

MIRROR = torch.from_numpy(FACE68.mirror)


def views(flip):
    """Points of a picture as two crops see them, and the crops' maps."""
    rng = np.random.default_rng(0)
    on_picture = torch.from_numpy(rng.uniform(20, 80, (3, 68, 2)).astype(np.float32))
    boxes = np.array([[50, 50, 90, 0.0], [45, 55, 80, 0.2], [52, 48, 100, -0.1]])
    first = torch.from_numpy(crop_maps(boxes, 64))
    second = torch.from_numpy(crop_maps(boxes * [1.02, 0.97, 1.1, 1], 64, np.array(flip)))
    points = apply_maps(on_picture, torch.linalg.inv(first))
    other = apply_maps(on_picture, torch.linalg.inv(second))
    flipped = torch.tensor(flip)
    return points, first, torch.where(flipped[:, None, None], other[:, MIRROR], other), second, flipped


def test_points_that_follow_the_crop_cost_nothing():
    points, maps, other, other_maps, flip = views([False, True, False])
    assert losses.equivariance(points, maps, other, other_maps, flip, MIRROR) < 1e-5


def test_points_that_do_not_follow_cost_how_far_they_are_off():
    points, maps, other, other_maps, flip = views([False, False, False])
    off = points + torch.tensor([0.3, 0.4])
    assert losses.equivariance(off, maps, other, other_maps, flip, MIRROR) == pytest.approx(0.5, abs=1e-4)
    # Left and right that do not trade names in a mirrored view are an error too.
    points, maps, other, other_maps, flip = views([True, True, True])
    assert losses.equivariance(points, maps, other[:, MIRROR], other_maps, flip, MIRROR) > 0.2


def test_points_in_units_of_their_box_are_what_the_prior_holds():
    points, maps, other, other_maps, _ = views([False, True, False])
    seen = apply_maps(points, maps)
    low, high = seen.amin(1), seen.amax(1)
    boxes = torch.cat([(low + high) / 2, (high - low).amax(1, keepdim=True)], 1)
    placed = losses.in_boxes(points, maps, boxes, MIRROR)
    assert torch.allclose(losses.in_boxes(other, other_maps, boxes, MIRROR), placed, atol=1e-4)
    assert (placed.amax(1) + placed.amin(1)).abs().max() < 1e-4
    assert torch.allclose((placed.amax(1) - placed.amin(1)).amax(1), torch.ones(3), atol=1e-4)


class Operators(TorchDispatchMode):
    """What PyTorch does within it, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_nothing_waits_for_a_gpu():
    points, maps, other, other_maps, flip = views([False, True, False])
    boxes, trusted = torch.ones(3, 3), torch.ones(3)
    shape = losses.MeanShape(points[0], MIRROR)
    with Operators() as done:
        losses.equivariance(points, maps, other, other_maps, flip, MIRROR)
        shape(losses.in_boxes(points, maps, boxes, MIRROR), trusted)
    # Numbers that are asked for, errors that are looked for, tensors that are made from numbers.
    assert not done.names & {"_local_scalar_dense", "_linalg_check_errors", "lift_fresh"}
    assert "linalg_inv_ex" in done.names


def mean_shape(shift=0.0, memory=0.5, batches=12):
    """The loss and its gradient at points that scatter about the mean, ``shift`` to the right and below."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(68, 2, generator=generator)
    target = (target + target[MIRROR] * torch.tensor([-1.0, 1.0])) / 2
    loss = losses.MeanShape(target, MIRROR, memory)
    for _ in range(batches):
        points = (target + 0.1 * torch.randn(400, 68, 2, generator=generator) + shift).requires_grad_()
        value = loss(points, torch.ones(400))
    value.backward()
    return value.item(), points.grad


def test_scattered_faces_are_fine_when_their_mean_is_the_priors():
    assert mean_shape()[0] < 1e-4


def test_faces_that_are_too_low_are_pulled_up_together():
    value, gradient = mean_shape(shift=0.2)
    # Only half of it: to the side, a face and its mirror image cancel.
    assert value == pytest.approx(0.2**2 / 2, rel=0.05)
    assert (gradient[..., 1] > 0).all()
    assert gradient[..., 1].std() < 0.3 * gradient[..., 1].mean()
    assert gradient[..., 0].abs().mean() < 0.3 * gradient[..., 1].mean()


def test_faces_whose_box_is_a_guess_do_not_count():
    loss = losses.MeanShape(torch.zeros(68, 2), MIRROR)
    value = loss(torch.ones(4, 68, 2), torch.zeros(4))
    assert (value, loss.mean.abs().max()) == (0, 0)
    target = torch.rand(68, 2)
    loss = losses.MeanShape(target, MIRROR)
    assert loss(torch.ones(4, 68, 2), torch.zeros(4)) == 0
    assert torch.equal(loss.mean, target)


def test_the_adversarial_loss_weighs_scales_alike():
    answers = [torch.zeros(2, 1, 6, 6), torch.ones(2, 1, 2, 2)]
    assert losses.adversarial(answers, real=True) == pytest.approx(0.5)
    assert losses.adversarial(answers, real=False) == pytest.approx(0.5)


def squeezenet_weights():
    """SqueezeNet 1.1 as random arrays under the names of its paper."""
    rng = np.random.default_rng(0)
    weights = {"conv1.weight": rng.normal(size=(64, 3, 3, 3)) / 5, "conv1.bias": np.zeros(64)}
    inputs = 64
    for index, (squeeze, expand) in enumerate(
        zip([16, 16, 32, 32, 48, 48, 64, 64], [64, 64, 128, 128, 192, 192, 256, 256], strict=True), 2
    ):
        for part, shape in {
            "squeeze1x1": (squeeze, inputs, 1, 1),
            "expand1x1": (expand, squeeze, 1, 1),
            "expand3x3": (expand, squeeze, 3, 3),
        }.items():
            scale = (2 / np.prod(shape[1:])) ** 0.5
            weights[f"fire{index}.{part}.weight"] = rng.normal(size=shape) * scale
            weights[f"fire{index}.{part}.bias"] = np.zeros(shape[0])
        inputs = 2 * expand
    return {name: value.astype(np.float32) for name, value in weights.items()}


def torchvision_name(name):
    """The same layer under torchvision's count."""
    layer, *part, kind = name.split(".")
    if layer == "conv1":
        return f"features.0.{kind}"
    place = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}[int(layer[4:])]
    return f"features.{place}.{'squeeze' if part[0] == 'squeeze1x1' else part[0]}.{kind}"


def test_squeezenet_is_read_from_either_format(tmp_path):
    weights = squeezenet_weights()
    np.savez(tmp_path / "squeeze.npz", **weights)
    named = {torchvision_name(name): torch.from_numpy(value) for name, value in weights.items()}
    torch.save({**named, "classifier.1.bias": torch.zeros(1000)}, tmp_path / "squeezenet1_1.pth")
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    for path in tmp_path.iterdir():
        taps = open_perceptual(path).trunk(image)
        assert [tap.shape[1] for tap in taps] == [3, 64, 128, 256, 384, 512]
        assert torch.isfinite(taps[-1]).all()
    trunk = open_perceptual(tmp_path / "squeeze.npz").trunk
    assert isinstance(trunk, SqueezeNet)
    assert torch.equal(trunk.get_buffer("fire9_expand3x3_weight"), named["features.12.expand3x3.weight"])


def test_vgg_is_read_from_torchvisions_state_dict(tmp_path):
    random = Vgg19(None)
    named = {f"features.{name}": value for name, value in random.layers.state_dict().items()}
    torch.save({**named, "features.34.bias": torch.zeros(512)}, tmp_path / "vgg19.pth")
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    taps = open_perceptual(tmp_path / "vgg19.pth").trunk(image)
    assert [tap.shape[1] for tap in taps] == [3, 64, 128, 256, 512, 512]
    assert torch.equal(taps[-1], random(image)[-1])


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_other_weights_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "weights.npz"
    if content is None:
        np.savez(path, a=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"--perceptual weights\.npz: not SqueezeNet 1\.1 or VGG-19"):
        open_perceptual(path)


def test_without_a_file_it_warns_what_random_weights_cost(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert isinstance(open_perceptual(None).trunk, Vgg19)
    assert "random VGG-19" in capsys.readouterr().err


def test_the_perceptual_loss_stays_near_one_whatever_the_scale():
    class Scaled(torch.nn.Module):
        def forward(self, image):
            return [image, 1000 * image]

    loss = PerceptualLoss(Scaled(), taps=2)
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(20, 2, 1, 3, 8, 8, generator=generator)
    values = [loss(drawn, target).item() for drawn, target in pairs]
    assert values == pytest.approx([1.0] * 20, abs=0.35)
    before = loss.running.clone()
    loss(*pairs[0], update=False)
    assert torch.equal(loss.running, before)
