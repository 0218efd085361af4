"""Terraform's state is of one place, the stack file or the credentials of another: nothing goes on there."""

from collections.abc import Callable

import pytest

from drakit.errors import ExitCode, PreflightError
from drakit.stack.model import Stack
from drakit.targets.eks import EksTarget
from drakit.terraform.state import arns_in
from tests.unit.aws.conftest import FakeAws, aws_environment

__all__ = ["aws_environment"]

ACCOUNT, OTHER = "123456789012", "210987654321"
IDENTITY = ("sts", "get_caller_identity")


def arns(region: str = "us-west-2", account: str = ACCOUNT) -> tuple[str, ...]:
    """What a stack has, in some order."""
    return (
        f"arn:aws:iam::{account}:role/jark-{region}-cluster",
        f"arn:aws:ec2:{region}:{account}:vpc/vpc-1",
        f"arn:aws:eks:{region}:{account}:cluster/jark",
    )


@pytest.fixture
def target() -> Callable[[str], EksTarget]:
    """The target of a stack in a region, with credentials of the first account."""

    def make(region: str) -> EksTarget:
        made = EksTarget(Stack.model_validate({"target": "eks", "name": "jark", "aws": {"region": region}}))
        arn = f"arn:aws:iam::{ACCOUNT}:user/me"
        made._aws = FakeAws({IDENTITY: {"Account": ACCOUNT, "Arn": arn, "UserId": "AIDA"}}, region)
        return made

    return make


@pytest.mark.parametrize(
    "known",
    [
        (),
        arns(),
        arns()[:1],
        # Something of a blueprint of one's own, elsewhere or nowhere.
        (*arns(), f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/1", "arn:aws:s3:::bucket"),
        ("arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy", "arn:odd"),
    ],
)
async def test_what_is_where_the_stack_is(target: Callable[[str], EksTarget], known: tuple[str, ...]) -> None:
    await target("us-west-2").require_here(known)


@pytest.mark.parametrize(
    ("region", "known", "told", "advised"),
    [
        ("us-east-1", arns(), ("us-west-2", "us-east-1"), "aws.region in the stack file to us-west-2"),
        ("us-west-2", arns(account=OTHER), (ACCOUNT, OTHER), f"credentials of the account {OTHER}"),
        ("us-west-2", arns(account=OTHER)[:1], (ACCOUNT, OTHER), "AWS_PROFILE"),
        # An `up` that was killed before there was a cluster.
        ("us-east-1", arns()[:2], ("us-west-2", "us-east-1"), "aws.region"),
    ],
)
async def test_what_is_elsewhere_is_refused(
    target: Callable[[str], EksTarget], region: str, known: tuple[str, ...], told: tuple[str, ...], advised: str
) -> None:
    with pytest.raises(PreflightError) as refused:
        await target(region).require_here(known)
    assert (refused.value.code, refused.value.exit_code) == ("stack-elsewhere", ExitCode.PREFLIGHT)
    assert all(each in refused.value.message for each in told)
    assert advised in str(refused.value.hint)


def test_the_arns_of_a_state() -> None:
    aws = 'provider["registry.terraform.io/hashicorp/aws"]'
    state = {
        "resources": [
            {"mode": "data", "type": "a", "provider": aws, "instances": [{"attributes": {"arn": "arn:data"}}]},
            {"mode": "managed", "type": "a", "provider": aws, "instances": [{"attributes": {"arn": "arn:1"}}, {}]},
            {"mode": "managed", "type": "a", "provider": f"module.m.{aws}",
             "instances": [{"attributes": {"arn": "arn:2"}}, {"attributes": {"arn": None}}, {"attributes": None}]},
            # A provider of another region.
            {"mode": "managed", "type": "a", "provider": f"{aws}.east",
             "instances": [{"attributes": {"arn": "arn:east"}}]},
        ]
    }  # fmt: skip
    assert arns_in(state) == ("arn:1", "arn:2")
    assert arns_in({}) == ()
