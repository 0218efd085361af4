"""The words are those of AWS provider 5.100, recorded; what follows the codes is EC2's and EKS's own."""

import pytest

from drakit.aws.retold import retold
from drakit.errors import ExitCode

ID = "https response error StatusCode: 400, RequestID: 7c15c89a-5f5d-4062-aeb8-6f4bb25cf3ad"
FAILED = (
    "waiting for EKS Node Group (jark:p4d-20261123162513517000000003) create: unexpected state 'CREATE_FAILED', wanted "
    "target 'ACTIVE'. last error: eks-p4d-20261123162513517000000003-53c3b946: AsgInstanceLaunchFailures: "
)
NO_CAPACITY = (
    "We currently do not have sufficient p4d.24xlarge capacity in the Availability Zone you requested (us-west-2b). "
    "Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
)
NO_QUOTA = "You have requested more vCPU capacity than your current vCPU limit of 64 allows for the instance bucket"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (f"creating IAM Role (node): operation error IAM: CreateRole, {ID}, api error AccessDenied: User: a is not "
         "authorized to perform: iam:CreateRole",
         "aws-access-denied",
         "iam CreateRole in us-west-2: access denied: User: a is not authorized to perform: iam:CreateRole."),
        (f"creating EKS Node Group (jark:g6): operation error EKS: CreateNodegroup, {ID}, "
         "ResourceLimitExceededException: You have reached the limit.",
         "aws-quota-exceeded",
         "eks CreateNodegroup in us-west-2: a quota of the account is used up: You have reached the limit."),
        (f"creating EC2 VPC: operation error EC2: CreateVpc, {ID}, api error VpcLimitExceeded: Too many.",
         "aws-quota-exceeded", "ec2 CreateVpc in us-west-2: a quota"),
        (f"{FAILED}Could not launch On-Demand Instances. VcpuLimitExceeded - {NO_QUOTA}", "aws-quota-exceeded",
         "us-west-2: a quota of the account is used up: You have requested more vCPU capacity than"),
        (f"{FAILED}{NO_QUOTA}", "aws-quota-exceeded", "of 64 allows"),
        (f"{FAILED}Could not launch On-Demand Instances. InsufficientInstanceCapacity - {NO_CAPACITY}",
         "aws-insufficient-capacity",
         "us-west-2: AWS has no capacity for it there now: We currently do not have sufficient p4d.24xlarge capacity"),
        (f"{FAILED}{NO_CAPACITY}", "aws-insufficient-capacity", "p4d.24xlarge capacity in the Availability Zone you"),
        (f"{FAILED}Your requested instance type (p4de.24xlarge) is not supported in your requested Availability Zone",
         "aws-insufficient-capacity", "(p4de.24xlarge)"),
        (f"reading EC2 NAT Gateway: operation error EC2: DescribeNatGateways, {ID}, api error ExpiredToken: It expired",
         "aws-credentials-expired", "the AWS credentials have expired"),
        (f"operation error EKS: CreateAddon, exceeded maximum number of attempts, 25, {ID}, api error "
         "ThrottlingException: Rate exceeded", "aws-throttled", "eks CreateAddon in us-west-2: AWS asked to slow down"),
        (f"creating EKS Cluster (jark): operation error EKS: CreateCluster, {ID}, InvalidParameterException: "
         "unsupported Kubernetes version 1.40", "aws-version-unsupported", "EKS does not offer this Kubernetes"),
        (f"creating EC2 Subnet: operation error EC2: CreateSubnet, {ID}, api error InvalidSubnet.Conflict: The CIDR "
         "'10.1.4.0/24' conflicts with another subnet", "aws-exists", "The CIDR '10.1.4.0/24' conflicts"),
        (f"creating EKS Cluster (jark): operation error EKS: CreateCluster, {ID}, ResourceInUseException: Cluster "
         "already exists with name: jark", "aws-exists", "Cluster already exists with name: jark"),
        (f"creating EC2 VPC CIDR Block Association: operation error EC2: AssociateVpcCidrBlock, {ID}, api error "
         "InvalidVpc.Range: The CIDR '100.64.0.0/16' conflicts with 100.64.0.0/16 of vpc-1.",
         "aws-exists", "The CIDR '100.64.0.0/16' conflicts"),
        (f"updating EKS Cluster (jark): operation error EKS: UpdateClusterConfig, {ID}, ResourceInUseException: "
         "Cluster is updating", "aws-in-use", "it is in use, or being changed"),
        ("Retrieving AWS account details: validating provider credentials: retrieving caller identity from STS: "
         "operation error STS: GetCallerIdentity, exceeded maximum number of attempts, 9, https response error "
         "StatusCode: 0, RequestID: , request send failed, Post \"http://x\": dial tcp 127.0.0.1:9: connection refused",
         "aws-unreachable", "us-west-2: AWS could not be reached"),
        ("No valid credential sources found Please see the documentation", "aws-credentials-missing",
         "us-west-2: there are no usable AWS credentials"),
        (f"operation error EKS: CreateAddon, {ID}, InvalidRequestException: Addon is already in CREATING.",
         "aws-refused", "eks CreateAddon in us-west-2: AWS refused: Addon is already in CREATING."),
    ],
    ids=lambda value: value if value.startswith("aws-") else "",
)  # fmt: skip
def test_a_refusal_is_recognised(text: str, code: str, message: str) -> None:
    error = retold(text.replace(" ", "\n"), "us-west-2")
    assert error is not None
    assert (error.code, error.exit_code) == (code, ExitCode.CLUSTER)
    assert message in error.message
    assert "RequestID" not in error.message
    assert error.details["region"] == "us-west-2"
    assert error.hint
    assert "{action}" not in error.hint


def test_the_hint_names_the_permission() -> None:
    error = retold(f"operation error IAM: CreateRole, {ID}, api error AccessDenied: no", "us-west-2")
    assert error is not None
    assert error.hint is not None
    assert "Allow iam:CreateRole to this principal" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        "Invalid value for variable: This was checked by the validation rule at variables.tf:35,3-13.",
        "local-exec provisioner error: exit status 3. Output: ModuleNotFound: no such module",
        "Unsupported argument: an argument named x is not expected here",
        "creating EC2 Subnet: operation error EC2: CreateSubnet, context canceled",
        "",
    ],
)
def test_other_words_are_no_refusal(text: str) -> None:
    assert retold(text, "us-west-2") is None
