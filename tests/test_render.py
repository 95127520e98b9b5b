"""β: where lines lie, how they fade, and that the fast way is the plain formula."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.render import normalise, render, to_pixels
from engines.skeleton import HUMAN, SKELETONS


def distances(points, edges, size):
    """Of every pixel to every edge, (B, E, H, W), as the formula is written down."""
    line = torch.linspace(-1, 1, size, dtype=points.dtype)
    pixel = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    start, end = (points[:, edges[:, side], None, None] for side in (0, 1))
    along = end - start
    length2 = along.square().sum(-1).clamp_min(1e-6)
    fraction = (((pixel - start) * along).sum(-1) / length2).clamp(0, 1)
    return ((pixel - start - fraction[..., None] * along).square().sum(-1) + 1e-6).sqrt()


def plain(points, edges, size, sharpness=25.0):
    return 2 * torch.exp(-sharpness * distances(points, edges, size)).amax(dim=1, keepdim=True) - 1


def poses(skeleton, count=2):
    torch.manual_seed(0)
    edges = torch.tensor(skeleton.edges)
    return torch.rand(count, len(skeleton.joints), 2) * 2.4 - 1.2, edges


def pixels(*points):
    return torch.tensor([points], dtype=torch.float32)


ONE_LINE = torch.tensor([[0, 1]])


@given(st.integers(8, 160), st.data())
@settings(deadline=None, max_examples=40)
def test_the_peak_is_at_the_points_own_pixel(size, data):
    x, y = data.draw(st.tuples(*[st.integers(0, size - 1)] * 2))
    drawn = render(normalise(pixels((x, y), (x, y)), size), ONE_LINE, size)
    assert divmod(int(drawn.argmax()), size) == (y, x)
    assert drawn.max() == pytest.approx(2 * math.exp(-25e-3) - 1, abs=0.02)


@given(st.integers(8, 512), st.floats(-100, 600))
@settings(deadline=None)
def test_pixels_and_back(size, value):
    there = normalise(torch.tensor(value, dtype=torch.float64), size)
    assert to_pixels(there, size).item() == pytest.approx(value, abs=1e-9)
    assert there.item() == pytest.approx(2 * value / (size - 1) - 1, abs=1e-9)


def test_the_profile_of_a_line():
    """At 128 px: peak 0.975, half at 1.8 px, 1/e at 2.5 px, 5 % at 7.6 px, the same on either side."""
    drawn = render(normalise(pixels((64, -50), (64, 200)), 128), ONE_LINE, 128)
    profile = (drawn[0, 0, 64].double() + 1) / 2

    def width(level):
        inside = int((profile[64:] > level).sum()) + 63
        drop = (profile[inside] - level) / (profile[inside] - profile[inside + 1])
        return inside - 64 + float(drop)

    assert profile[64].item() == pytest.approx(0.975, abs=0.001)
    assert [width(level) for level in (0.5, math.exp(-1), 0.05)] == pytest.approx([1.8, 2.5, 7.6], abs=0.1)
    assert torch.allclose(profile[64:], profile[1:65].flip(0), atol=1e-3)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
@pytest.mark.parametrize("sharpness", [6.25, 25.0])
def test_it_is_the_plain_formula(skeleton, sharpness):
    points, edges = poses(skeleton)
    wanted = plain(points.double(), edges, 48, sharpness).float()
    found = render(points, edges, 48, sharpness)
    # Matrix products lose digits on the line itself, where the root is steepest: 0.05 px of 128.
    assert torch.allclose(found, wanted, atol=0.04)
    assert (found - wanted).abs().mean() < 5e-4
    assert torch.allclose(render(points.requires_grad_(), edges, 48, sharpness), wanted, atol=5e-3)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_its_gradient_is_that_of_the_plain_formula(skeleton):
    points, edges = poses(skeleton)
    nearest, second = distances(points.double(), edges, 48).topk(2, dim=1, largest=False).values.unbind(1)
    # Where two lines cross either may win, unless they meet in a joint there.
    clear = (second - nearest > 1e-3) | (second - nearest < 1e-12)
    assert clear.float().mean() > 0.9
    weight = (torch.randn(2, 48, 48) * clear)[:, None]
    gradients = []
    for draw, dtype in ((render, torch.float32), (plain, torch.float64)):
        leaf = points.clone().to(dtype).requires_grad_()
        (draw(leaf, edges, 48) * weight).sum().backward()
        gradients.append(leaf.grad.float())
    found, wanted = gradients
    assert wanted.abs().max() > 1
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max().item())


def test_an_edge_without_length_is_a_dot_with_a_finite_gradient():
    points = normalise(pixels((10, 20), (10, 20)), 32).requires_grad_()
    drawn = render(points, ONE_LINE, 32)
    assert divmod(int(drawn.argmax()), 32) == (20, 10)
    drawn.sum().backward()
    assert points.grad.isfinite().all()


def test_crossing_lines_do_not_add_up():
    cross = normalise(pixels((0, 16), (32, 16), (16, 0), (16, 32)), 33)
    alone = render(cross, ONE_LINE, 33)
    both = render(cross, torch.tensor([[0, 1], [2, 3]]), 33)
    assert both.max() == pytest.approx(alone.max().item(), abs=0.01)
    assert torch.allclose(both, torch.maximum(alone, alone.transpose(2, 3)), atol=0.01)


def test_shape_range_and_precision():
    points, edges = poses(SKELETONS["face68"], 3)
    drawn = render(points.bfloat16(), edges, 40)
    assert drawn.shape == (3, 1, 40, 40)
    assert drawn.dtype == torch.float32
    assert drawn.min() >= -1
    assert drawn.max() <= 1
    assert render(points[:0], edges, 40).shape == (0, 1, 40, 40)


def test_each_side_is_drawn_in_a_channel_of_its_own():
    points = torch.rand(3, 17, 2) * 2 - 1
    layers = torch.tensor(HUMAN.layers)
    drawn = render(points, layers, 40)
    assert drawn.shape == (3, 2, 40, 40)
    for channel, edges in enumerate(layers):
        assert torch.allclose(drawn[:, channel : channel + 1], render(points, edges, 40), atol=1e-5)
    points.requires_grad_()
    render(points, layers, 40)[:, 0].sum().backward()
    moved = points.grad.abs().sum((0, 2)) > 0
    assert [HUMAN.joints[index] for index in torch.nonzero(~moved).flatten()] == [
        joint for joint in HUMAN.joints if joint.startswith("l_")
    ]
