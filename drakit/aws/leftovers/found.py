"""Something that exists on AWS, and the calls that remove it, which are also the commands for a person to type."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drakit.aws.session import Aws

BEING_DELETED = "AWS is deleting it"
BEING_CHANGED = "AWS is making or changing it"
AT_WORK = (BEING_DELETED, BEING_CHANGED)


@dataclass(frozen=True)
class Call:
    """An operation of boto3's, with its parameters."""

    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def command(self, aws: Aws) -> str:
        """The same for the AWS CLI, which calls operations and parameters as botocore's `xform_name` does."""
        from botocore import xform_name

        words = ["aws", self.service, self.operation.replace("_", "-")]
        for name, value in self.parameters.items():
            option = f"--{xform_name(name, '-')}"
            if isinstance(value, bool):
                words.append(option if value else f"--no-{option[2:]}")
            elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                words += [option, *value]
            else:
                words += [option, value if isinstance(value, str) else json.dumps(value)]
        words += ["--region", aws.region]
        if aws.profile:
            words += ["--profile", aws.profile]
        if aws.endpoint:
            # Or a rehearsal's command would remove something real of the same name.
            words += ["--endpoint-url", aws.endpoint]
        return shlex.join(words)


@dataclass(frozen=True)
class Charge:
    """What something is paid for by the hour. `what`: a price's name in `leftovers.charges`."""

    what: str
    amount: float = 1.0


@dataclass(frozen=True)
class Found:
    """Something on AWS.

    Args:
        kind: in a person's words, such as "load balancer".
        calls: what removes it, in order.
        vpc: the one that it is in; a VPC is in itself.
        cluster: the one that its name or its place, not a tag, says it was made for.
        part: that it is a part of the stack's very cluster, which no other of that name could have.
        created: when it was made (UTC), where AWS tells.
        region: of what belongs to all regions, the one in its name.
        going: why it is only waited for; empty for what must be removed.
        charge: what it costs; None: nothing by the hour, or it is not known what.
        free: that it is known to cost nothing by itself.
    """

    kind: str
    id: str
    calls: tuple[Call, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    vpc: str = ""
    cluster: str = ""
    part: bool = False
    created: datetime | None = None
    region: str = ""
    going: str = ""
    charge: Charge | None = None
    free: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it is told apart by."""
        return self.kind, self.id
