"""Launch templates, where moto's answer differs from EC2's.

moto counts the tags of the template itself among those that it puts on what it launches; Terraform would take them
away again at every apply. And it tells the tags that a template was made with, whatever became of them.
"""

from typing import Any

from moto.ec2.models import ec2_backends

from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("ec2", "DescribeLaunchTemplateVersions")
def describe_launch_template_versions(world: World, call: Call) -> Result:
    """The versions of a template."""
    answer = call.moto()
    for version in answer["LaunchTemplateVersions"]:
        _strip(version["LaunchTemplateData"])
    return answer


@operation("ec2", "DescribeLaunchTemplates")
def describe_launch_templates(world: World, call: Call) -> Result:
    """The templates, each with its tags as they are now."""
    answer = call.moto()
    tags = ec2_backends[ACCOUNT][call.region].tags
    for template in answer["LaunchTemplates"]:
        now = tags.get(template["LaunchTemplateId"], {})
        template["Tags"] = [{"Key": key, "Value": value} for key, value in now.items()]
    return answer


@operation("ec2", "CreateLaunchTemplateVersion")
def create_launch_template_version(world: World, call: Call) -> Result:
    """A new version of a template."""
    answer = call.moto()
    _strip(answer["LaunchTemplateVersion"]["LaunchTemplateData"])
    return answer


def _strip(data: dict[str, Any]) -> None:
    data["TagSpecifications"] = [
        each for each in data.get("TagSpecifications", []) if each.get("ResourceType") != "launch-template"
    ]
