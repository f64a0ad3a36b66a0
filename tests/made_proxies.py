"""Proxies for tests: certificate and key as PEM text, with a life and VOMS attributes as wanted."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_VOMS = x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")
_HOUR = 3600.0


def proxy(left_s=100 * _HOUR, attributes_left_s=None):
    """Return the PEM text of a proxy that lasts so long, with VOMS attributes that last so long."""
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "payload user")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(now - dt.timedelta(days=30))
    made = made.not_valid_after(now + dt.timedelta(seconds=left_s))
    if attributes_left_s is not None:
        times = (now - dt.timedelta(days=1), now + dt.timedelta(seconds=attributes_left_s))
        raw = b"\x30\x22" + b"".join(b"\x18\x0f" + f"{time:%Y%m%d%H%M%SZ}".encode() for time in times)
        made = made.add_extension(x509.UnrecognizedExtension(_VOMS, raw), critical=False)
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (certificate + private).decode()
