"""What one policy changes in another, in lines for people to read: ``+`` comes, ``-`` goes.

The lines tell first what the documents say, section by section, and then what each identity gains and
loses by it, whatever the sections say: a role that loses a grant changes every member of it.
"""

from collections.abc import Iterator, Mapping

import msgspec

from .document import ANYONE, CutOff, Limit, Policy, Quota, Right, RoleGrant, Token
from .encoding import expiry_text

EMPTY = Policy({}, {}, {}, {}, (), ())
"""What there is before the first policy, to compare with; it allows nothing, but no policy does all."""


def difference(before: Policy, after: Policy) -> tuple[str, ...]:
    """The lines that tell what changes from `before` to `after`; empty if they are the same."""
    return (*_sections(before, after), *_effects(before, after))


def _sections(before: Policy, after: Policy) -> Iterator[str]:
    yield from _changes(_role_lines(before), _role_lines(after))
    yield from _changes(_member_lines(before), _member_lines(after))
    yield from _changes(_token_lines(before.tokens), _token_lines(after.tokens))
    yield from _changes(_limit_lines(before.limits), _limit_lines(after.limits))
    yield from _changes(_quota_lines(before.quotas), _quota_lines(after.quotas))
    refused = [{f"refused {text}" for text in each.refused} for each in (before, after)]
    yield from _changes(*refused)


def _changes(before: set[str], after: set[str]) -> Iterator[str]:
    gone = [(text, "-") for text in before - after]
    come = [(text, "+") for text in after - before]
    for text, sign in sorted(gone + come):
        yield f"{sign} {text}"


def _role_lines(policy: Policy) -> set[str]:
    empty = {f"role {name}: nothing" for name, grants in policy.roles.items() if not grants}
    said = {
        f"role {name}: {grant_text(grant)}"
        for name, grants in policy.roles.items()
        for grant in grants
    }
    return empty | said


def _member_lines(policy: Policy) -> set[str]:
    empty = {f"{name} has no role" for name, roles in policy.members.items() if not roles}
    said = {f"{name} has role {role}" for name, roles in policy.members.items() for role in roles}
    return empty | said


def _token_lines(tokens: Mapping[str, Token]) -> set[str]:
    """Two secrets of one name are told apart by the beginning of their hashes."""
    return {
        f"token {name} (sha256 {token.sha256[:8]}…) until {expiry_text(token)}"
        for name, token in tokens.items()
    }


def _limit_lines(limits: Mapping[str, Limit]) -> set[str]:
    return {f"limit of {name}: {_numbers(limit)}" for name, limit in limits.items()}


def _quota_lines(quotas: tuple[Quota, ...]) -> set[str]:
    return {
        f"quota of {quota.of} on {_place(quota.on)}: {_numbers(quota, 'on', 'of')}"
        for quota in quotas
    }


def _numbers(value: msgspec.Struct, *but: str) -> str:
    fields: dict[str, object] = msgspec.to_builtins(value)
    said = [
        f"{name} {number}"
        for name, number in fields.items()
        if number is not None and name not in but
    ]
    return ", ".join(said) or "none"


def grant_text(grant: RoleGrant) -> str:
    """A grant in words."""
    refuses = grant.when_cut_off is CutOff.REFUSE
    cut_off = ", and no reads at a node that is cut off" if refuses else ""
    return f"{', '.join(grant.may)} on {_place(grant.on)}{cut_off}"


def _place(prefix: str) -> str:
    return prefix or "everything"


# -- what it means


def _effects(before: Policy, after: Policy) -> Iterator[str]:
    """What each identity may do after it and could not before, and the reverse."""
    named = sorted({*before.members, *after.members, *_identities(before), *_identities(after)})
    for name in named:
        old, new = _may(before, name), _may(after, name)
        for sign, word, change in (("-", "loses", old - new), ("+", "gains", new - old)):
            for on in sorted({on for on, _ in change}):
                rights = ", ".join(right for right in Right if (on, right) in change)
                yield f"{sign} {name} {word} {rights} on {_place(on)}"

    links = [
        {name for name in _identities(each) if name.startswith("node/")} for each in (before, after)
    ]
    for name in sorted(links[1] - links[0]):
        yield f"- {name} loses its links to all other nodes"
    for name in sorted(links[0] - links[1]):
        yield f"+ {name} may be linked to other nodes again"


def _identities(policy: Policy) -> set[str]:
    """The identities that a policy refuses: what they had is lost, whatever roles they keep."""
    return {text for text in policy.refused if not text.startswith(("sha256:", "serial:"))}


def _may(policy: Policy, name: str) -> set[tuple[str, Right]]:
    """The rights of a member, each with its prefix."""
    if name in policy.refused:
        return set()
    grants = policy.grants_of(name, *(() if name == ANYONE else (ANYONE,)))
    return {(grant.on, right) for grant in grants for right in grant.may}
