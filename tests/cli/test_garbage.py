"""How a node's process collects garbage: seldom, and never among the objects of its start."""

import gc

from decreed.cli.commands.serve import YOUNG_OBJECTS, collect_seldom


def test_a_node_collects_garbage_rarely_and_skips_the_objects_of_its_start() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        gc.disable()  # as it is while a node loads
        collect_seldom()
        assert gc.get_threshold() == (YOUNG_OBJECTS, *before[1:])
        assert gc.get_freeze_count() > frozen
        assert gc.isenabled(), "cycles must not accumulate"
    finally:
        gc.enable()
        if not frozen:
            gc.unfreeze()
        gc.set_threshold(*before)
