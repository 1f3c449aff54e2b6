"""Lines that others can cause have a rate."""

from decreed.registry.server.rates import BURST, Rates


def test_a_thing_is_said_at_once_then_seldom_and_what_went_unsaid_is_counted() -> None:
    rates = Rates()
    assert [rates.ask("x", 0.0) for _ in range(BURST + 5)] == [0] * BURST + [None] * 5
    assert rates.ask("y", 0.0) == 0, "each has its own"
    assert rates.ask("x", 1.0) == 5
    assert rates.ask("x", 1.5) is None
    assert [rates.ask("x", 1_000.0) for _ in range(BURST + 1)] == [1, *[0] * (BURST - 1), None]
