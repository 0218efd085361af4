"""docs/aws.md tells of every permission that the adapter uses, and of every code of its errors."""

import re
from pathlib import Path

import drakit.aws
from drakit.aws.errors import _ACTIONS, _KINDS, _camel

ADAPTER = Path(drakit.aws.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "aws.md"
SERVICES = "autoscaling|ec2|eks|elb|elbv2|iam|kms|logs|pricing|resourcegroupstaggingapi|service-quotas|sts"
CALL = re.compile(rf'"({SERVICES})",\s*"([a-z_]+)"')


def test_every_permission_is_listed() -> None:
    sources = "\n".join(path.read_text() for path in sorted(ADAPTER.rglob("*.py")))
    used = {f"{_ACTIONS.get(service, service)}:{_camel(operation)}" for service, operation in CALL.findall(sources)}
    listed = set(re.findall(r'^      "([a-z0-9]+:[A-Za-z]+)",?$', PAGE.read_text(), re.MULTILINE))
    assert used == listed


def test_every_code_is_listed() -> None:
    page = PAGE.read_text()
    sources = "\n".join(path.read_text() for path in sorted(ADAPTER.rglob("*.py")))
    codes = {kind.code for kind in _KINDS} | set(re.findall(r'"(aws-[a-z-]+)"', sources))
    assert {code for code in codes if f"`{code}`" not in page} == set()
