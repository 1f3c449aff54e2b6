"""Mistakes around TLS: whom a certificate names, what a reload does, and whose a connection is."""

from .bug import Bug, Change

_NODES, _RELOAD = "tls/test_nodes.py", "tls/test_reload.py"
_CONNECTIONS, _SUBJECT = "tls/test_connections.py", "tls/test_subject.py"
_TAKING = "server/test_taking.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    path = module if module.startswith("client.") else f"registry.{module}"
    return Bug(name, (Change(path, old, new),), held_by=held_by)


_WHO = (
    _bug(
        "the certificate of any node is a client's",
        _NODES,
        "server.securing",
        "own = subject.name == self._node and connection.is_of_this_machine",
        "own = True",
    ),
    _bug(
        "a node's own certificate is a client's from any machine",
        _NODES,
        "server.securing",
        "own = subject.name == self._node and connection.is_of_this_machine",
        "own = subject.name == self._node",
    ),
    _bug(
        "a peer may greet as another node than its certificate names",
        _NODES,
        "server.securing",
        "        if subject.identity != said:\n",
        "        if False:\n",
    ),
    _bug(
        "at a node with TLS the secret is enough",
        _NODES,
        "server.securing",
        "return self._check_peer(connection, subject, greeting.node)",
        "return None",
    ),
    _bug(
        "a node that dials takes whatever node is there",
        _NODES,
        "server.securing",
        ' or subject.kind != "node" or peer not in (None, subject.name):',
        ' or subject.kind != "node":',
    ),
    _bug(
        "a certificate of another cluster counts",
        _SUBJECT,
        "tls.subject",
        "    if subject.cluster != cluster_id:\n",
        "    if False:\n",
    ),
    _bug(
        "of two URIs in a certificate the first counts",
        _SUBJECT,
        "certificate_names",
        "    if len(ours) != 1:\n",
        "    if not ours:\n",
    ),
    _bug(
        "requests do not have the identity of their connection",
        _TAKING,
        "server.client",
        "FromClient(self.number, asked, identity)",
        "FromClient(self.number, asked)",
    ),
    _bug(
        "an operator who comes as the node is not told to the audit log",
        _NODES,
        "server.clients",
        'if client.identity.kind == "node":',
        "if False:",
    ),
)

_HOW = (
    _bug(
        "a node without TLS listens beyond its machine",
        _NODES,
        "server.listening",
        "if not (guarded or is_loopback(each)):",
        "if False:",
    ),
    _bug(
        "a connection that is cut within a frame has ended",
        _CONNECTIONS,
        "server.connections",
        "if not data and not secured.ended and (self._cutter.pending or secured.inside):",
        "if False:",
    ),
    _bug(
        "a connection outlives the certificate that opened it",
        _NODES,
        "server.securing",
        "        connection.go_by(certificate)\n",
        "",
    ),
    _bug(
        "files of TLS that were read again are not used",
        _RELOAD,
        "server.credentials",
        "            self.contexts = self._read()\n        except",
        "            self._read()\n        except",
    ),
)

_RELOADS = (
    _bug(
        "new files are loaded into the contexts in use",
        _RELOAD,
        "server.credentials",
        "            self.contexts = self._read()\n        except",
        "            for each in self.contexts[:2]:\n"
        "                each.load_verify_locations(self._files.ca)\n"
        "                each.load_cert_chain(self._files.certificate, self._files.key)\n"
        "        except",
    ),
    _bug(
        "a bundle is added to the CAs that were trusted before",
        _RELOAD,
        "server.credentials",
        "            self.contexts = self._read()\n        except",
        "            before = self.contexts.accepting.get_ca_certs(binary_form=True)\n"
        "            self.contexts = self._read()\n"
        "            for each in before:\n"
        "                self.contexts.accepting.load_verify_locations(cadata=each)\n"
        "        except",
    ),
    _bug(
        "a node uses the certificate of another one",
        _RELOAD,
        "tls.contexts",
        'if (subject.kind, subject.name) != ("node", node):',
        "if False:",
    ),
)

_BYTES = (
    _bug(
        "what came behind the handshake is left inside TLS",
        _CONNECTIONS,
        "server.connections",
        '        self._waiting += self._cutter.feed(secured.open(b""))'
        "  # what came behind the handshake\n",
        "",
    ),
    _bug(
        "what the system took of a sealed piece is sent again",
        _CONNECTIONS,
        "server.secured",
        "sealed[sent:] if sent < len(sealed) else _NOTHING",
        "sealed if sent < len(sealed) else _NOTHING",
    ),
    _bug(
        "an answer of TLS overtakes the rest of what is sealed",
        _CONNECTIONS,
        "server.secured",
        "            self._sealed = memoryview(self._session.owed())\n"
        "            with suppress(OSError):\n"
        "                self._write()\n",
        "            pass\n"
        "        if owed := self._session.owed():\n"
        "            self._sealed = memoryview(owed + bytes(self._sealed))\n",
    ),
    _bug(
        "a peer may let answers of TLS pile up",
        "tls/test_session.py",
        "tls.session",
        "if self._outgoing.pending > MOST_OWED_BYTES:",
        "if False:",
    ),
    _bug(
        "the newest handshake goes when there are too many",
        _CONNECTIONS,
        "server.handshakes",
        "oldest = next(each for each, of in self._scopes.items() if host in (None, of))",
        "oldest = [each for each, of in self._scopes.items() if host in (None, of)][-1]",
    ),
)

_REFUSED = "tls/test_refused.py"

_POLICY = (
    _bug(
        "who is refused by the policy is let in",
        _REFUSED,
        "server.admitted",
        "        if reason:\n            raise RefusedByPolicy(reason)\n",
        "",
    ),
    _bug(
        "a refused certificate is let in under a name that is not",
        _REFUSED,
        "policy.refusals",
        "        shown = [mark for mark in marks if mark in self._refused]\n",
        "        shown: list[str] = []\n",
    ),
    _bug(
        "who is refused stays connected",
        _REFUSED,
        "server.admitted",
        "                connection.cut()\n",
        "",
    ),
    _bug(
        "what was read of a connection that is cut is taken",
        _CONNECTIONS,
        "server.connections",
        "        if self._is_cut:\n            self.let_go()\n",
        "",
    ),
    _bug(
        "what waits for a turn of a connection that is cut is begun",
        "server/test_turns.py",
        "server.node_loop",
        "        self._inbox.drop(clients, peers)\n",
        "",
    ),
    _bug(
        "a node that starts refuses nobody until it learns another policy",
        _REFUSED,
        "server.serve",
        "        self._obeying.begin(self._replica.parts.policies)\n",
        "",
    ),
    _bug(
        "a node uses a refused peer that it dials",
        _REFUSED,
        "server.greeting",
        "        try:\n            self._admit(connection, line)\n"
        "        except RefusedByPolicy as denied:\n"
        "            raise ProtocolError(str(denied)) from denied\n        return line\n",
        '        connection.greeted_as(Identity("node", line.node))\n        return line\n',
    ),
    _bug(
        "a policy may cut the cluster off from itself",
        "replica/policy/test_applying.py",
        "replica.requests.applying",
        "            self._check_quorum(policy)\n",
        "",
    ),
    _bug(
        "the server is not told that another policy is obeyed",
        "replica/policy/test_policies.py",
        "replica.policy.policies",
        "            if self.enforced is not None:\n"
        "                step.at_once(PolicyObeyed(number, self.enforced))\n",
        "",
    ),
)

_MOVING = (
    _bug(
        "a node with TLS lets in others without it, unasked",
        _NODES,
        "server.securing",
        "        if self.credentials is not None and not self.accepts_plain:\n",
        "        if False:\n",
    ),
    _bug(
        "a node that moves over dials without TLS first",
        "tls/test_moving.py",
        "server.securing",
        "        if self.credentials is None or there in self._plain_at:\n",
        "        if self.credentials is None or self.accepts_plain:\n",
    ),
    _bug(
        "a request that meets the end of TLS is an error of the caller",
        "tls/test_clients.py",
        "client.transport.framing",
        "        except ProtocolError as error:\n"
        '            raise Unreachable(f"the connection is over: {error}") from error\n',
        "        finally:\n            pass\n",
    ),
)

BUGS = _WHO + _HOW + _RELOADS + _BYTES + _POLICY + _MOVING
