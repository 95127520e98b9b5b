"""Φ, η and their scores: the paper's layers, one pixel convention, doubts that mean something."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engines.eager import fold_batch_norm
from engines.network import (
    Fuse,
    LandmarkNet,
    NetworkConfig,
    PoseRegressor,
    SkeletonDrawer,
    initialise,
    self_consistency,
    soft_argmax,
    upsample,
)
from engines.processor import InstanceNorm, PackedConv, SplitFuse, can_pack, pack, rearrange
from engines.render import normalise, render, to_pixels
from engines.skeleton import CAT_HEAD, FACE68, HUMAN36M_32

SMALL = NetworkConfig(input_size=32, width=4, map_size=16)


def small_net(config=SMALL, skeleton=CAT_HEAD):
    """A network whose batch norms have seen something, so that they are not the identity."""
    torch.manual_seed(0)
    network = LandmarkNet(skeleton, config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def crops(count=3, size=32):
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)


def one_hot(x, y, size, joints=1):
    """Logits that leave no doubt about a cell; a marginal divides them by ``size``."""
    logits = torch.zeros(1, joints, size, size)
    logits[..., y, x] = 100.0 * size
    return logits


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):
        return SkeletonDrawer(32), PoseRegressor(32, NetworkConfig())


def test_the_papers_numbers_of_parameters(paper):
    drawer, regressor = (sum(each.numel() for each in net.parameters()) for net in paper)
    assert drawer / 1e6 == pytest.approx(3.125, abs=0.0006)
    assert regressor / 1e6 == pytest.approx(1.18, abs=0.006)


@pytest.mark.parametrize(("index", "channels", "macs"), [(0, 3, 2.74e9), (1, 1, 0.86e9)])
def test_the_papers_amount_of_work(paper, index, channels, macs):
    with FlopCounterMode(display=False) as counter:
        paper[index](torch.empty(1, channels, 128, 128, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=0.005)


def layers(network):
    """Kernel, stride, inputs, outputs and bias of every convolution, in order."""
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.padding[0] == conv.kernel_size[0] // 2 for conv in found)
    return [
        (conv.kernel_size[0], conv.stride[0], conv.in_channels, conv.out_channels, conv.bias is not None)
        for conv in found
    ]


def encoder(inputs, outputs, bias):
    levels = [(7, 1, inputs, 32), (3, 1, 32, 32), (3, 2, 32, 64), (3, 1, 64, 64)]
    levels += [(3, 2, 64, 128), (3, 1, 128, 128), (3, 2, 128, 256), (3, 1, 256, 256)]
    return [*((*level, bias) for level in levels), (1, 1, 256, outputs, True)]


def test_the_papers_layers(paper):
    drawer, regressor = paper
    assert layers(drawer.encoder) == encoder(3, 256, bias=False)
    assert layers(regressor) == encoder(1, 32, bias=True)
    assert layers(drawer.middle) == [(3, 1, 256, 256, False)] * 2
    assert layers(drawer.fuse) == [(1, 1, 384, 256, False), (1, 1, 192, 128, False), (1, 1, 96, 64, False)]
    wanted = [(256, 128), (128, 128), (128, 64), (64, 64), (64, 32)]
    assert layers(drawer.refine) == [(3, 1, *channels, False) for channels in wanted]
    assert layers(drawer.output) == [(3, 1, 32, 1, True)]
    kinds = [[type(each) for each in net.modules()] for net in paper]
    # One behind each convolution but the last of an encoder, the fusions and the output.
    assert [kind.count(nn.BatchNorm2d) for kind in kinds] == [15, 0]
    assert [kind.count(nn.InstanceNorm2d) for kind in kinds] == [0, 8]
    assert [kind.count(nn.ReLU) for kind in kinds] == [15, 8]


def test_upsampling_is_bilinear_between_pixel_centres():
    row = torch.tensor([0.0, 1.0, 3.0]).expand(1, 1, 3, 3)
    assert upsample(row)[0, 0, 4].tolist() == [0, 0.25, 0.75, 1.5, 2.5, 3]


@pytest.mark.parametrize("size", [32, 64, 72])
def test_a_drawing_has_the_pictures_size_and_no_bounds(size):
    torch.manual_seed(0)
    drawer = SkeletonDrawer(4)
    initialise(drawer)
    picture = torch.rand(2, 3, size, size) * 2 - 1
    with torch.no_grad():
        drawn = drawer.eval()(picture)
        assert drawn.shape == (2, 1, size, size)
        assert drawn.abs().max() < 1
        drawer.output.bias.fill_(-3)
        assert torch.allclose(drawer(picture), drawn - 3, atol=1e-5)


@pytest.mark.parametrize(("size", "maps"), [(128, 16), (64, 16), (32, 16), (32, 32), (64, 8)])
def test_points_stay_within_the_picture_whatever_is_drawn(size, maps):
    torch.manual_seed(0)
    regressor = PoseRegressor(9, NetworkConfig(size, 4, maps))
    regressor.encoder.levels[-1][-1].weight.data.mul_(1000)
    drawn = 100 * torch.randn(2, 1, size, size)
    points = regressor(drawn)
    assert regressor.logits(drawn).shape == (2, 9, maps, maps)
    assert points.shape == (2, 9, 2)
    assert points.abs().max() <= 1
    assert points.abs().max() > 0.2
    # Instance norm knows no difference.
    assert torch.equal(regressor.eval()(drawn), points)


def test_the_start_is_the_authors():
    torch.manual_seed(0)
    network = LandmarkNet(FACE68, NetworkConfig(64, 16, 16))
    initialise(network)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    spread = torch.cat([conv.weight.detach().flatten() for conv in convs])
    assert (spread.mean().item(), spread.std().item()) == pytest.approx((0, 0.02), abs=2e-4)
    assert all(not conv.bias.any() for conv in convs if conv.bias is not None)
    gains = torch.cat([norm.weight.detach() for norm in norms])
    assert (gains.mean().item(), gains.std().item()) == pytest.approx((1, 0.02), abs=2e-3)
    assert not any(norm.bias.any() for norm in norms)
    # So every point starts in the middle.
    assert network.regressor(torch.randn(1, 1, 64, 64)).abs().max() < 0.1


@given(st.sampled_from([8, 16, 32]), st.data())
@settings(deadline=None, max_examples=40)
def test_a_certain_map_gives_its_own_pixel(size, data):
    x, y = data.draw(st.tuples(*[st.integers(0, size - 1)] * 2))
    points, variance = soft_argmax(one_hot(x, y, size))
    assert to_pixels(points, size)[0, 0].numpy() == pytest.approx([x, y], abs=1e-4)
    assert 0 < variance.item() < 1e-6


def test_an_even_map_gives_the_middle_and_all_the_doubt():
    points, variance = soft_argmax(torch.full((2, 3, 16, 16), 7.0))
    assert points.abs().max() < 1e-6
    # The variance of 16 even steps from -1 to 1, once an axis.
    assert variance.flatten().tolist() == pytest.approx([2 * (16 + 1) / (3 * (16 - 1))] * 6)


def test_two_candidates_share():
    logits = one_hot(2, 5, 16) + one_hot(10, 5, 16)
    points, variance = soft_argmax(logits)
    assert to_pixels(points, 16)[0, 0].numpy() == pytest.approx([6, 5], abs=1e-4)
    assert variance.item() == pytest.approx((4 * 2 / 15) ** 2, rel=1e-4)


def test_soft_argmax_reckons_in_float32():
    torch.manual_seed(0)
    rough = torch.randn(1, 2, 16, 16).bfloat16()
    points, variance = soft_argmax(rough)
    assert (points.dtype, variance.dtype) == (torch.float32, torch.float32)
    assert torch.equal(points, soft_argmax(rough.float())[0])


@pytest.mark.parametrize("config", [SMALL, NetworkConfig(64, 4, 16), NetworkConfig(32, 4, 32)])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_outer_cells_of_a_map_are_the_outer_pixels_of_a_crop(monkeypatch, config, corner):
    network = small_net(config)
    last = config.map_size - 1
    logits = one_hot(corner[0] * last, corner[1] * last, config.map_size, 9)
    monkeypatch.setattr(network.regressor, "logits", lambda drawn: logits)
    xy, _, _ = network(crops(1, config.input_size))
    wanted = torch.tensor(corner) * (config.input_size - 1.0)
    assert torch.allclose(xy, wanted.expand(1, 9, 2), atol=1e-3)


def test_phi_sees_rgb_from_minus_one_to_one():
    network, seen = small_net(), []
    network.drawer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    picture = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    picture[0, 4, 7] = torch.tensor([255, 51, 0])
    network(picture)
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][0, :, 4, 7].tolist() == pytest.approx([1, -0.6, -1], abs=1e-6)
    assert seen[0].mean() == pytest.approx(-1, abs=0.01)


def test_shapes_and_types_of_what_comes_out():
    network = small_net(skeleton=HUMAN36M_32)
    for count in (0, 3):
        with torch.no_grad():
            xy, score, subject = network(crops(count))
        assert [each.shape for each in (xy, score, subject)] == [(count, 32, 2), (count, 32), (count,)]
        assert all(each.dtype == torch.float32 for each in (xy, score, subject))


def test_folding_batch_norm_changes_nothing():
    torch.manual_seed(1)
    network, pictures = small_net(), crops()
    with torch.no_grad():
        before = network(pictures)
        drawn = network.drawer(pictures.permute(0, 3, 1, 2) / 255)
        fold_batch_norm(network)
        after = network(pictures)
        assert torch.allclose(network.drawer(pictures.permute(0, 3, 1, 2) / 255), drawn, atol=1e-5)
    assert drawn.std() > 0.01
    kinds = [type(module) for module in network.modules()]
    assert nn.BatchNorm2d not in kinds
    assert kinds.count(nn.InstanceNorm2d) == 8
    for was, is_ in zip(before, after, strict=True):
        assert torch.allclose(was, is_, atol=1e-3)


def kinds(network):
    return [type(module) for module in network.modules()]


def test_a_fusion_is_a_convolution_of_both_pictures():
    torch.manual_seed(0)
    fuse, below, skip = Fuse(6, 3), torch.randn(2, 6, 4, 4), torch.randn(2, 3, 8, 8)
    both = torch.cat([upsample(below), skip], 1)
    wanted = torch.einsum("oi,bihw->bohw", fuse.weight[..., 0, 0], both)
    assert torch.allclose(fuse(below, skip), wanted, atol=1e-5)
    assert torch.allclose(SplitFuse(fuse)(below, skip), wanted, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_instance_norm_is_pytorchs(count):
    torch.manual_seed(0)
    image = 3 * torch.randn(count, 5, 8, 6) + 2
    norm = nn.InstanceNorm2d(5, eps=1e-3)
    assert torch.allclose(InstanceNorm(norm)(image), norm(image), atol=1e-5)


def test_rearranging_for_a_processor_changes_nothing():
    network, pictures = small_net(skeleton=HUMAN36M_32), crops(5)
    fold_batch_norm(network)
    with torch.no_grad():
        before = network(pictures)
        rearrange(network)
        found = [(kinds(network), [network(part) for part in pictures.split(1)], network(pictures))]
        if can_pack(torch.float32):
            pack(network)
            found.append((kinds(network), [network(part) for part in pictures.split(1)], network(pictures)))
    assert not {Fuse, nn.InstanceNorm2d} & set(found[0][0])
    for _, singles, all_ in found:
        for index, was in enumerate(before):
            assert torch.allclose(was, all_[index], atol=1e-3)
            assert torch.allclose(was, torch.cat([single[index] for single in singles]), atol=1e-3)
    if len(found) > 1:
        packed = found[1][0]
        # Eight encoder layers and its end, the fusions in two, and so on; instance norm comes before a ReLU.
        assert packed.count(PackedConv) == 2 * 9 + 2 + 2 * 3 + 5 + 1
        assert packed.count(nn.ReLU) == packed.count(InstanceNorm) == 8
        assert not {nn.Conv2d, nn.Identity} & set(packed)


@pytest.mark.skipif(not can_pack(torch.float32), reason="no processor that weights are packed for")
def test_a_packed_weight_is_ordered_for_each_size_of_batch():
    conv = nn.Conv2d(8, 16, 3, padding=1).eval()
    packed = PackedConv(conv)
    with torch.inference_mode():
        for batch in (1, 2, 3, 4, 5, 1, 6):
            image = torch.randn(batch, 8, 12, 12).contiguous(memory_format=torch.channels_last)
            assert torch.allclose(packed(image), conv(image), atol=1e-5)
    assert [shape[0] for shape in packed._packed] == [4, 5, 1, 6]  # the latest


@pytest.mark.parametrize(
    ("machine", "onednn", "bf16", "wanted"),
    [
        pytest.param("x86_64", True, True, "fp32 bf16", id="all"),
        pytest.param("x86_64", True, False, "fp32", id="no bf16"),
        pytest.param("x86_64", False, False, "", id="no oneDNN"),
        pytest.param("aarch64", True, True, "", id="ARM"),
    ],
)
def test_weights_are_packed_where_that_was_tried(monkeypatch, machine, onednn, bf16, wanted):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: bf16)
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    assert " ".join(name for name, dtype in names.items() if can_pack(dtype)) == wanted


def skeleton_image(shift=0.0, size=128):
    """A cat's head, its points and edges."""
    joints = [(44, 60), (84, 60), (64, 90), (30, 50), (34, 16), (52, 36), (76, 36), (94, 16), (98, 50)]
    points = normalise(torch.tensor([joints], dtype=torch.float32) + shift, 128)
    edges = torch.tensor(CAT_HEAD.edges)
    return render(points, edges, size), points, edges


@pytest.mark.parametrize("size", [32, 64, 128, 200])
def test_a_drawing_explained_by_its_points_is_consistent(size):
    drawn, points, edges = skeleton_image(size=size)
    assert self_consistency(drawn, points, edges).item() > 0.95
    # A matter of shape, not of contrast.
    assert self_consistency(0.3 * drawn + 2, points, edges).item() > 0.95
    assert self_consistency(-drawn, points, edges).item() < -0.95


def test_the_farther_off_the_less_consistent():
    drawn, _, edges = skeleton_image()
    found = [self_consistency(drawn, skeleton_image(shift)[1], edges).item() for shift in (0, 2, 4, 8, 16)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.4
    noise = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    assert abs(self_consistency(noise, skeleton_image()[1], edges).item()) < 0.1


def test_a_drawing_is_checked_at_64_pixels_whatever_its_precision():
    drawn, points, edges = skeleton_image()
    grain = torch.ones(128)
    grain[::2] = -1
    grainy = drawn + 0.5 * grain[:, None] * grain  # gone where four pixels are one
    assert torch.allclose(self_consistency(grainy, points, edges), self_consistency(drawn, points, edges))
    half = drawn.bfloat16()
    assert torch.equal(self_consistency(half, points, edges), self_consistency(half.float(), points, edges))


def test_a_drawing_that_explains_itself_is_a_subject(monkeypatch):
    agreement = torch.tensor([0.9, 0.0, -0.9])
    monkeypatch.setattr("engines.network.self_consistency", lambda *_: agreement)
    _, _, subject = small_net()(crops(3))
    assert subject.tolist() == pytest.approx(torch.sigmoid(4 * agreement).tolist())


def test_scores_follow_the_doubts_and_their_calibration(monkeypatch):
    network = small_net()
    sure, unsure = one_hot(3, 4, 16, 9), one_hot(3, 4, 16, 9) * 0.01
    monkeypatch.setattr(network.regressor, "logits", lambda drawn: torch.cat([sure, unsure]))
    xy, score, subject = network(crops(2))
    assert (score[0] > 0.99).all()
    assert (score[1] < score[0]).all()
    network.point_calibration.copy_(torch.tensor([1.0, 0.0]))
    network.subject_calibration.copy_(torch.tensor([-2.0, 0.0]))
    again, score, subject = network(crops(2))
    assert score.flatten().tolist() == pytest.approx([1 / (1 + 2.718281828**-1)] * 18)
    assert subject.tolist() == pytest.approx([1 / (1 + 2.718281828**2)] * 2)
    assert torch.equal(again, xy)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"input_size": 100}, "input_size 100"),
        ({"input_size": 24}, "input_size 24"),
        ({"map_size": 8, "input_size": 128}, "map_size 8"),
        ({"map_size": 24, "input_size": 128}, "map_size 24"),
        ({"map_size": 0}, "map_size 0"),
        ({"map_size": -16}, "map_size -16"),
        ({"width": 0}, "width 0"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        NetworkConfig(**sizes)
