"""The records of a step, with those of whole batches as one for each key: for checks of single keys."""

from collections.abc import Iterable, Iterator

from decreed.registry.disk import AcceptedBatch, InstanceRecord, LearnedBatch, Record


def unfolded(records: Iterable[Record]) -> Iterator[Record]:
    """The same records in the same order; a batch as one `InstanceRecord` for each of its keys."""
    for record in records:
        match record:
            case AcceptedBatch() | LearnedBatch():
                for key, instance in record.instances.items():
                    yield InstanceRecord(key, instance)
            case _:
                yield record
