"""Mistakes in a recovery, in joining what was restored, and in releasing what is withheld."""

from .bug import Bug, Change

_CLOSING = "storage/test_closing.py"
_RECOVERING = "storage/test_recovering.py"
_JOINING = "replica/members/test_joining_restored.py"
_CONTRACT = "storage/test_contract.py"
_RELEASING = "replica/members/test_releasing.py"
_RELEASING_MODULE = "registry.replica.members.releasing"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


OF_CLOSING = (
    Bug(
        "the new directories may be used before the old ones are closed",
        (
            Change(
                "storage.recovery.recovering",
                "    if not plan.read_only:\n",
                "    start_with(plan.data.values())\n    if not plan.read_only:\n",
            ),
        ),
        held_by=_CLOSING,
    ),
    _bug(
        "a new directory may be used before all of them are filled",
        _CLOSING,
        "storage.directory",
        "mark(path, DirectoryState.RESTORED)",
        "mark(path, DirectoryState.READY)",
    ),
    _bug(
        "only the first of the old directories is closed",
        _CLOSING,
        "storage.recovery.recovering",
        "        for each in directories:\n            each.close_into",
        "        for each in directories[:1]:\n            each.close_into",
    ),
    _bug(
        "a node starts on a directory that was recovered",
        _CLOSING,
        "storage.marker",
        "if found.state is DirectoryState.RECOVERED:",
        "if False:",
    ),
    _bug(
        "copies that are not marked count as complete",
        _CLOSING,
        "storage.recovery.recovering",
        "return self.voters.complete and not self.open",
        "return self.voters.complete",
    ),
    _bug(
        "a retry makes a second formation of what was filled",
        _CLOSING,
        "storage.recovery.closing",
        "    if not plan.data or not is_filled(plan):\n        return None\n",
        "    return None\n",
    ),
    _bug(
        "a retry goes on with what was filled from other directories",
        _CLOSING,
        "storage.recovery.closing",
        "if made is None or not is_ours or len",
        "if made is None or len",
    ),
    _bug(
        "directories are recovered twice without a word",
        _CLOSING,
        "storage.recovery.closing",
        "if each.recovered_into and not plan.again and not is_filled(plan):\n            raise",
        "if False:\n            raise",
    ),
    _bug(
        "a directory that joined is heard as a voter of epoch 0",
        _RECOVERING,
        "storage.recovery.voters",
        "if directory.identity.joins and epoch.disk_of(directory.node) is None:",
        "if False:",
    ),
)

OF_JOINING = (
    _bug(
        "a joiner takes a formation without how it was restored",
        _JOINING,
        "registry.replica.membership",
        "step.record(FormationRecord(member.formation, event.restoration))",
        "step.record(FormationRecord(member.formation))",
    ),
    _bug(
        "a joiner does not pass on how its formation was restored",
        _JOINING,
        "registry.replica.membership",
        "node.restoration = event.restoration",
        "pass",
    ),
    _bug(
        "a node does not remember how its formation was restored",
        _JOINING,
        "storage.store",
        "restoration=self._floors.restoration,",
        "restoration=None,",
    ),
    _bug(
        "nodes that say different things of a restore link",
        _JOINING,
        "registry.replica.membership",
        "return is_ours and event.restoration != self._node.restoration",
        "return False",
    ),
    _bug(
        "a joiner takes over before it knows how its formation was restored",
        _JOINING,
        "registry.replica.members.taking_over",
        "        if not node.formed:\n            return",
        "        if False:\n            return",
    ),
    _bug(
        "what a joiner learns of a restore counts only after a restart",
        _CONTRACT,
        "storage.store",
        "            self._floors.restore(batch.restoration)\n",
        "",
    ),
    _bug(
        "a cache says of a restored term that nothing is there",
        _CONTRACT,
        "storage.store",
        "            self._cache.clear()  # it may say",
        "            # it may say",
    ),
)

OF_RELEASING = (
    _bug(
        "what is withheld is never asked for again",
        _RELEASING,
        "registry.replica.parts",
        "        self.releasing.sweep(step)\n",
        "",
    ),
    _bug(
        "one sound page releases what is withheld",
        _RELEASING,
        "registry.paxos.epochs",
        "return self._is_enough(_sound(key, self._taken(cursors)))",
        "return bool(_sound(key, self._taken(cursors)))",
    ),
    _bug(
        "a page that names a key releases it",
        _RELEASING,
        "registry.paxos.epochs",
        "        if key not in series.unreadable\n",
        "",
    ),
    _bug(
        "a node that withholds a key shows it as a whole source",
        _RELEASING,
        "registry.paxos.epochs",
        "whole=series.whole and key not in series.withheld",
        "whole=series.whole",
    ),
    _bug(
        "a node that withholds a key hides what it holds itself",
        _RELEASING,
        "registry.replica.members.taking_over",
        "return instance.held if is_source and instance.epoch == node.seat.known else instance",
        "return instance",
    ),
    _bug(
        "what was withheld in an earlier epoch counts as an own state",
        _RELEASING,
        _RELEASING_MODULE,
        "if found.held is not None and found.epoch == self._node.seat.known:",
        "if found.held is not None:",
    ),
    _bug(
        "a key that was learned, and whose record is damaged now, is released as empty",
        _RELEASING,
        _RELEASING_MODULE,
        "if found.held is None and not self._withholding.was_never_learned(key):",
        "if False:",
    ),
    _bug(
        "what a scrub did not find in the feed lets a node count its own damaged record as empty",
        _RELEASING,
        _RELEASING_MODULE,
        "if found.held is not None and found.epoch == self._node.seat.known:",
        "if found.epoch == self._node.seat.known:",
    ),
    _bug(
        "a scrub says of what the feed names that it was never learned",
        _RELEASING,
        "registry.replica.scrub.mending",
        "self._silence.on_unnamed([key for key in self._suspects if key not in self._names])",
        "self._silence.on_unnamed(list(self._suspects))",
    ),
    _bug(
        "what a scrub has seen of a withheld key outlives the silence",
        _RELEASING,
        "registry.replica.members.withholding",
        "        self._never_learned.discard(key)\n",
        "",
    ),
    _bug(
        "a scrub says nothing of what is withheld",
        _RELEASING,
        "registry.replica.scrub.mending",
        "        self._suspects.update(dict.fromkeys(tally.withheld))\n",
        "",
    ),
    _bug(
        "what is shown is forgotten in a release",
        _RELEASING,
        _RELEASING_MODULE,
        "self._withholding.release(step, key, shown)",
        "self._withholding.release(step, key, None)",
    ),
    _bug(
        "sound pages release what a feed says is decided",
        _RELEASING,
        _RELEASING_MODULE,
        "            if found.digest:\n",
        "            if False:\n",
    ),
    _bug(
        "any proposal is the decree of what a feed says is decided",
        _RELEASING,
        _RELEASING_MODULE,
        "if shown is not None and decree_digest(shown.decree) == found.digest:",
        "if shown is not None:",
    ),
    _bug(
        "a released key is blank, and a row hides what is accepted for it",
        _RELEASING,
        "registry.replica.consensus.acceptor",
        "instance = held if shown is None else",
        "instance = EMPTY if shown is None else",
    ),
    _bug(
        "a decree that cannot be read is not named",
        _RELEASING,
        "registry.replica.feed.serving",
        "            step.at_once(Send(sender, Fetched((), tuple(unreadable))))",
        "            pass",
    ),
    _bug(
        "a cursor passes a decree that nobody can read in silence",
        _RELEASING,
        "registry.replica.feed.catchup",
        "                self._withhold(step, key, pulling.missing[key])\n",
        "",
    ),
    _bug(
        "a voter withholds what another node cannot read",
        _RELEASING,
        "registry.replica.feed.catchup",
        "if not self._node.voting or isinstance(step.instances[key], WithheldInstance):",
        "if True:",
    ),
    _bug(
        "a node that withholds leaves the voters before",
        _RELEASING,
        "registry.replica.members.seats",
        " or self._withheld:",
        ":",
    ),
    _bug(
        "those who leave may be switched off while keys are withheld",
        _RELEASING,
        "registry.wire.members",
        "return sum(seat.withheld == 0 for seat in self.ready) >= self.needed",
        "return len(self.ready) >= self.needed",
    ),
)

BUGS = OF_CLOSING + OF_JOINING + OF_RELEASING
