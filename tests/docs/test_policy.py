"""The policy in the documentation is one, and its tables have what the code has."""

from decreed.registry.policy.document import Policy, Right
from decreed.registry.policy.parsing import parse

from .pages import ROOT, blocks, quoted, rows

PAGE = ROOT / "docs" / "policies.md"


def test_the_policy_of_the_page_is_one() -> None:
    [document] = [block for block in blocks(PAGE, "text") if block.text.startswith("{")]
    policy = parse(document.text.encode())
    assert policy.members["client/alice"] == ("ops",)


def test_the_tables_name_every_right_and_every_section() -> None:
    assert [quoted(right)[0] for right, _ in rows(PAGE, "right")] == list(Right)
    sections = [quoted(section)[0] for section, _ in rows(PAGE, "section")]
    assert sections == list(Policy.__struct_fields__)
