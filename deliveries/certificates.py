"""Why TLS failed, in terms that the owner of the server can act on."""

import socket
import ssl
from typing import Any

from cryptography import x509

from .models import Problem

MOST_NAMES = 8

# OpenSSL's codes of a failed check (x509_vfy.h).
_EXPIRED = 10
_OTHER_NAME = {62, 64}  # host name, IP address

_NOT_TLS = "what answers there does not speak TLS"
_TOO_OLD = "no TLS 1.2 or newer"
_IN_WORDS = {
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
}


def handshake_problem(
    error: OSError, place: str, address: tuple[int, tuple[Any, ...]], host: str, seconds: float
) -> tuple[Problem, str]:
    """What a failed handshake with `place` ("host:port") means, and the detail that the seller is told.

    A bad certificate is fetched from `address` (family and socket address) once more, in at most `seconds`,
    since OpenSSL does not hand out what it refused.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            certificate = _certificate(address, host, seconds)
            return (
                Problem.TLS_EXPIRED,
                certificate.not_valid_after_utc.date().isoformat() if certificate else "",
            )
        if error.verify_code in _OTHER_NAME:
            certificate = _certificate(address, host, seconds)
            return Problem.TLS_WRONG_HOST, names_of(certificate) if certificate else ""
        return Problem.TLS_UNTRUSTED, error.verify_message
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Problem.TLS, "hung up during the handshake"
    if isinstance(error, ssl.SSLError):
        return Problem.TLS, in_words(error)
    if isinstance(error, TimeoutError):
        return Problem.TLS, "no end of the handshake within the time limit"
    return Problem.RESET, place


def in_words(error: ssl.SSLError) -> str:
    reason = error.reason or "unknown reason"
    return _IN_WORDS.get(reason, reason.replace("_", " ").lower())


def _certificate(address: tuple[int, tuple[Any, ...]], host: str, seconds: float) -> x509.Certificate | None:
    """The certificate that is shown to who asks for `host`, unchecked; nothing else is said to that server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    family, place = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.settimeout(seconds)
            plain.connect(place)
            with context.wrap_socket(plain, server_hostname=host) as sock:
                return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def names_of(certificate: x509.Certificate) -> str:
    """ "example.com, www.example.com": the hosts that it is for, or the old way's common name."""
    try:
        stands_for = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            str(n) for kind in (x509.DNSName, x509.IPAddress) for n in stands_for.get_values_for_type(kind)
        ]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")


def issuer_of(certificate: x509.Certificate) -> str:
    """Who vouches for it: the organisation and the name of the authority, as far as it says."""
    names = [
        str(attribute.value)
        for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
        for attribute in certificate.issuer.get_attributes_for_oid(oid)
    ]
    return ", ".join(dict.fromkeys(names))
