"""Joint orders, edges and mirrors: what data, prior and models must agree on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engines.skeleton import CAT_HEAD, FACE68, HUMAN, HUMAN36M_32, SKELETONS, Skeleton


@pytest.fixture(params=SKELETONS)
def skeleton(request):
    return SKELETONS[request.param]


def test_numbers_of_joints():
    assert {name: len(each.joints) for name, each in SKELETONS.items()} == {
        "face68": 68,
        "cat_head": 9,
        "human": 17,
        "human36m_32": 32,
    }


def test_mirroring_twice_changes_nothing(skeleton):
    points = np.random.default_rng(0).uniform(0, 127, (3, len(skeleton.joints), 2))
    assert skeleton.mirror[skeleton.mirror].tolist() == list(range(len(skeleton.joints)))
    assert skeleton.flip(skeleton.flip(points, 128), 128) == pytest.approx(points)


def test_a_mirrored_drawing_has_the_same_lines(skeleton):
    lines = {frozenset(edge) for edge in skeleton.edges}
    assert len(lines) == len(skeleton.edges)
    assert {frozenset(skeleton.mirror[list(edge)].tolist()) for edge in skeleton.edges} == lines


def test_mirror_names_trade_left_for_right(skeleton):
    def other(name):
        trade = {"left": "right", "right": "left", "l": "r", "r": "l"}
        first, _, rest = name.partition("_")
        return f"{trade.get(first, first)}_{rest}" if rest else name

    for joint, mirrored in enumerate(skeleton.mirror):
        name, found = skeleton.joints[joint], skeleton.joints[mirrored]
        # The iBUG joints are numbered around their part, so there only the part has a side.
        if skeleton is FACE68:
            name, found = name.rpartition("_")[0], found.rpartition("_")[0]
        assert found == other(name)


def test_flip_keeps_pixels_on_pixels():
    points = np.array([[[0.0, 5], [127, 6], [3, 7], *[[1, 1]] * 6]])
    flipped = CAT_HEAD.flip(points, 128)
    assert flipped[0, :3].tolist() == [[0, 6], [127, 5], [124, 7]]
    assert points[0, 0].tolist() == [0, 5]


def test_cat_head_is_the_order_of_the_labels():
    assert CAT_HEAD.mirror.tolist() == [1, 0, 2, 8, 7, 6, 5, 4, 3]
    assert CAT_HEAD.edges == ((3, 4), (4, 5), (6, 7), (7, 8), (5, 6), (0, 1), (0, 2), (1, 2))
    assert CAT_HEAD.joints[:3] == ("left_eye", "right_eye", "mouth")
    ears = [f"left_ear_{part}" for part in ("outer", "tip", "inner")]
    ears += [f"right_ear_{part}" for part in ("inner", "tip", "outer")]
    assert CAT_HEAD.joints[3:] == tuple(ears)


def test_human_edges_are_the_parents_of_the_motion_capture(shared_data):
    with np.load(shared_data / "humans" / "prior" / "mocap17.npz") as prior:
        assert tuple(prior["joints"]) == HUMAN.joints
        links = {(int(parent), joint) for joint, parent in enumerate(prior["parents"]) if parent >= 0}
    assert set(HUMAN.edges) == links


def test_human36m_draws_what_keypointgan_draws():
    links = "1-11 2-1 3-2 5-3 6-11 7-6 8-7 10-8 13-11 15-13 17-13 18-17 19-18 25-13 26-25 27-26"
    assert [f"{start}-{end}" for start, end in HUMAN36M_32.edges] == links.split()
    pairs = ((6, 1), (7, 2), (8, 3), (9, 4), (10, 5), *((left, left + 8) for left in range(16, 24)))
    assert {frozenset(pair) for pair in HUMAN36M_32.mirror_pairs} == {frozenset(pair) for pair in pairs}
    named = {0: "hip", 1: "r_hip", 11: "pelvis", 13: "neck_base", 19: "l_wrist", 27: "r_wrist"}
    assert {joint: HUMAN36M_32.joints[joint] for joint in named} == named


def test_face_lines_join_neighbours_of_one_part():
    parts = [name.rpartition("_")[0] for name in FACE68.joints]
    assert all(parts[start] == parts[end] for start, end in FACE68.edges)
    lines = {"jaw": 16, "left_brow": 4, "right_brow": 4, "nose_bridge": 3, "nose_base": 4}
    rings = {"left_eye": 6, "right_eye": 6, "outer_lip": 12, "inner_lip": 8}
    assert Counter(parts[start] for start, _ in FACE68.edges) == lines | rings
    assert Counter(parts) == {part: count + 1 for part, count in lines.items()} | rings


def test_the_mean_face_is_its_own_mirror_image(shared_data):
    """Each joint of the mirrored mean lies nearest to the joint of its own name."""
    with np.load(shared_data / "faces" / "prior" / "poses68.npz") as prior:
        mean = prior["pts"].mean(axis=0)
    mean -= mean.mean(axis=0)
    apart = np.linalg.norm(FACE68.flip(mean, 1)[:, None] - mean, axis=-1)
    assert apart.argmin(axis=1).tolist() == list(range(68))


def test_the_mean_face_has_its_parts_where_their_names_say(shared_data):
    with np.load(shared_data / "faces" / "prior" / "poses68.npz") as prior:
        mean = prior["pts"].mean(axis=0)

    def middle(part):
        return mean[[name.startswith(part) for name in FACE68.joints]].mean(axis=0)

    assert middle("left_brow")[0] < middle("nose_bridge")[0] < middle("right_brow")[0]
    assert middle("left_eye")[0] < middle("nose_base")[0] < middle("right_eye")[0]
    downwards = ("left_brow", "left_eye", "nose_base", "outer_lip")
    assert np.all(np.diff([middle(part)[1] for part in downwards]) > 0.05)
    assert middle("inner_lip") == pytest.approx(middle("outer_lip"), abs=0.01)


@pytest.mark.parametrize(
    ("joints", "edges", "pairs", "said"),
    [
        (("a", "a"), (), (), "joint names repeat"),
        (("a", "b"), ((0, 2),), (), "leaves 0..1"),
        (("a", "b"), (), ((-1, 0),), "leaves 0..1"),
        (("a", "b", "c"), (), ((0, 1), (1, 2)), "two mirror pairs"),
    ],
)
def test_nonsense_is_refused(joints, edges, pairs, said):
    with pytest.raises(ValueError, match=f"skeleton odd: .*{said}"):
        Skeleton("odd", joints, edges, pairs)


def test_left_and_right_limbs_of_a_person_are_drawn_apart():
    right, left = HUMAN.layers
    assert {*right} | {*left} == {*HUMAN.edges}
    trunk = {*right} & {*left}
    names = {HUMAN.joints[index] for edge in trunk for index in edge}
    assert names == {"pelvis", "spine", "neck", "head", "head_top"}
    mirrored = {tuple(int(HUMAN.mirror[index]) for index in edge) for edge in right}
    assert mirrored == {*left}
    assert FACE68.layers == (FACE68.edges,)


@pytest.mark.parametrize("sides", [(((0, 1),), ((1, 2),)), (((0, 1), (1, 2)), ((0, 1),)), (((0, 2),),)])
def test_sides_that_are_not_the_edges_are_refused(sides):
    with pytest.raises(ValueError, match="its sides are not its edges"):
        Skeleton("odd", ("a", "b", "c"), ((0, 1),), (), sides)
