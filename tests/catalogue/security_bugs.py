"""Mistakes in what is told of who did what, in what must not be told, and in certificates."""

from .bug import Bug, Change


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


_AUDIT = "server/test_audit.py"
_UNTOLD = "server/test_nothing_told.py"
_CERTIFICATES = "cli/certificates/test_authority.py"
_CA = "cli/commands/test_ca.py"

TOLD = (
    _bug(
        "what was done is told after the answer",
        _AUDIT,
        "registry.server.node_loop",
        "        if effects.audit:\n            self.audit(effects.audit)\n"
        "        if effects.at_once:\n            self._send(effects.at_once)\n",
        "        if effects.at_once:\n            self._send(effects.at_once)\n"
        "        if effects.audit:\n            self.audit(effects.audit)\n",
    ),
    _bug(
        "a claim that is decided here already is not told",
        _AUDIT,
        "registry.replica.step.pending",
        "            self.tell(step, origin, request, answer, identity)\n        shown =",
        "            pass\n        shown =",
    ),
    _bug(
        "a request whose client leaves is not told",
        _AUDIT,
        "registry.replica.step.pending",
        "            if type(pending.request) in self.told:\n"
        "                self.tell(step, origin, pending.request, None, pending.identity)\n",
        "",
    ),
    _bug(
        "a mere question about members is told as a change",
        _AUDIT,
        "registry.audit",
        "            return request.propose\n",
        "            return True\n",
    ),
    _bug(
        "the line of a refusal quotes what the error says",
        _AUDIT,
        "registry.audit",
        "kind.__name__\n",
        "answer.message\n",
    ),
    _bug(
        "lines that were lost are not counted",
        _AUDIT,
        "registry.server.audit_log",
        "            self._lost += len(records)\n",
        "",
    ),
    _bug(
        "the audit log of a node can be read by everybody",
        _AUDIT,
        "registry.server.audit_log",
        "MODE = 0o600\n",
        "MODE = 0o644\n",
    ),
    _bug(
        "the note of a lock is in a traceback",
        _UNTOLD,
        "registry.locks.terms",
        'veiled(self, "note", "info")',
        'veiled(self, "info")',
    ),
)

CERTIFICATES = (
    _bug(
        "a client's certificate passes for a server's",
        _CERTIFICATES,
        "cli.certificates.authority",
        "    NameKind.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),\n",
        "    NameKind.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),\n",
    ),
    _bug(
        "the certificate of a member may issue others",
        _CERTIFICATES,
        "cli.certificates.authority",
        "x509.BasicConstraints(ca=False, path_length=None)",
        "x509.BasicConstraints(ca=True, path_length=None)",
    ),
    _bug(
        "a name in a certificate may go on",
        _CERTIFICATES,
        "registry.certificate_names",
        "    found = _URI.fullmatch(ours[0])\n",
        "    found = _URI.match(ours[0])\n",
    ),
    _bug(
        "what names a CA is enough to be renewed",
        _CA,
        "cli.certificates.renewing",
        "    if issuer_among(old, believed) is None:\n",
        "    if False:\n",
    ),
    _bug(
        "a certificate is written over",
        _CA,
        "cli.certificates.files",
        "                os.link(self._name, self._path)\n",
        "                Path(self._name).replace(self._path)\n",
    ),
    _bug(
        "a renewal loses the old key",
        _CA,
        "cli.certificates.files",
        "        kept = {path: _keep(path, serial) for path in contents if path.exists()}\n",
        "        kept = {path: path for path in contents if path.exists()}\n",
    ),
    _bug(
        "a key can be read by others when it is written",
        _CA,
        "cli.certificates.files",
        "OF_KEY, OF_CERTIFICATE = 0o600, 0o644\n",
        "OF_KEY, OF_CERTIFICATE = 0o644, 0o644\n",
    ),
)

BUGS = TOLD + CERTIFICATES
