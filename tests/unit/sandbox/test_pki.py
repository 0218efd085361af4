import contextlib
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drakit.errors import PreflightError
from drakit.sandbox import pki
from drakit.sandbox.pki import Authority, Identity, signing_key

SERVER = Identity("apiserver", "kube-apiserver", hosts=("127.0.0.1", "::1", "localhost"))
CLIENT = Identity("admin", "drakit", ("system:masters", "ops"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(authority: Authority, client_of: Authority, host: str = "127.0.0.1", flags: int = 0) -> str:
    """Who the server of `authority` takes the client of `client_of` for, after mutual TLS in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(authority.certificate_file))
    server.load_verify_locations(authority.certificate_file)
    server.load_cert_chain(*authority.issue(SERVER))
    client.load_cert_chain(*client_of.issue(CLIENT))
    client.verify_flags |= flags
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(one, other, server_hostname=host),
        server.wrap_bio(other, one, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    subject = dict(item[0] for item in ends[1].getpeercert()["subject"])  # type: ignore[index, misc]
    return str(subject["commonName"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_both_sides_trust_each_other(authority: Authority, host: str) -> None:
    assert handshake(authority, authority, host) == "drakit"


def test_another_host_is_refused(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        handshake(authority, authority, "192.0.2.1")


def test_a_client_of_another_stack_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(authority, Authority(tmp_path / "other"))


def test_a_strict_client_is_content(authority: Authority) -> None:
    """As Python's own are from 3.13 on."""
    handshake(authority, authority, flags=ssl.VERIFY_X509_STRICT)


def test_the_chain(authority: Authority) -> None:
    ca = load(authority.certificate_file)
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    for identity in (SERVER, CLIENT):
        leaf = load(authority.issue(identity)[0])
        leaf.verify_directly_issued_by(ca)
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_servers_names_and_usage(authority: Authority) -> None:
    certificate = load(authority.issue(SERVER)[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage


def test_a_clients_subject_and_usage(authority: Authority) -> None:
    certificate = load(authority.issue(CLIENT)[0])

    def values(oid: x509.ObjectIdentifier) -> list[str | bytes]:
        return [item.value for item in certificate.subject.get_attributes_for_oid(oid)]

    assert values(NameOID.COMMON_NAME) == ["drakit"]
    assert values(NameOID.ORGANIZATION_NAME) == ["system:masters", "ops"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_certificates_are_good_now_and_not_for_ever(authority: Authority) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for path, days in ((authority.certificate_file, 365 * pki.CA_YEARS), (authority.issue(CLIENT)[0], pki.LEAF_DAYS)):
        certificate = load(path)
        assert certificate.not_valid_before_utc < now
        assert now < certificate.not_valid_after_utc <= now + datetime.timedelta(days=days)


def test_everything_is_the_owners_alone(authority: Authority) -> None:
    authority.issue(CLIENT)
    signing_key(authority.folder / "sa.key")
    assert authority.folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in authority.folder.iterdir()}
    assert modes == dict.fromkeys(["ca.crt", "ca.key", "admin.crt", "admin.key", "sa.key"], 0o600)


def test_the_authority_is_kept_and_leaves_are_new(authority: Authority) -> None:
    ca, leaf = authority.certificate_file.read_bytes(), load(authority.issue(CLIENT)[0])
    again = Authority(authority.folder)
    renewed = load(again.issue(CLIENT)[0])
    assert authority.certificate_file.read_bytes() == ca
    assert renewed.serial_number != leaf.serial_number
    assert renewed.public_key() != leaf.public_key()
    assert handshake(authority, again) == "drakit"


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_half_an_authority_is_made_anew(authority: Authority, lost: str) -> None:
    """As a crash between its two files leaves it."""
    (authority.folder / lost).unlink()
    again = Authority(authority.folder)
    assert handshake(again, again) == "drakit"


def test_the_signing_key_is_kept(tmp_path: Path) -> None:
    path = signing_key(tmp_path / "sa.key")
    key = path.read_text()
    assert key.startswith("-----BEGIN EC PRIVATE KEY-----")
    assert signing_key(path).read_text() == key


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "pki").touch()
    with pytest.raises(PreflightError):
        Authority(tmp_path / "pki")
