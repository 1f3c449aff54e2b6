"""The rooms of the product: folders with one purpose each, in an order that imports follow."""

ROOMS = {
    "registry.replica": (
        "step",
        "feed",
        "members",
        "policy",
        "consensus",
        "requests",
        "scrub",
        "locks",
        "",
    ),
    "client": ("transport", "runtime", "caching", "requests", "locks", ""),
    "cli": (
        *("shell", "config", "supervise", "options", "bench", "importing", "snapshots"),
        *("certificates", "changing", "policies", "commands", ""),
    ),
}
"""The rooms of each part. A room imports itself and earlier ones; "" is the part's own folder."""


def room(part: str, module: str) -> str | None:
    """The room of `part` that has a module; None if the module is in another part."""
    above, _, below = module.partition(f"decreed.{part}")
    if above or below[:1] not in ("", "."):
        return None
    first, _, rest = below[1:].partition(".")
    return first if rest or first in ROOMS[part] else ""


def room_of(file: str) -> str:
    """The room of a file, by its path below ``registry``; other folders there are rooms as well."""
    folder, _, _ = file.rpartition("/")
    return "front" if folder == "replica" else folder.removeprefix("replica/") or "words"
