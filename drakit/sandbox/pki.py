"""The sandbox's certificates: one authority per stack, mutual TLS for everything that listens."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drakit.engine.files import private_folder, write_atomically

CA_YEARS = 10
LEAF_DAYS = 365
"""Leaf certificates are issued anew at each start, so a sandbox outlives this only when it runs longer."""

CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """A certificate to issue: its subject as Kubernetes reads it (CN is the user, O its groups), and its use.

    `hosts` are the DNS names and IP addresses a server certificate is good for; a client's has none.
    """

    file: str
    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Authority:
    """The certificate authority in `folder`; made when there is none yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        if not (self.certificate_file.exists() and self._key_file.exists()):
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} holds no elliptic-curve key")
        self._key = key

    @property
    def certificate_file(self) -> Path:
        """The authority's certificate, PEM."""
        return self.folder / "ca.crt"

    @property
    def _key_file(self) -> Path:
        return self.folder / "ca.key"

    def issue(self, identity: Identity) -> tuple[Path, Path]:
        """Write a fresh certificate and key for `identity` and return their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(identity.common_name, identity.organizations), self._certificate.subject, key, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage(_usages(identity)), critical=False)
        )
        if identity.hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(h) for h in identity.hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        files = self.folder / f"{identity.file}.crt", self.folder / f"{identity.file}.key"
        write_atomically(files[0], certificate.public_bytes(serialization.Encoding.PEM))
        write_atomically(files[1], _pem(key))
        return files

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("drakit-sandbox", ())
        certificate = (
            _builder(subject, subject, key, 365 * CA_YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_atomically(self._key_file, _pem(key))
        write_atomically(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def signing_key(path: Path) -> Path:
    """The key that signs service account tokens (PEM); made when there is none yet."""
    if not path.exists():
        write_atomically(path, _pem(ec.generate_private_key(ec.SECP256R1())))
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organizations: tuple[str, ...]) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usages(identity: Identity) -> list[x509.ObjectIdentifier]:
    # etcd's server certificate is its client certificate too, towards its own gateway.
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if identity.hosts else []
    return [*server, ExtendedKeyUsageOID.CLIENT_AUTH]


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # Not PKCS8: the API server reads service account keys only in this form ("EC PRIVATE KEY").
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, form, serialization.NoEncryption())
