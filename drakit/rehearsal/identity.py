"""STS: who the caller is. moto answers with an ARN that no principal has."""

from drakit.rehearsal import credentials
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world: World, call: Call) -> Result:
    """Whose credentials the call was signed with."""
    arn, user_id = credentials.identity(call.scope.access_key, call.region)
    return {"UserId": user_id, "Account": ACCOUNT, "Arn": arn}
