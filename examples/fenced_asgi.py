"""An HTTP service that refuses writes of earlier holders of a lock: plain ASGI, for any server.

    uvicorn fenced_asgi:app          (any ASGI server will do)

A client that holds the lock ``documents`` sends its token with each write:

    PUT /documents/1  with the header  Decreed-Token: 17

Answers: 204 stored; 400 no token; 409 a newer token has been there.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from decreed.client import errors
from decreed.client.fencing import Fence, token_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESOURCE = "documents"
fence = Fence()
documents: dict[str, bytes] = {}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Store the body of a request whose token is not stale."""
    if scope["type"] != "http":
        return
    body = await read(receive)
    try:
        # no await between the check and the write, so that no other write can come in between
        fence.check(RESOURCE, token_of(scope["headers"]))
        documents[scope["path"]] = body
        await answer(send, 204, "")
    except errors.StaleToken as error:
        await answer(send, 409, str(error))
    except errors.BadRequest as error:
        await answer(send, 400, str(error))


async def read(receive: Receive) -> bytes:
    """The whole body of a request."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def answer(send: Send, status: int, text: str) -> None:
    """Send a whole response."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
