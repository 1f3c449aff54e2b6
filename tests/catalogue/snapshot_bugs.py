"""Mistakes in how snapshots are written, read and continued, and in what is restored from them."""

from .bug import Bug, Change

_FILE_TESTS = "storage/test_snapshots.py"
_SEED_TESTS = "storage/test_seed.py"
_MARK_TESTS = "replica/feed/test_marks.py"
_SEEDING_TESTS = "replica/feed/test_seeding.py"
_CHAIN_TESTS = "storage/test_snapshot_chains.py"
_RESTORE_TESTS = "storage/test_restoring.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


FILES = (
    _bug(
        "the checksum of the whole snapshot is not compared",
        _FILE_TESTS,
        "storage.snapshot.reader",
        "if end.whole != whole:",
        "if False:",
    ),
    _bug(
        "a snapshot may have less than its end says",
        _FILE_TESTS,
        "storage.snapshot.reader",
        "if end.contents != self.contents:",
        "if False:",
    ),
    _bug(
        "what follows the end of a snapshot is passed over",
        _FILE_TESTS,
        "storage.snapshot.reader",
        "if self.blocks.read() is not None:",
        "if False:",
    ),
    _bug(
        "a snapshot without an end is complete",
        _FILE_TESTS,
        "storage.snapshot.reader",
        "            whole = self.blocks.whole\n        raise self._cut()",
        "            whole = self.blocks.whole\n        return",
    ),
    _bug(
        "a page of a snapshot is written out of its place",
        _FILE_TESTS,
        "storage.snapshot.writer",
        "self.last = check_order(decrees, self.last)",
        "self.last = decrees[-1].key",
    ),
    _bug(
        "an increment has whole pages where it lacks a part of them",
        "cli/commands/test_saving.py",
        "cli.snapshots.saving",
        "page.body if len(lacking) == len(page.decrees) else None",
        "page.body",
    ),
    _bug(
        "the bytes of a packed page are not checked",
        "replica/requests/test_packed.py",
        "registry.wire.packed",
        "_unpack = Decoder(tuple[Decree, ...]).decode",
        "_unpack = Decoder().decode",
    ),
    _bug(
        "a packed page lacks its last decree",
        "replica/requests/test_packed.py",
        "registry.replica.requests.lists",
        "packed = pack_decrees(decrees)",
        "packed = pack_decrees(decrees[:-1])",
    ),
    _bug(
        "a peer passes over the rows behind the end of a span",
        "replica/requests/test_spans.py",
        "registry.replica.requests.spans",
        "stop = bisect_right(rows, self._place, at, key=place_of)",
        "stop = len(rows)",
    ),
    _bug(
        "a snapshot that was cut is a seed",
        _SEED_TESTS,
        "storage.snapshot.seed",
        "            chain.check_blocks()\n",
        "",
    ),
    _bug(
        "a seed is of another cluster",
        _SEED_TESTS,
        "storage.snapshot.seed",
        "if head.cluster_id != config.cluster_id:",
        "if False:",
    ),
    _bug(
        "a node learns from a snapshot of another formation",
        _SEEDING_TESTS,
        "registry.replica.feed.seeding",
        "if page.formation != self._node.identity.formation:",
        "if False:",
    ),
    _bug(
        "the marks of a snapshot are from the end of its save",
        "cli/commands/test_saving.py",
        "cli.snapshots.saving",
        "marks = confirmed(writer.head.marks, await source.marks())",
        "marks = await source.marks()",
    ),
    _bug(
        "the mark of another directory is believed",
        _MARK_TESTS,
        "registry.replica.feed.marks",
        "if mark is None or known is None or mark.disk_id != known.disk_id:",
        "if mark is None or known is None:",
    ),
    _bug(
        "the mark of a directory that was set back is believed",
        _MARK_TESTS,
        "registry.replica.feed.marks",
        "return mark.index if known.incarnation == mark.incarnation else 0",
        "return mark.index if known.incarnation >= mark.incarnation else 0",
    ),
    _bug(
        "the marks of a seed that was not learned whole are believed",
        _MARK_TESTS,
        "registry.replica.feed.seeding",
        "if self._learned == page.count and not self._node.failed:",
        "if not self._node.failed:",
    ),
    _bug(
        "a decree that could not be learned counts as learned from a seed",
        _MARK_TESTS,
        "registry.replica.feed.seeding",
        "self._learned += _settled(step, page.decrees)",
        "self._learned += len(page.decrees)",
    ),
    _bug(
        "reserved keys below a mark are left out",
        _MARK_TESTS,
        "storage.runs",
        "places = [at for at, key in each if key[0] == RESERVED][:limit]",
        "places = [at for at, key in each if not key][:limit]",
    ),
    _bug(
        "a mark is told in spite of damage",
        _MARK_TESTS,
        "registry.replica.status",
        "if not (node.voting and is_sound):",
        "if not node.voting:",
    ),
    _bug(
        "a mark is told of what is not durable",
        _MARK_TESTS,
        "registry.replica.status",
        "place = (identity.disk_id, identity.incarnation, node.settled_feed_end)",
        "place = (identity.disk_id, identity.incarnation, node.feed_end)",
    ),
    _bug(
        "marks count if anyone tells one after the save",
        _SEED_TESTS,
        "storage.snapshot.contents",
        "    is_sound = all((mark.node, mark.disk_id, mark.incarnation) in told for mark in before)\n",
        "    is_sound = bool(told) or not before\n",
    ),
    _bug(
        "the marks of a head count although the end has none",
        _SEED_TESTS,
        "storage.snapshot.seed",
        "self._marks = ends[-1].marks if ends[-1] is not None else ()",
        "self._marks = self._head.marks",
    ),
    _bug(
        "marks of an end need not be those of the head",
        _SEED_TESTS,
        "storage.snapshot.reader",
        "if not set(end.marks) <= set(self.head.marks):",
        "if False:",
    ),
    _bug(
        "a seed whose files do not continue each other is learned",
        _SEED_TESTS,
        "storage.snapshot.chain",
        "                reader.check_blocks()\n        self._check_links()\n",
        "                reader.check_blocks()\n",
    ),
    _bug(
        "feeds are read before the seed is learned",
        _SEEDING_TESTS,
        "registry.replica.feed.catchup",
        " and not self.awaits_seed:",
        ":",
    ),
    _bug(
        "a seed that was interrupted is not read again",
        _SEEDING_TESTS,
        "registry.replica.feed.seeding",
        "return not (self._node.takes_part or self._catchup.has_read)",
        "return not (self._node.takes_part or self._node.feed_end)",
    ),
    _bug(
        "a block counts wherever it stands",
        _FILE_TESTS,
        "storage.snapshot.blocks",
        "if number != self.number:",
        "if False:",
    ),
    _bug(
        "a block of another snapshot counts",
        _FILE_TESTS,
        "storage.snapshot.blocks",
        "seed = snapshot if block.number else bytes(ID_BYTES)",
        "seed = bytes(ID_BYTES)",
    ),
    _bug(
        "the head of a block is believed unchecked",
        _FILE_TESTS,
        "storage.snapshot.blocks",
        "if _CHECK.pack(checksum(facts)) != check:",
        "if False:",
    ),
    _bug(
        "a snapshot gets its name before it is complete",
        _FILE_TESTS,
        "storage.snapshot.writer",
        'return path.parent / f"{path.name}{PARTIAL}"',
        "return path",
    ),
    _bug(
        "a save goes on after a block that is not whole",
        _FILE_TESTS,
        "storage.snapshot.writer",
        "        file.truncate()\n",
        "        file.seek(0, 2)\n",
    ),
)
CHAINS = (
    _bug(
        "the base of an increment may have changed",
        _CHAIN_TESTS,
        "storage.snapshot.chain",
        "if following.end is None or following.end.base_whole != reader.whole:",
        "if following.end is None:",
    ),
    _bug(
        "an increment of another snapshot is taken",
        _CHAIN_TESTS,
        "storage.snapshot.chain",
        "if base.id != before.head.id:",
        "if False:",
    ),
    _bug(
        "an increment of another formation is taken",
        _CHAIN_TESTS,
        "storage.snapshot.chain",
        "if reader.head.formation != before.head.formation:",
        "if False:",
    ),
    _bug(
        "a chain may have two decrees for a key",
        _CHAIN_TESTS,
        "storage.snapshot.chain",
        "if before is not None and before.key == decree.key:",
        "if False:",
    ),
    _bug(
        "a key that the cluster has lost is passed over",
        _CHAIN_TESTS,
        "storage.snapshot.increment",
        "if not is_term(self._next.key):",
        "if False:",
    ),
    _bug(
        "another decree for a known key is passed over",
        _CHAIN_TESTS,
        "storage.snapshot.increment",
        "if self._next != decree:",
        "if False:",
    ),
)
RESTORING = (
    _bug(
        "a restored lock goes on at its next term",
        _RESTORE_TESTS,
        "registry.locks.restored",
        "return max(latest + TERMS_MORE, self.floor + 1)",
        "return latest + 1",
    ),
    _bug(
        "a restored lock with many terms goes on at the time of the restore",
        _RESTORE_TESTS,
        "registry.locks.restored",
        "return max(latest + TERMS_MORE, self.floor + 1)",
        "return self.floor + 1",
    ),
    _bug(
        "a lock that the snapshot does not know begins at its first term",
        _RESTORE_TESTS,
        "storage.floors",
        "self._least = restoration.floor if restoration is not None else 0",
        "self._least = 0",
    ),
    _bug(
        "the restored term of an unknown lock is not decided",
        _RESTORE_TESTS,
        "storage.floors",
        "        if slot != self._least:\n            return EMPTY\n",
        "        return EMPTY\n",
    ),
    _bug(
        "restored nodes do not know one another's disks",
        _RESTORE_TESTS,
        "storage.formation",
        "store.write([formed, *peers, *cursors])",
        "store.write([formed, *cursors])",
    ),
    _bug(
        "a restored floor is not told in the feed",
        _RESTORE_TESTS,
        "storage.formation",
        "digests.append(FLOOR_DIGEST)",
        "digests.append(decree_digest(decree))",
    ),
    _bug(
        "two restores of one snapshot are one formation",
        _RESTORE_TESTS,
        "storage.formation",
        'facts = ("restored", restoration, config.cluster_id, disks)',
        'facts = ("restored", restoration.snapshot, config.cluster_id)',
    ),
    _bug(
        "a snapshot from the future is restored",
        _RESTORE_TESTS,
        "storage.snapshot.restoring",
        "if head.begun_ms > plan.time_ms:",
        "if False:",
    ),
)

BUGS = FILES + CHAINS + RESTORING
