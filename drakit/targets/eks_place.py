"""Whether what Terraform's state has is where the stack file and the credentials look for it.

Terraform would look in the wrong place, find nothing there, and forget all of it, which AWS goes on to charge for.
"""

from collections import Counter
from collections.abc import Collection, Iterable

from drakit.aws.session import Aws
from drakit.errors import PreflightError
from drakit.stack.model import Stack


async def require_here(aws: Aws, stack: Stack, arns: Collection[str]) -> None:
    """See `drakit.targets.base.Target.require_here`."""
    # arn:partition:service:region:account:resource; IAM's have no region, and S3's neither.
    parts = [each.split(":", 5) for each in arns]
    region = _most(each[3] for each in parts if len(each) == 6)
    account = _most(each[4] for each in parts if len(each) == 6 and each[4].isdecimal())
    if not (region or account):
        return
    identity = await aws.identity()
    ways = []
    if region not in ("", stack.aws.region):
        ways.append(f"Set aws.region in the stack file to {region}.")
    if account not in ("", identity.account):
        ways.append(f"Use credentials of the account {account}: with AWS_PROFILE, or aws.profile in the stack file.")
    if not ways:
        return
    raise PreflightError(
        f"The stack {stack.name}, as Terraform's state has it, is in {region or 'any region'}, account "
        f"{account or 'not known'}; the stack file and the credentials say {stack.aws.region}, account "
        f"{identity.account}.",
        hint=f"{' '.join(ways)} Nothing was changed. A stack there too needs another name.",
        details={"region": region, "account": account},
        code="stack-elsewhere",
    )


def _most(values: Iterable[str]) -> str:
    """The value that there is most of: a blueprint may have something elsewhere, a certificate for example."""
    found = Counter(value for value in values if value).most_common(1)
    return found[0][0] if found else ""
