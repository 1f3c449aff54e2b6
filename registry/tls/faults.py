"""What a failed handshake means, in words. OpenSSL's own words vary with its version and are short."""

import ssl

_ALERTS = {
    "UNKNOWN_CA": "it does not know the CA of our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired, or is not valid yet",
    "CERTIFICATE_REQUIRED": "it wants a certificate, and we have none: give --cert and --key",
    "BAD_CERTIFICATE": "it refuses our certificate",
    "UNSUPPORTED_CERTIFICATE": "our certificate is not for this use",
    "CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "DECRYPT_ERROR": "it refuses our certificate",
    "PROTOCOL_VERSION": "it speaks no version of TLS that we do",
    "HANDSHAKE_FAILURE": "it finds nothing that both sides support",
    "ACCESS_DENIED": "it refuses our certificate",
}
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's numbers for a chain that leads to no CA of the bundle."""


def said(error: ssl.SSLError) -> str:
    """The text for an error of a session."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {_of_certificate(error)}"
    reason = error.reason or ""
    _, alert, name = reason.rpartition("ALERT_")
    if alert:
        return _ALERTS.get(name, f"it ended TLS: {_lower(name)}")
    return f"TLS failed: {_lower(reason) or error.strerror or 'no reason is told'}"


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"no CA of the bundle has signed it ({error.verify_message})"
    return error.verify_message.removesuffix(".") or "no reason is told"


def _lower(reason: str) -> str:
    return reason.replace("_", " ").lower()
