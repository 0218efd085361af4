from pathlib import Path

from drakit.sandbox.layout import Layout


def test_everything_lies_in_the_folder_and_apart() -> None:
    layout = Layout(Path("/stack/sandbox"))
    files = [layout.pki, layout.etcd_data, layout.etcd_config, layout.logs, layout.ports]
    components = ("etcd", "kube-apiserver", "nodes")
    files += [layout.kubeconfig(component) for component in components]
    assert {path.parent for path in files} == {layout.folder}
    logs = [layout.log(component) for component in components]
    assert {path.parent for path in logs} == {layout.logs}
    assert len({*files, *logs}) == len(files) + len(logs)
