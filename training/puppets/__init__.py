"""Drawn people, faces and cats in known poses: what Φ learns from before it sees a picture, and beside them.

A mean pose says nothing about where limbs are, and neither discriminator nor reconstruction about whether a
mouth is open. A puppet does: random colours and shapes in a pose of the prior, in front of scraps of the
training pictures. No picture of anybody is labelled for it.
"""

from training.puppets.puppets import Puppets

__all__ = ["Puppets"]
