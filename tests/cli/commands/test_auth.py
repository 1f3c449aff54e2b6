"""``decreed auth``: tokens are made, shown once, listed and revoked, at real nodes on loopback."""

import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from decreed.cli.changing.tokens import change, with_token, without_token
from decreed.client.requests.policies import PolicyOutcome, PolicyVersion
from decreed.registry.errors import BadRequest, Refused, Unreachable
from decreed.registry.policy.document import Policy, Token
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.series import CONTENT_TYPE, policy_key
from decreed.registry.policy.tokens import parse_token
from decreed.registry.types import Ballot, Decree, NodeId, Process

from ...policy.samples import BEFORE_MS, EXPIRES_MS, SMALL, changed, read
from ...support.certificates import Authority
from ...support.tokens import Governed, expires, fresh, governed, policy_with
from ..fakes import Cli, Result

Run = Callable[..., Any]
DIGEST = "cd" * 32


@asynccontextmanager
async def auth(
    cli: Cli, tmp_path: Path, policy: Policy | None
) -> AsyncIterator[tuple[Governed, Run]]:
    """A cluster under a policy, and what runs commands of its administrator."""
    async with governed(Authority(tmp_path)) as place:
        if policy is not None:
            await place.apply(policy)
        shown = place.tls_of("alice")

        async def run(*words: str, as_alice: bool = True) -> Result:
            own = ("--cert", str(shown.cert), "--key", str(shown.key)) if as_alice else ()
            options = ("--endpoints", place.at, "--ca", str(shown.ca), *own)
            return await trio.to_thread.run_sync(lambda: cli(*words, *options))

        yield place, run


@pytest.mark.trio
async def test_a_token_is_made_shown_alone_used_listed_and_revoked(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with auth(cli, tmp_path, policy_with({})) as (_, run):
        made = await run("auth", "create", "ci", "--role", "app", "--expires", "2h")
        assert made.code == 0 and made.out.endswith(b"\n")
        token = parse_token(made.out.decode())
        assert token.name == "ci" and token.show() not in made.err
        assert "token/ci has the roles app until" in made.err
        listed = await run("auth", "list")
        assert listed.out.split()[:2] == [b"ci", b"app"] and b"within a day" in listed.out
        document = (await run("auth", "list", "--json")).json
        assert document["roles"] == ["app"] and 7_000 < document["seconds_left"] <= 7_200
        for said in (listed.out, json.dumps(document).encode()):
            assert token.digest("live-test").encode() not in said
        monkeypatch.setenv("DECREED_AUTH_TOKEN", token.show())
        assert (await run("claim", "app/x", "v", as_alice=False)).code == 0
        denied = await run("claim", "else", "v", as_alice=False)
        assert denied.code == 10 and "not granted to token/ci" in denied.err
        monkeypatch.delenv("DECREED_AUTH_TOKEN")
        gone = await run("auth", "revoke", "ci")
        assert (gone.code, gone.out) == (0, b"token/ci is revoked by policy 3\n")
        monkeypatch.setenv("DECREED_AUTH_TOKEN", token.show())
        refused = await run("get", "app/x", as_alice=False)
        assert refused.code == 7 and "the token is not accepted" in refused.err
        assert token.show() not in refused.err
        monkeypatch.delenv("DECREED_AUTH_TOKEN")
        empty = await run("auth", "list")
        assert (empty.code, empty.out) == (0, b"") and "no tokens" in empty.err


@pytest.mark.trio
async def test_a_token_goes_to_a_new_file_of_its_owner_alone_and_a_context_names_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ci.token"
    async with auth(cli, tmp_path, policy_with({})) as (_, run):
        made = await run("auth", "create", "ci", "--role", "app", "--out", str(file))
        assert (made.code, made.out) == (0, b"")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        token = parse_token(file.read_text())
        again = await run("auth", "create", "cd", "--out", str(file))
        assert again.code == 2 and "is not written over" in again.err
        assert file.read_text() == token.show() + "\n"
        kept = tmp_path / "other.token"
        wrong = await run("auth", "create", "ci", "--out", str(kept))
        assert wrong.code == 2 and "take another name" in wrong.err and not kept.exists()
        config = tmp_path / "config.toml"
        config.write_text('[contexts.ci]\ntoken_file = "ci.token"\n')
        monkeypatch.setenv("DECREED_CONFIG", str(config))
        claimed = await run("claim", "app/x", "v", "--context", "ci", as_alice=False)
        assert claimed.code == 0
        got = await run("get", "app/x", "--json", "--context", "ci", as_alice=False)
        assert got.json["identity"] == "token/ci"


@pytest.mark.trio
async def test_without_a_policy_or_the_right_no_token_is_made(cli: Cli, tmp_path: Path) -> None:
    async with auth(cli, tmp_path, None) as (place, run):
        early = await run("auth", "create", "ci")
        assert (early.code, early.out) == (7, b"") and "there is no policy yet" in early.err
        await place.apply(policy_with({fresh("cd"): expires()}))
        denied = await run("auth", "create", "ci", as_alice=False)
        assert (denied.code, denied.out) == (10, b"")
        unknown = await run("auth", "revoke", "ci")
        assert unknown.code == 2 and "no token 'ci'; it has: cd" in unknown.err
        for words in (("ci", "--role", "none"), ("a/b",), ("ci", "--expires", "2000d")):
            assert (await run("auth", "create", *words)).code == 2


def test_both_variables_at_once_are_a_mistake_and_no_option_takes_a_token(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = fresh("ci").show()
    monkeypatch.setenv("DECREED_AUTH_TOKEN", text)
    bare = cli("get", "k", "--endpoints", "127.0.0.1:9")
    assert bare.code == 2 and "shown over TLS alone" in bare.err and text not in bare.err
    monkeypatch.setenv("DECREED_AUTH_TOKEN_FILE", str(tmp_path / "token"))
    both = cli("get", "k")
    assert both.code == 2 and "one token counts" in both.err and text not in both.err
    monkeypatch.delenv("DECREED_AUTH_TOKEN")
    shown = cli("context", "show", "--json").json
    assert shown["token"] == str(tmp_path / "token")
    assert cli("get", "k", "--token", text).code == 2


# -- the change of the policy, without a cluster


def decree(number: int, document: Policy) -> Decree:
    facts = (
        encode(document),
        CONTENT_TYPE,
        "alice",
        b"id",
        "",
        0,
        Ballot(1, Process(NodeId("n1"), 1)),
    )
    return Decree(policy_key(number), *facts)


class Policies:
    """A cluster in which another administrator is as busy as the test says."""

    def __init__(self, *others: Policy | BadRequest, first: Policy) -> None:
        self.others, self.versions = list(others), [first]
        self.notes: list[str] = []

    async def latest(self, *, timeout: float | None = None) -> PolicyVersion | None:
        number = len(self.versions)
        return PolicyVersion(number, decree(number, self.versions[-1]))

    async def apply(
        self, document: Policy, *, base: int, note: str = "", **_: Any
    ) -> PolicyOutcome:
        assert base == len(self.versions)
        other = self.others.pop(0) if self.others else None
        if isinstance(other, BadRequest):
            raise other
        self.versions.append(document if other is None else other)
        self.notes.append(note)
        made = decree(base + 1, self.versions[-1])
        return PolicyOutcome(base + 1, made, other is None, other is None, (), b"id")


def run(policies: Policies, edit: Any) -> PolicyOutcome:
    work = change(policies, edit, "why", 60.0, lambda _: None, lambda: 0.0, lambda _: None)
    try:
        work.send(None)
    except StopIteration as end:
        outcome: PolicyOutcome = end.value
        return outcome
    raise AssertionError("it waits for something")


def test_a_change_is_made_again_on_top_of_anothers_policy() -> None:
    other = read(changed(quotas=[{"on": "a", "of": "anyone", "keys": 1}]))
    policies = Policies(BadRequest("behind"), other, first=read(SMALL))
    outcome = run(policies, with_token("cd", Token(DIGEST, EXPIRES_MS), ("deploy",), 0))
    assert (outcome.number, outcome.won) == (3, True)
    newest = policies.versions[-1]
    assert newest.quotas == other.quotas and newest.tokens["cd"].sha256 == DIGEST
    assert newest.members["token/cd"] == ("deploy",)


def test_a_change_that_makes_no_sense_any_more_is_not_made() -> None:
    gone = read(changed(tokens={}, members={"client/alice": ["ops"]}))
    with pytest.raises(BadRequest, match="no token 'ci'; it has: none"):
        run(Policies(gone, first=read(SMALL)), without_token("ci"))
    taken = read(
        changed(
            tokens={
                **SMALL["tokens"],
                "cd": {"sha256": "ef" * 32, "expires": "2099-01-01T00:00:00Z"},
            }
        )
    )
    with pytest.raises(BadRequest, match="there is a token 'cd'"):
        run(Policies(taken, first=read(SMALL)), with_token("cd", Token(DIGEST, EXPIRES_MS), (), 0))


def test_it_does_not_go_on_forever_beside_others() -> None:
    edit = with_token("cd", Token(DIGEST, EXPIRES_MS), (), 0)
    others = [read(SMALL)] * 99
    with pytest.raises(Unreachable, match="others change the policy all the time"):
        run(Policies(*others, first=read(SMALL)), edit)
    with pytest.raises(BadRequest, match="behind"):
        run(Policies(*[BadRequest("behind")] * 99, first=read(SMALL)), edit)


def test_a_revoked_token_leaves_roles_and_limits_of_its_name_to_nobody() -> None:
    policy = read(changed(limits={"token/ci": {"connections": 1}, "anyone": {"connections": 9}}))
    after = without_token("ci")(policy)
    assert not after.tokens and "token/ci" not in after.members and list(after.limits) == ["anyone"]
    assert with_token("ci", Token(DIGEST, EXPIRES_MS), (), 0)(after).members == after.members


def test_a_token_that_has_expired_gives_its_name_and_roles_to_the_next() -> None:
    policy = read(SMALL)
    edit = with_token("ci", Token(DIGEST, EXPIRES_MS + 1), ("ops",), EXPIRES_MS)
    assert edit(policy).members["token/ci"] == ("deploy", "ops")
    with pytest.raises(BadRequest, match="take another name"):
        with_token("ci", Token(DIGEST, EXPIRES_MS), (), BEFORE_MS)(policy)


def test_no_policy_no_token() -> None:
    class None_(Policies):
        async def latest(self, *, timeout: float | None = None) -> PolicyVersion | None:
            return None

    with pytest.raises(Refused, match="there is no policy yet"):
        run(None_(first=read(SMALL)), without_token("ci"))
