"""Finding out in an event loop which service is at an endpoint that is no decreed node."""

import anyio

from .endpoints import Endpoint
from .strangers import LOOK_BYTES, LOOK_SECONDS, questions, verdict


async def identify(endpoint: Endpoint) -> str:
    """The kind of server at `endpoint`; empty if that cannot be found out. Never raises."""
    answers: dict[str, bytes] = {}

    async def look(way: str, question: bytes) -> None:
        answers[way] = await _first_words(endpoint, question)

    async with anyio.create_task_group() as tasks:
        for way, question in questions().items():
            tasks.start_soon(look, way, question)
    return verdict(answers)


async def _first_words(endpoint: Endpoint, question: bytes) -> bytes:
    """The first bytes of a server's answer; empty after a timeout, or if it closes the connection."""
    try:
        with anyio.move_on_after(LOOK_SECONDS):
            async with await anyio.connect_tcp(endpoint.host, endpoint.port) as stream:
                await stream.send(question)
                return await stream.receive(LOOK_BYTES)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    return b""
