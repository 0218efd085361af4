"""The adapter on the real Helm, as far as that goes without a cluster."""

from pathlib import Path

import pytest
import yaml

from drakit.errors import ClusterError, DrakitError
from drakit.helm import Helm, Release
from drakit.packaged import packaged

CHART = str(packaged("blueprints", "sandbox", "charts", "dra-driver-nvidia-gpu"))
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def helm(real_helm: Path, tmp_path: Path) -> Helm:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        f"""{{apiVersion: v1, kind: Config, current-context: x, users: [{{name: u, user: {{}}}}],
        contexts: [{{name: x, context: {{cluster: c, user: u}}}}],
        clusters: [{{name: c, cluster: {{server: "https://{NOWHERE}"}}}}]}}"""
    )
    return Helm(real_helm, kubeconfig, tmp_path / "helm", tmp_path / "logs")


async def test_template(helm: Helm) -> None:
    values = {"gpuResourcesEnabledOverride": True, "resourceApiVersion": "resource.k8s.io/v1beta1"}
    text = await helm.template(Release("dra", "dra", CHART, values=values), kubernetes="1.33")
    kinds = {o["kind"] for o in yaml.safe_load_all(text) if o}
    assert {"DeviceClass", "DaemonSet"} <= kinds
    assert "resource.k8s.io/v1beta1" in text
    # What is rendered may hold secrets.
    assert not helm.logs.exists()


@pytest.mark.parametrize(
    ("release", "code"),
    [
        (Release("x", "x", CHART), "values-rejected"),
        (Release("x", "x", CHART, values={"nosuch": 1}), "values-rejected"),
        (Release("x", "x", "./nosuch"), "chart-not-found"),
        (Release("x", "x", "nosuch"), "chart-not-found"),
        (Release("x", "x", f"oci://{NOWHERE}/charts/x", "1.0.0"), "repository-unreachable"),
        (Release("x", "x", "x", "1.0.0", repo=f"http://{NOWHERE}"), "repository-unreachable"),
    ],
)
async def test_failures_have_their_codes(helm: Helm, release: Release, code: str) -> None:
    with pytest.raises(DrakitError) as caught:
        await helm.template(release, kubernetes="1.35")
    assert caught.value.code == code


async def test_kubernetes_that_the_chart_does_not_know(helm: Helm) -> None:
    with pytest.raises(DrakitError) as caught:
        await helm.template(Release("x", "x", CHART), kubernetes="1.31")
    assert caught.value.code == "kubernetes-version"


async def test_a_cluster_that_is_away(helm: Helm) -> None:
    with pytest.raises(ClusterError) as caught:
        await helm.list()
    assert caught.value.code == "cluster-unreachable"


async def test_helm_writes_into_its_folder_alone(helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    fresh = Helm(helm.executable, helm.kubeconfig, tmp_path / "helm", tmp_path / "logs")
    with pytest.raises(DrakitError):
        await fresh.template(Release("x", "x", "x", "1.0.0", repo=f"http://{NOWHERE}"))
    with pytest.raises(ClusterError):
        await fresh.list()
    assert list(home.iterdir()) == []
