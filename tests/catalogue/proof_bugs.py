"""Mistakes with the proof of peers, and with what a peer's word can do."""

from .bug import Bug, Change


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


_PROOF, _GREETING = "registry.wire.proof", "registry.server.greeting"
_PROOF_TESTS, _STRANGER_TESTS = "server/test_proof.py", "server/test_unproven_peers.py"

BUGS = (
    _bug(
        "the role is left out of the proof",
        _PROOF_TESTS,
        _PROOF,
        'b"decreed: the dialling side says", b"decreed: the answering side says"',
        'b"decreed: says", b"decreed: says"',
    ),
    _bug(
        "the number of a message is left out of the proof",
        _PROOF_TESTS,
        _PROOF,
        'return number.to_bytes(8, "big") + data',
        "return data",
    ),
    _bug(
        "the nonce of the side that answers is left out of the proof",
        _PROOF_TESTS,
        _PROOF,
        "return encode((opening, node, nonce))",
        "return encode((opening, node))",
    ),
    _bug(
        "the side that answers uses a nonce again",
        _PROOF_TESTS,
        _GREETING,
        "nonce = self._fresh(GREETING_NONCE_BYTES)\n        opened, seals",
        "nonce = bytes(GREETING_NONCE_BYTES)\n        opened, seals",
    ),
    _bug(
        "the side that dials uses a nonce again",
        _PROOF_TESTS,
        _GREETING,
        "nonce = self._fresh(GREETING_NONCE_BYTES)\n        opening =",
        "nonce = bytes(GREETING_NONCE_BYTES)\n        opening =",
    ),
    _bug(
        "the proof of a hello is not compared",
        _PROOF_TESTS,
        _PROOF,
        "if not hmac.compare_digest(sealed.proof, due):",
        "if len(sealed.proof) != len(due):",
    ),
    _bug(
        "the proof of the node that answers is not compared",
        _PROOF_TESTS,
        _PROOF,
        "if hmac.compare_digest(opened.proof, key.code(ANSWERS, said)):",
        "if opened.proof:",
    ),
    _bug(
        "a hello is heard and recorded before the proof",
        _STRANGER_TESTS,
        _GREETING,
        "line, hello = self._certified(connection), greeting",
        "line, hello = PeerLine(connection, greeting.identity.node, None), greeting",
    ),
    _bug(
        "a hello may name another node than the one that is proven",
        _PROOF_TESTS,
        _GREETING,
        "if hello.identity.node != self.node:",
        "if not hello.identity.node:",
    ),
    _bug(
        "a client's certificate is a peer's",
        _PROOF_TESTS,
        _GREETING,
        'if certified is None or certified.kind != "node":',
        "if certified is None:",
    ),
    _bug(
        "large frames are read before the proof",
        _PROOF_TESTS,
        "registry.server.connections",
        "self._cutter = FrameCutter(GREETING_BYTES)",
        "self._cutter = FrameCutter(max_frame_bytes)",
    ),
    _bug(
        "a refusal ends a node whose directory does not agree",
        _STRANGER_TESTS,
        "registry.server.serve",
        "if self._replica.parts.bears_out(refusal.evidence):",
        "if refusal.message:",
    ),
    _bug(
        "what the feed has gained since the start hides a loss",
        "replica/test_evidence.py",
        "registry.replica.evidence",
        "evidence.feed_end > node.found_feed_end",
        "evidence.feed_end > node.settled_feed_end",
    ),
    _bug(
        "an incarnation that cannot be true is remembered",
        "replica/test_evidence.py",
        "registry.replica.peer_memory",
        "if shown.incarnation <= met + MOST_STARTS:",
        "if shown is not None:",
    ),
    _bug(
        "a secret that others may read is taken",
        "cli/config/test_cluster_secret.py",
        "cli.config.cluster_secret",
        "if mode & ~OWN:",
        "if mode & 0o002:",
    ),
    _bug(
        "a secret shows itself",
        "cli/config/test_cluster_secret.py",
        "registry.cluster_secret",
        '        return f"{type(self).__name__}(…)"\n\n    def __reduce__(self) -> Never:\n'
        '        raise TypeError("a secret stays in the process that read it")\n\n\nclass',
        '        return f"SecretKey({self._data.hex()})"\n\n    def __reduce__(self) -> Never:\n'
        '        raise TypeError("a secret stays in the process that read it")\n\n\nclass',
    ),
)
