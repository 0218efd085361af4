"""Advice that acts on the stack it was given for."""

import shlex
from pathlib import Path

import pytest
import typer.main

from drakit.cli.app import app
from drakit.render.advice import OF_A_STACK, Advice

KUBECONFIG = Path("/home/me/stack/.drakit/jark/kubeconfig")


@pytest.mark.parametrize(
    ("advice", "text", "completed"),
    [
        (Advice(), "`drakit up` starts it.", "`drakit up` starts it."),
        (Advice(rehearse=True), "`drakit up` starts it.", "`drakit up --rehearse` starts it."),
        (Advice(rehearse=True), "`drakit up --rehearse`", "`drakit up --rehearse`"),
        (Advice(rehearse=True), "`drakit tools install helm`", "`drakit tools install helm`"),
        (Advice(rehearse=True), "`drakit lint FILE`, `drakit init`", "`drakit lint FILE`, `drakit init`"),
        (Advice(file=Path("a b.yaml")), "`drakit scale g6=1`", "`drakit scale g6=1 -f 'a b.yaml'`"),
        (Advice(file=Path("a.yaml")), "`drakit init -f a.yaml`", "`drakit init -f a.yaml`"),
        (Advice(Path("a.yaml"), True), "`drakit down`, `drakit up`",
         "`drakit down --rehearse -f a.yaml`, `drakit up --rehearse -f a.yaml`"),
        (Advice(Path("a.yaml")), "`drakit down --all-of jark --region r`", "`drakit down --all-of jark --region r`"),
        (Advice(kubeconfig=KUBECONFIG), "`kubectl get nodes`", f"`kubectl --kubeconfig {KUBECONFIG} get nodes`"),
        (Advice(kubeconfig=KUBECONFIG), "`kubectl --kubeconfig x get nodes`", "`kubectl --kubeconfig x get nodes`"),
        (Advice(Path("a.yaml"), True, KUBECONFIG), "drakit up, kubectl get", "drakit up, kubectl get"),
    ],
)  # fmt: skip
def test_commands_get_the_options_they_need(advice: Advice, text: str, completed: str) -> None:
    assert advice(text) == completed


def test_the_kubeconfig_is_named_as_seen_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    advice = Advice(kubeconfig=tmp_path / ".drakit" / "jark" / "kubeconfig")
    assert advice("`kubectl get pods`") == "`kubectl --kubeconfig .drakit/jark/kubeconfig get pods`"


def test_every_text_of_a_document() -> None:
    document = {"error": {"hint": "`drakit up`", "details": [{"n": 1, "more": ["`drakit down`"]}]}, "ok": False}
    assert Advice(rehearse=True).document(document) == {
        "error": {"hint": "`drakit up --rehearse`", "details": [{"n": 1, "more": ["`drakit down --rehearse`"]}]},
        "ok": False,
    }


def test_the_commands_are_those_that_take_the_options() -> None:
    """Also the commands below a command, such as `mig set`."""

    def takes(command: object) -> bool:
        below = getattr(command, "commands", {}).values()
        options = {word for each in command.params for word in each.opts}  # type: ignore[attr-defined]
        return {"--file", "--rehearse"} <= options or any(takes(each) for each in below)

    commands = typer.main.get_command(app)
    context = commands.make_context("drakit", ["--help"], resilient_parsing=True)
    names = [name for name in commands.list_commands(context) if takes(commands.get_command(context, name))]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(OF_A_STACK)


@pytest.mark.parametrize("command", [*OF_A_STACK, "mig set g6 all-disabled", "capacity list"])
def test_what_is_completed_can_be_split_again(command: str) -> None:
    completed = Advice(Path("a b'c.yaml"), True)(f"`drakit {command}`")
    assert shlex.split(completed.strip("`"))[-3:] == ["--rehearse", "-f", "a b'c.yaml"]
