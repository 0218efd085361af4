"""The add-ons: which charts, from where, with which values, and where they are refused or left out."""

import re
from pathlib import Path
from typing import Any

import pytest

from drakit.errors import ExitCode, UsageError
from drakit.stack.model import Addons, Stack
from drakit.targets.addons import ADDONS, Addon, wanted
from drakit.targets.releases import DRA_DRIVER, OPERATOR, chart_warnings, releases

DOCS = Path(__file__).resolve().parents[3] / "docs" / "addons.md"
ALL = {addon.field: True for addon in ADDONS}


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        monkeypatch.delenv(name, raising=False)


def stack(addons: dict[str, bool] | None = None, **fields: Any) -> Stack:
    return Stack.model_validate({"target": "eks", "addons": ALL if addons is None else addons, **fields})


def by_name(found: Stack, root: Path) -> dict[str, Any]:
    return {release.name: release for release in releases(found, root)}


def test_every_field_of_the_stack_file_is_an_addon() -> None:
    assert [addon.attribute for addon in ADDONS] == list(Addons.model_fields)
    assert [addon.field for addon in ADDONS] == [field.alias for field in Addons.model_fields.values()]


def test_none_by_default(tmp_path: Path) -> None:
    assert wanted(Stack(target="eks")) == ()
    assert set(by_name(stack({}), tmp_path)) == {OPERATOR, DRA_DRIVER}


@pytest.mark.parametrize("addon", ADDONS, ids=lambda addon: addon.field)
def test_one_is_installed_from_its_publisher(tmp_path: Path, addon: Addon) -> None:
    found = by_name(stack({addon.field: True}), tmp_path)
    assert set(found) == {OPERATOR, DRA_DRIVER, addon.chart}
    release = found[addon.chart]
    assert (release.chart, release.version, release.repo) == (addon.chart, addon.version, addon.repo)
    assert release.namespace == addon.namespace


def test_versions_are_pinned_and_from_https() -> None:
    for addon in ADDONS:
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", addon.version)
        assert addon.repo.startswith("https://")
    assert len({addon.chart for addon in ADDONS}) == len(ADDONS)


def test_the_documentation_names_what_is_installed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` ([\d.]+) \| `([\w-]+)` \| (https://\S+) \|", DOCS.read_text(), re.M)
    assert rows == [(each.field, each.chart, each.version, each.namespace, each.repo) for each in ADDONS]


def test_the_load_balancer_controller_knows_its_cluster(tmp_path: Path) -> None:
    found = by_name(stack(name="blue", aws={"region": "eu-west-1"}), tmp_path)
    values = found["aws-load-balancer-controller"].values
    assert (values["clusterName"], values["region"]) == ("blue", "eu-west-1")
    # As blueprints/jark tags its VPC.
    assert values["vpcTags"] == {"drakit/stack": "blue"}


def test_nothing_stands_in_the_way_of_another_release(tmp_path: Path) -> None:
    found = by_name(stack(), tmp_path)
    assert found["aws-load-balancer-controller"].values["enableServiceMutatorWebhook"] is False
    assert found["argo-workflows"].values["crds"] == {"full": False}
    assert found["jupyterhub"].values["prePuller"]["hook"] == {"enabled": False}
    assert found["kube-prometheus-stack"].values["prometheusOperator"]["admissionWebhooks"] == {"enabled": False}


def test_notebooks_are_not_open_to_the_world_and_can_claim_gpus(tmp_path: Path) -> None:
    values = by_name(stack(), tmp_path)["jupyterhub"].values
    assert values["proxy"]["service"]["type"] == "ClusterIP"
    assert values["scheduling"]["userScheduler"] == {"enabled": False}


def test_metrics_of_the_gpus_are_scraped(tmp_path: Path) -> None:
    (monitor,) = by_name(stack(), tmp_path)["kube-prometheus-stack"].values["prometheus"]["additionalServiceMonitors"]
    assert monitor["namespaceSelector"] == {"matchNames": [OPERATOR]}


def test_nothing_is_left_to_the_user(tmp_path: Path) -> None:
    assert chart_warnings(stack(), tmp_path) == ()


# Where the charts come from


@pytest.mark.parametrize("target", ["eks", "sandbox"])
def test_from_a_folder(tmp_path: Path, target: str) -> None:
    charts = tmp_path / "charts"
    charts.mkdir()
    for name, version in ((OPERATOR, "v26.3.3"), (DRA_DRIVER, "0.4.1"), ("kuberay-operator", "1.7.0")):
        (charts / f"{name}-{version}.tgz").touch()
    asked = stack({"kuberay": True}, target=target, charts="./charts")
    assert by_name(asked, tmp_path)["kuberay-operator"].chart == str(charts / "kuberay-operator-1.7.0.tgz")
    (charts / "kuberay-operator-1.7.0.tgz").rename(charts / "kuberay-operator-1.6.2.tgz")
    with pytest.raises(UsageError, match=r"no chart kuberay-operator 1\.7\.0") as caught:
        releases(asked, tmp_path)
    assert caught.value.code == "chart-not-found"


def test_a_sandbox_has_no_stand_ins_of_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        releases(stack({"kuberay": True, "argoEvents": True}, target="sandbox"), tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("no-stand-in", ExitCode.USAGE)
    assert caught.value.message == "addons: drakit has no stand-ins of kuberay, argoEvents."
    upstream = stack({"kuberay": True}, target="sandbox", charts="upstream")
    assert by_name(upstream, tmp_path)["kuberay-operator"].repo


def test_a_rehearsal_leaves_them_out_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    rehearsed = stack({"kuberay": True, "efsCsiDriver": True}, charts="builtin")
    assert set(by_name(rehearsed, tmp_path)) == {OPERATOR, DRA_DRIVER}
    (warning,) = chart_warnings(rehearsed, tmp_path)
    assert "kuberay, efsCsiDriver" in warning
    assert chart_warnings(stack({}, charts="builtin"), tmp_path) == ()
