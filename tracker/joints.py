"""Joints by what people call them: one, or all of a part such as ``left_eye``."""

from __future__ import annotations

import re

from engines.skeleton import Skeleton


def parts(skeleton: Skeleton) -> dict[str, list[int]]:
    """Part → its joints, in their order: ``left_eye_0`` to ``left_eye_5`` are the part ``left_eye``.

    A joint without a number is a part of its own.
    """
    found: dict[str, list[int]] = {}
    for index, joint in enumerate(skeleton.joints):
        found.setdefault(re.sub(r"_\d+$", "", joint), []).append(index)
    return found


def joints_called(skeleton: Skeleton, name: str) -> list[int]:
    """The joint of that name or else all joints whose names begin with it and an underscore.

    Raises ``ValueError``, listing the names, where there is none.
    """
    if name in skeleton.joints:
        return [skeleton.joints.index(name)]
    called = [index for index, joint in enumerate(skeleton.joints) if joint.startswith(f"{name}_")]
    if not called:
        raise ValueError(f"{name!r} is no joint of {skeleton.name}; these are: {', '.join(_names(skeleton))}")
    return called


def _names(skeleton: Skeleton) -> list[str]:
    names = []
    for part, joints in parts(skeleton).items():
        first, last = skeleton.joints[joints[0]], skeleton.joints[joints[-1]]
        names.append(first if first == part else f"{part} ({first} to {last})")
    return names
