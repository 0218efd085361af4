"""What `down` decides: who has to agree to what, when Terraform tries again, and what keeps a volume's claim."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from drakit.aws.errors import IN_USE
from drakit.aws.leftovers import Keep, Leftover
from drakit.commands import down as package
from drakit.commands import provision
from drakit.commands.down import Agreed, run, survey
from drakit.commands.down.agreement import require
from drakit.commands.down.cluster import _claims_of, listed
from drakit.commands.down.named import named_session
from drakit.commands.down.state import NO_STATE, NOT_ASKED, Known, read
from drakit.commands.down.survey import Contents, Survey, what_goes
from drakit.commands.session import Session
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError, DrakitError, ExitCode, Locked, PreflightError, Refused, ToolFailed, UsageError
from drakit.results import Kept
from drakit.stack.model import Stack
from drakit.targets.base import Standing, Swept

VPC = Leftover("VPC", "vpc-1", "us-west-2", "aws ec2 delete-vpc --vpc-id vpc-1")
THERE = Standing(
    "us-west-2, account 123456789012",
    goes=(VPC, Leftover("subnet", "subnet-1", "us-west-2", "aws"), Leftover("subnet", "subnet-2", "us-west-2", "aws")),
    kept=(Kept("capacity reservation", "cr-1", "drakit cancels none"),),
    nodes={"core": 2, "g6": 0},
    owners=frozenset({"vpc-1"}),
    hourly=1.234,
)
OWN = Known(there=True, kinds={"aws_vpc": 1}, ids=frozenset({"vpc-1", "subnet-1"}))
DAMAGED = Known(there=True, trouble=ToolFailed("It is damaged.", code="state-damaged"))


def session(tmp_path: Path, target: str = "eks", **more: Any) -> Session:
    stack = Stack.model_validate({"target": target, "name": "jark"})
    return Session(stack, None, Workspace(tmp_path, "jark"), lambda _: None, **more)


@pytest.mark.parametrize(
    ("known", "agreed", "code"),
    [
        (OWN, Agreed(), "not-agreed"),
        (OWN, Agreed(yes=True), None),
        (OWN, Agreed(name="jark"), None),
        (OWN, Agreed(yes=True, name="jarkx"), "not-this-stack"),
        (NOT_ASKED, Agreed(yes=True), None),
        # Only its tags tell whose it is.
        (NO_STATE, Agreed(yes=True), "state-lost"),
        (DAMAGED, Agreed(yes=True), "state-lost"),
        (Known(there=True, kinds={"aws_vpc": 1}, ids=frozenset({"vpc-2"})), Agreed(yes=True), "state-lost"),
        (NO_STATE, Agreed(name="jark"), None),
        (DAMAGED, Agreed(name="jark"), None),
    ],
)
def test_who_has_to_agree_to_what(tmp_path: Path, known: Known, agreed: Agreed, code: str | None) -> None:
    survey = Survey(THERE, known)
    if code is None:
        require(session(tmp_path), survey, agreed)
        return
    with pytest.raises(Refused) as refused:
        require(session(tmp_path), survey, agreed)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "survey",
    [
        Survey(Standing("us-west-2", owners=frozenset()), NO_STATE),
        # AWS did not say whether there is any: that is nothing to agree to.
        Survey(Standing("us-west-2", goes=(Leftover("volume", "?", "", "aws", checked=False),)), NO_STATE),
    ],
)
def test_nothing_needs_no_agreement(tmp_path: Path, survey: Survey) -> None:
    require(session(tmp_path), survey, Agreed())


@pytest.mark.parametrize(
    ("owners", "known", "code"),
    [
        # The state has the stack's VPC, and AWS shows none: this may not be where the stack is.
        (frozenset(), OWN, "state-lost"),
        (frozenset(), DAMAGED, "state-lost"),
        # The rest of an interrupted `down`, without a VPC.
        (frozenset(), Known(there=True, kinds={"aws_kms_key": 1}, ids=frozenset({"key"})), None),
        (None, OWN, None),
    ],
)
def test_where_nothing_is_seen_of_what_the_state_has(
    tmp_path: Path, owners: frozenset[str] | None, known: Known, code: str | None
) -> None:
    survey = Survey(Standing("us-east-1, account 123456789012", owners=owners), known)
    if code is None:
        require(session(tmp_path), survey, Agreed(yes=True))
        return
    with pytest.raises(Refused) as refused:
        require(session(tmp_path), survey, Agreed(yes=True))
    assert refused.value.code == code
    assert "Terraform's state" in refused.value.message
    require(session(tmp_path), survey, Agreed(name="jark"))


def test_a_rehearsal_needs_no_agreement(tmp_path: Path) -> None:
    require(session(tmp_path, rehearse=True), Survey(THERE, NO_STATE), Agreed())


def test_what_goes_in_words(tmp_path: Path) -> None:
    contents = Contents(
        pods={"ml": 2, "web": 1},
        load_balancers=("Service web/front",),
        volume_claims=("PersistentVolumeClaim ml/data",),
        retained=("PersistentVolume pv-1",),
        releases=("gpu-operator",),
        foreign=("grafana (monitoring)",),
    )
    assert what_goes(session(tmp_path), Survey(THERE, OWN, contents)) == [
        "`drakit down` deletes the stack jark in us-west-2, account 123456789012, with everything in it:",
        "  workloads:          3 pods in ml, web",
        "  Helm releases:      gpu-operator",
        "  not drakit's:       grafana (monitoring)",
        "  load balancers of:  Service web/front",
        "  volumes of:         PersistentVolumeClaim ml/data",
        "  although retained:  PersistentVolume pv-1",
        "  nodes:              core 2",
        "  on AWS:             1 VPC, 2 subnets",
        "Kept: capacity reservation cr-1 (drakit cancels none). It saves $1.23 an hour.",
    ]


def test_by_tags_each_thing_is_named_and_why(tmp_path: Path) -> None:
    lines = what_goes(session(tmp_path), Survey(THERE, NO_STATE, silent="it did not answer"))
    assert "  VPC vpc-1" in lines
    assert "  subnet subnet-2" in lines
    assert any("somebody else's" in line for line in lines)
    assert "  in the cluster:     not known: it did not answer" in lines


@dataclass
class FakeTerraform:
    """Fails as often as it is told to. A destroy that ends well leaves no state."""

    failures: list[DrakitError] = field(default_factory=list)
    destroyed: int = 0
    held: DrakitError | None = None

    async def require_unlocked(self) -> None:
        if self.held is not None:
            raise self.held

    async def init(self, report: object) -> bool:
        return False

    def state_exists(self) -> bool:
        return True

    async def state(self) -> dict[str, Any]:
        instance = {"attributes": {"id": "vpc-1", "arn": f"arn:aws:ec2:{STATE_REGION}:123456789012:vpc/vpc-1"}}
        return {"resources": [{"mode": "managed", "type": "aws_vpc", "name": "this", "instances": [instance]}]}


STATE_REGION = "us-west-2"


@dataclass
class FakeTarget:
    region: str = STATE_REGION
    there: Standing = THERE
    left: tuple[Leftover, ...] = ()
    swept: int = 0
    removes: dict[str, int] = field(default_factory=lambda: {"network interface": 1})
    costs_money: bool = True
    leaves_behind: bool = True

    async def standing(self, *_: object) -> Standing:
        return self.there

    async def stacks(self) -> Sequence[str]:
        return ()

    async def require_here(self, arns: Sequence[str]) -> None:
        if any(f":{self.region}:" not in arn for arn in arns):
            raise PreflightError("It is elsewhere.", code="stack-elsewhere")

    async def unlock(self, terraform: object, keep: Keep) -> None:
        pass

    async def sweep(self, *_: object) -> Swept:
        self.swept += 1
        return Swept(self.removes, self.left)


def in_use() -> ClusterError:
    return ClusterError("subnet-1 has dependencies", code=IN_USE, hint="Look.")


def under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: Sequence[DrakitError], agreed: Agreed
) -> tuple[Any, FakeTerraform, FakeTarget]:
    down = run._Down(session(tmp_path), agreed, Keep())
    terraform, target = FakeTerraform(list(failures)), FakeTarget()
    down.session.__dict__["target"] = target  # a cached property
    down.terraform, down.known = terraform, OWN  # type: ignore[assignment]

    async def destroy(*_: object) -> int:
        terraform.destroyed += 1
        if terraform.failures:
            raise terraform.failures.pop(0)
        return 1

    monkeypatch.setattr(provision, "destroy", destroy)
    return down, terraform, target


async def test_what_something_uses_is_swept_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down, terraform, target = under_way(tmp_path, monkeypatch, [in_use()], Agreed(yes=True))
    assert await down._destroy(lambda _: None)
    assert (terraform.destroyed, target.swept) == (2, 1)
    assert dict(down.removed) == {"network interface": 1, "aws_vpc": 1}


async def test_it_is_not_tried_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down, terraform, target = under_way(tmp_path, monkeypatch, [in_use() for _ in range(9)], Agreed(yes=True))
    with pytest.raises(ClusterError) as failed:
        await down._destroy(lambda _: None)
    assert (terraform.destroyed, target.swept) == (run.TRIES, run.TRIES - 1)
    assert failed.value.hint is not None
    assert failed.value.hint.startswith("Look.")
    assert "`drakit down --confirm jark`" in failed.value.hint


async def test_another_failure_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expired = ClusterError("expired", code="aws-credentials-expired", hint="Log in.")
    down, terraform, target = under_way(tmp_path, monkeypatch, [expired], Agreed(yes=True))
    with pytest.raises(ClusterError) as failed:
        await down._destroy(lambda _: None)
    assert (terraform.destroyed, target.swept, failed.value.hint) == (1, 0, "Log in.")


async def test_with_the_name_confirmed_the_sweep_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ToolFailed("no provider", code="provider-unavailable")
    down, terraform, _ = under_way(tmp_path, monkeypatch, [gone], Agreed(name="jark"))
    assert await down._destroy(lambda _: None)
    assert terraform.destroyed == 1
    assert "no provider" in down.warnings[0]


async def test_what_stands_in_the_way_is_named_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's database is in the VPC: the sweep can remove nothing of what Terraform could not."""
    down, terraform, target = under_way(tmp_path, monkeypatch, [in_use(), in_use()], Agreed(yes=True))
    target.removes = {}
    why = "It is in use by RDSNetworkInterface."
    target.left = (Leftover("network interface", "eni-1", "us-west-2", "aws", why), replace(VPC, why="It waits."))
    with pytest.raises(ClusterError) as failed:
        await down._destroy(lambda _: None)
    assert (terraform.destroyed, target.swept) == (1, 1)
    assert failed.value.message.splitlines()[1:] == [
        "Still there:",
        f"  network interface eni-1: {why}",
        "  VPC vpc-1: It waits.",
    ]


@pytest.mark.parametrize("code", sorted({*run.WITHOUT_TERRAFORM} - {IN_USE}))
async def test_without_terraform_for_good_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    down, _, _ = under_way(tmp_path, monkeypatch, [ToolFailed("why", code=code)], Agreed(name="jark"))
    assert await down._destroy(lambda _: None)
    assert "why" in down.warnings[0]


PASSES = ["state-locked", "terraform-hangs", "aws-throttled", "aws-unreachable", "disk-full", "terraform-crashed"]


@pytest.mark.parametrize("code", PASSES)
async def test_what_passes_ends_it_also_with_the_name_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A colleague's run is under way, for example: nothing is swept from under it."""
    down, _, target = under_way(tmp_path, monkeypatch, [ToolFailed("why", code=code)], Agreed(name="jark"))
    with pytest.raises(ToolFailed) as failed:
        await down._destroy(lambda _: None)
    assert (failed.value.code, target.swept) == (code, 0)


@pytest.mark.parametrize(("code", "goes_on"), [("state-newer", True), ("tool-missing", True), ("state-locked", False)])
async def test_a_state_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, goes_on: bool
) -> None:
    down, _, _ = under_way(tmp_path, monkeypatch, [], Agreed(name="jark"))

    async def make_ready(*_: object) -> None:
        raise ToolFailed("why", code=code)

    monkeypatch.setattr(run, "make_ready", make_ready)
    if goes_on:
        await down._read_state(lambda _: None)
        assert down.known.trouble is not None
        return
    with pytest.raises(ToolFailed):
        await down._read_state(lambda _: None)


@pytest.mark.parametrize("agreed", [Agreed(yes=True), Agreed(name="jark")])
async def test_nothing_is_removed_while_another_machines_terraform_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: Agreed
) -> None:
    """What it has made is not in its state yet, and would be taken for left over."""
    down, terraform, _ = under_way(tmp_path, monkeypatch, [], agreed)
    terraform.held = Locked("alice@elsewhere", code="state-locked")

    async def make_ready(*_: object) -> FakeTerraform:
        return terraform

    monkeypatch.setattr(run, "make_ready", make_ready)
    with pytest.raises(Locked):
        await down._read_state(lambda _: None)


@pytest.mark.parametrize(
    ("known", "agreed", "goes_on"),
    [
        (NO_STATE, Agreed(yes=True), False),
        (Known(there=True), Agreed(yes=True), False),
        # Asked again, with the state.
        (NOT_ASKED, Agreed(yes=True), True),
        (NO_STATE, Agreed(name="jark"), True),
    ],
)
async def test_what_could_not_be_seen_is_not_agreed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Known, agreed: Agreed, goes_on: bool
) -> None:
    """The folder is there, and no AWS tells what else is."""
    down, _, target = under_way(tmp_path, monkeypatch, [], agreed)
    down.session.workspace.create()
    unseen = Leftover("volume", "?", "us-west-2", "aws", checked=False)
    target.there = Standing("us-west-2", goes=(unseen,), owners=frozenset())

    async def look_up(*_: object) -> Known:
        return known

    monkeypatch.setattr(survey, "look_up", look_up)
    assert await down.look() is goes_on
    assert down.left == (() if goes_on else (unseen,))


@pytest.mark.parametrize("agreed", [Agreed(yes=True), Agreed(name="jark")])
async def test_a_state_of_another_place_ends_it_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: Agreed
) -> None:
    """The region was edited: there is nothing of the stack there, and Terraform would forget the one that is."""
    down, terraform, target = under_way(tmp_path, monkeypatch, [], agreed)
    target.region = "us-east-1"

    async def make_ready(*_: object) -> FakeTerraform:
        return terraform

    monkeypatch.setattr(run, "make_ready", make_ready)
    with pytest.raises(PreflightError) as refused:
        await down._read_state(lambda _: None)
    assert refused.value.code == "stack-elsewhere"

    async def look_up(*_: object) -> Known:
        return await read(terraform)  # type: ignore[arg-type]

    monkeypatch.setattr(survey, "look_up", look_up)
    with pytest.raises(PreflightError):  # nor is anybody asked to agree to it
        await package.question(down.session, Keep())
    assert (terraform.destroyed, target.swept) == (0, 0)


async def test_what_could_not_be_seen_is_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is here, and AWS does not say whether there is a volume: that is no proof."""
    unseen = Leftover("volume", "?", "us-west-2", "aws ec2 describe-volumes", "Could not check: denied", checked=False)
    here = session(tmp_path)
    here.__dict__["target"] = FakeTarget(there=Standing("us-west-2", goes=(unseen,), owners=frozenset()))

    async def look_up(*_: object) -> Known:
        return NO_STATE

    monkeypatch.setattr(survey, "look_up", look_up)
    result = await package.down(here, agreed=Agreed(yes=True))
    assert result.leftovers == (unseen,)
    assert result.failure is not None
    assert (result.failure.code, result.failure.exit_code) == ("leftovers", ExitCode.TOOL_FAILED)
    assert "could not be seen" in result.failure.message
    assert unseen.remove in result.failure.message


async def test_what_a_state_has() -> None:
    class Terraform:
        async def state(self) -> dict[str, Any]:
            return {
                "resources": [
                    {"mode": "data", "type": "aws_region", "name": "here", "instances": [{"attributes": {"id": "x"}}]},
                    {"mode": "managed", "type": "aws_vpc", "name": "this", "instances": [{"attributes": {"id": "v"}}]},
                    {"mode": "managed", "type": "terraform_data", "name": "node_group", "instances": [{}, {}]},
                ]
            }

    known = await read(Terraform())  # type: ignore[arg-type]
    assert known.kinds == {"aws_vpc": 1, "node_group": 2}
    assert known.knows(frozenset({"v"}))
    assert not known.knows(frozenset({"v", "w"}))
    assert known.knows(None)


async def test_a_damaged_state_is_an_answer_and_another_failure_is_none() -> None:
    class Terraform:
        code = "state-damaged"

        async def state(self) -> dict[str, Any]:
            raise ToolFailed("x", code=self.code)

    terraform = Terraform()
    assert (await read(terraform)).trouble is not None  # type: ignore[arg-type]
    terraform.code = "state-not-writable"
    with pytest.raises(ToolFailed):
        await read(terraform)  # type: ignore[arg-type]


def test_the_claims_of_a_pod() -> None:
    pod = {
        "metadata": {"namespace": "ml", "name": "db-0"},
        "spec": {
            "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "c", "configMap": {"name": "data"}},
            ]
        },
    }
    assert _claims_of(pod) == {("ml", "data"), ("ml", "db-0-scratch")}
    assert _claims_of({"metadata": {"namespace": "ml", "name": "x"}, "spec": {}}) == set()


def test_a_long_list_is_cut() -> None:
    assert listed([str(n) for n in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
    assert listed(["0"]) == "0"


def test_a_stack_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = named_session("jark", "eu-west-1", lambda _: None)
    assert (found.stack.target, found.stack.name, found.stack.aws.region) == ("eks", "jark", "eu-west-1")
    assert found.file is None
    assert found.workspace.folder == tmp_path / ".drakit" / "jark"
    assert not found.workspace.exists()
    rehearsed = named_session("jark", "eu-west-1", lambda _: None, rehearse=True)
    assert rehearsed.workspace.folder == tmp_path / ".drakit" / "jark-rehearsal"


@pytest.mark.parametrize(("name", "region"), [("../x", "us-west-2"), ("jark", "narnia"), ("", "us-west-2")])
def test_a_name_that_no_stack_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, region: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        named_session(name, region, lambda _: None)


def test_where_the_state_is_the_name_alone_does_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Workspace(tmp_path, "jark").terraform.mkdir(parents=True)
    with pytest.raises(UsageError) as refused:
        named_session("jark", "us-west-2", lambda _: None)
    assert refused.value.code == "state-here"
