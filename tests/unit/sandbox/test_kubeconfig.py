import base64
from pathlib import Path

import pytest
from lightkube import KubeConfig

from drakit.sandbox.kubeconfig import write_kubeconfig


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    files = {name: tmp_path / name for name in ("ca", "certificate", "key")}
    for name, path in files.items():
        path.write_text(f"the {name}")
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, "sandbox", "https://127.0.0.1:6443", **files)
    for file in files.values():
        file.unlink()
    return path


def test_a_client_finds_everything_in_it(kubeconfig: Path) -> None:
    config = KubeConfig.from_file(kubeconfig).get()
    assert config is not None
    assert (config.context_name, config.cluster.server) == ("sandbox", "https://127.0.0.1:6443")
    assert config.user is not None
    found = (config.cluster.certificate_auth_data, config.user.client_cert_data, config.user.client_key_data)
    assert [base64.b64decode(data or "") for data in found] == [b"the ca", b"the certificate", b"the key"]
    assert config.cluster.insecure is False
    assert config.user.token is None


def test_it_is_the_owners_alone(kubeconfig: Path) -> None:
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
