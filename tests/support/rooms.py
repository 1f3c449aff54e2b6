"""The rooms of the core: which file stands where, and in which order the rooms depend on each other."""

ROOMS = {
    "step": ("effects", "events", "node", "requests", "tokens", "turn"),
    "feed": ("catchup", "forgetting", "knowledge", "positions", "watches"),
    "consensus": ("acceptors", "attempts", "coordinator", "flights", "standing", "voting"),
    "requests": (
        *("claims", "finishing", "in_turn", "list_read", "lists", "names", "reads"),
        *("scan_service", "scans", "spans"),
    ),
    "locks": (
        *("asking", "contest", "contests", "giving_up", "granting", "latest", "locks", "renewals"),
    ),
    "front": ("intake", "membership", "parts", "peers", "replica", "status"),
}
"""The files of `registry/replica`, room by room. A room imports itself and those before it."""

_ROOM = {name: room for room, names in ROOMS.items() for name in names}


def room_of(file: str) -> str:
    """The room of a file, whose name is given below ``registry``.

    Outside `registry/replica` each folder is a room, and the vocabulary that all share is one.
    """
    folder, slash, name = file.rpartition("/")
    if folder == "replica":
        return _ROOM[name.removesuffix(".py")]
    return folder if slash else "words"
