"""Roles, policies, instance profiles and OIDC providers: IAM has them once for all regions.

A stack of the same name in another region has the same tag; so their names, which begin with the stack's name and its
region, decide too.
"""

import asyncio
import re

from drakit.aws.errors import NOT_FOUND
from drakit.aws.leftovers.found import Call, Found
from drakit.aws.leftovers.scope import Scope, tags_of
from drakit.aws.session import Aws
from drakit.errors import ClusterError

_ISSUER = re.compile(r"/oidc[.-]eks\.([a-z0-9-]+)\.")


def prefix(scope: Scope) -> str:
    """How the names of the stack's roles begin."""
    return f"{scope.name}-{scope.region}-"


async def roles(aws: Aws, scope: Scope) -> list[Found]:
    """Roles of the stack's; their policies are detached or deleted first."""
    names = [
        each["RoleName"]
        for each in await aws.collect("iam", "list_roles", "Roles")
        if each["RoleName"].startswith(prefix(scope))
    ]
    found = await asyncio.gather(*(_role(aws, scope, name) for name in names))
    return [each for each in found if each]


async def _role(aws: Aws, scope: Scope, name: str) -> Found | None:
    try:
        tags, attached, inline = await asyncio.gather(
            aws.collect("iam", "list_role_tags", "Tags", RoleName=name),
            aws.collect("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name),
            aws.collect("iam", "list_role_policies", "PolicyNames", RoleName=name),
        )
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return None
        raise
    return Found(
        "IAM role",
        name,
        (
            *(
                Call("iam", "detach_role_policy", {"RoleName": name, "PolicyArn": each["PolicyArn"]})
                for each in attached
            ),
            *(Call("iam", "delete_role_policy", {"RoleName": name, "PolicyName": each}) for each in inline),
            Call("iam", "delete_role", {"RoleName": name}),
        ),
        tags=tags_of(tags),
        region=scope.region,
        free=True,
    )


async def instance_profiles(aws: Aws, scope: Scope) -> list[Found]:
    """Instance profiles with a role of the stack's: EKS makes one, without tags, for a node group."""
    names = [
        each["InstanceProfileName"]
        for each in await aws.collect("iam", "list_instance_profiles", "InstanceProfiles")
        if any(role["RoleName"].startswith(prefix(scope)) for role in each.get("Roles", []))
        or each["InstanceProfileName"].startswith(prefix(scope))
    ]
    found = await asyncio.gather(*(_profile(aws, scope, name) for name in names))
    return [each for each in found if each]


async def _profile(aws: Aws, scope: Scope, name: str) -> Found | None:
    answer = await aws.call_if_any("iam", "get_instance_profile", InstanceProfileName=name)
    if not answer:
        return None
    profile = answer["InstanceProfile"]
    roles = [role["RoleName"] for role in profile.get("Roles", [])]
    tags = profile.get("Tags") or []
    for role in roles:
        told = None if tags else await aws.call_if_any("iam", "get_role", RoleName=role)
        tags = told["Role"].get("Tags", []) if told else tags
    which = {"InstanceProfileName": name}
    return Found(
        "instance profile",
        name,
        (
            *(Call("iam", "remove_role_from_instance_profile", {**which, "RoleName": role}) for role in roles),
            Call("iam", "delete_instance_profile", which),
        ),
        tags=tags_of(tags),
        region=scope.region,
        free=True,
    )


async def policies(aws: Aws, scope: Scope) -> list[Found]:
    """Managed policies of the stack's; older versions of a policy go before it. The blueprint makes none."""
    found = [
        each
        for each in await aws.collect("iam", "list_policies", "Policies", Scope="Local")
        if each["PolicyName"].startswith(prefix(scope))
    ]
    told = await asyncio.gather(*(_policy(aws, scope, each["Arn"]) for each in found))
    return [each for each in told if each]


async def _policy(aws: Aws, scope: Scope, arn: str) -> Found | None:
    try:
        tags, versions = await asyncio.gather(
            aws.collect("iam", "list_policy_tags", "Tags", PolicyArn=arn),
            aws.collect("iam", "list_policy_versions", "Versions", PolicyArn=arn),
        )
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return None
        raise
    older = [each["VersionId"] for each in versions if not each.get("IsDefaultVersion")]
    return Found(
        "IAM policy",
        arn,
        (
            *(Call("iam", "delete_policy_version", {"PolicyArn": arn, "VersionId": each}) for each in older),
            Call("iam", "delete_policy", {"PolicyArn": arn}),
        ),
        tags=tags_of(tags),
        region=scope.region,
        free=True,
    )


async def oidc_providers(aws: Aws, scope: Scope) -> list[Found]:
    """The OIDC provider of the cluster's service accounts: by its tag and region, or by the cluster's issuer."""
    answer = await aws.call("iam", "list_open_id_connect_providers")
    # One that names a region is asked for its tags only if it is this one.
    arns = [
        each["Arn"]
        for each in answer.get("OpenIDConnectProviderList", [])
        if region_of_issuer(each["Arn"]) == scope.region
    ]
    found = await asyncio.gather(*(_provider(aws, scope, arn) for arn in arns))
    return [each for each in found if each]


async def _provider(aws: Aws, scope: Scope, arn: str) -> Found | None:
    try:
        tags = await aws.collect("iam", "list_open_id_connect_provider_tags", "Tags", OpenIDConnectProviderArn=arn)
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return None
        raise
    ours = scope.issuer and arn.partition(":oidc-provider/")[2] == scope.issuer
    return Found(
        "OIDC provider",
        arn,
        (Call("iam", "delete_open_id_connect_provider", {"OpenIDConnectProviderArn": arn}),),
        tags=tags_of(tags),
        cluster=scope.cluster if ours else "",
        part=bool(ours),
        region=region_of_issuer(arn),
        free=True,
    )


def region_of_issuer(arn: str) -> str:
    """The region of the EKS cluster that an OIDC provider is for; empty for other providers."""
    match = _ISSUER.search(arn)
    return match[1] if match else ""
