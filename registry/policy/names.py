"""Identities as a policy writes them: ``client/alice``, ``token/ci``, ``node/n1``, ``anonymous``."""

from contextlib import suppress

from ..errors import BadRequest
from ..identity import ANONYMOUS, Identity


def parse_identity(text: str) -> Identity:
    """The identity that is written as `text`, such as ``client/alice``.

    Raises:
        BadRequest: naming what is wrong with it; definite.
    """
    if text == str(ANONYMOUS):
        return ANONYMOUS
    if text:  # an identity that is recorded as nothing is written as "anonymous" here
        with suppress(ValueError):
            return Identity.of_recorded(text)
    raise BadRequest(
        f"{text[:60]!a} is no identity: write client/NAME, token/NAME, node/NAME or anonymous; a name"
        " has 1 to 128 of the characters A-Z a-z 0-9 . _ @ -"
    )
