"""Results as endpoints of FastAPI return them: with an annotation, without one, and in a schema."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from decreed.client import Claimed, Decree, Outcome, Watched

from ..fakes import decree_of

FOUND = decree_of("app/settings@3", b"\xff", b"\xfe")
CLAIMED = Claimed(Outcome.WON, FOUND, b"\xfe")
WATCHED = Watched(FOUND, "n1:00:1")


async def typed() -> Decree | None:
    return FOUND


async def typed_none() -> Decree | None:
    return None


async def untyped():  # type: ignore[no-untyped-def]
    return FOUND


async def many() -> list[Decree]:
    return [FOUND]


async def claimed() -> Claimed:
    return CLAIMED


async def claimed_untyped():  # type: ignore[no-untyped-def]
    return CLAIMED


async def watched() -> Watched:
    return WATCHED


EXPECTED: dict[Callable[[], Any], Any] = {
    typed: FOUND.to_dict(),
    typed_none: None,
    untyped: FOUND.to_dict(),
    many: [FOUND.to_dict()],
    claimed: CLAIMED.to_dict(),
    claimed_untyped: CLAIMED.to_dict(),
    watched: WATCHED.to_dict(),
}


async def answer(app: Any, path: str) -> tuple[int, Any]:
    """The status and the document that an application answers with."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)


@pytest.mark.anyio
async def test_an_endpoint_may_return_what_the_client_returned() -> None:
    from fastapi import FastAPI

    app = FastAPI()
    for endpoint in EXPECTED:
        app.get(f"/{endpoint.__name__}")(endpoint)
    for endpoint, document in EXPECTED.items():
        assert await answer(app, f"/{endpoint.__name__}") == (200, document)
    _, openapi = await answer(app, "/openapi.json")
    [found] = schemas(openapi["paths"]["/typed"], "ballot")
    assert {*found["properties"]} <= {*FOUND.to_dict()}


def schemas(document: Any, name: str) -> list[dict[str, Any]]:
    """The schemas of objects in a document that have a property `name`."""
    if isinstance(document, list):
        return [found for part in document for found in schemas(part, name)]
    if not isinstance(document, dict):
        return []
    own = [document] if name in document.get("properties", {}) else []
    return own + [found for part in document.values() for found in schemas(part, name)]
