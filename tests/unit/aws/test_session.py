import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from drakit.aws.errors import aws_error, code_of, quoted, refused
from drakit.aws.session import Aws, in_thread
from drakit.errors import ClusterError, ExitCode

ANSWER = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada", "UserId": "AIDA"}


def test_importing_the_adapter_imports_no_boto3() -> None:
    modules = ("session", "errors", "versions", "prices", "costs", "quotas", "zones", "reservations", "clusters",
               "kubeconfig", "token", "preflight")  # fmt: skip
    program = f"import sys; {'; '.join(f'import drakit.aws.{m}' for m in modules)}; print('botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_identity() -> None:
    aws = Aws("us-west-2")
    with Stubber(aws.client("sts")) as stub:
        stub.add_response("get_caller_identity", ANSWER)
        identity = await aws.identity()
    assert (identity.account, identity.partition) == ("123456789012", "aws")


@pytest.mark.parametrize(
    ("aws_code", "code"),
    [
        ("ExpiredToken", "aws-credentials-expired"),
        ("ExpiredTokenException", "aws-credentials-expired"),
        ("InvalidClientTokenId", "aws-credentials-invalid"),
        ("UnrecognizedClientException", "aws-credentials-invalid"),
        ("RequestTimeTooSkewed", "aws-clock-skew"),
        ("AccessDeniedException", "aws-access-denied"),
        ("UnauthorizedOperation", "aws-access-denied"),
        ("ThrottlingException", "aws-throttled"),
        ("RequestLimitExceeded", "aws-throttled"),
        ("VcpuLimitExceeded", "aws-quota-exceeded"),
        ("ResourceLimitExceededException", "aws-quota-exceeded"),
        ("AddressLimitExceeded", "aws-quota-exceeded"),
        ("ServiceQuotaExceededException", "aws-quota-exceeded"),
        ("InsufficientInstanceCapacity", "aws-insufficient-capacity"),
        ("UnsupportedAvailabilityZoneException", "aws-insufficient-capacity"),
        ("InsufficientFreeAddressesInSubnet", "aws-no-addresses"),
        ("ResourceNotFoundException", "aws-not-found"),
        ("InvalidCapacityReservationId.NotFound", "aws-not-found"),
        ("ResourceInUseException", "aws-in-use"),
        ("DependencyViolation", "aws-in-use"),
        ("OperationAbortedException", "aws-in-use"),
        ("OptInRequired", "aws-region-disabled"),
        ("ServiceUnavailableException", "aws-unavailable"),
        ("KMSInternalException", "aws-unavailable"),
        ("AuthFailure", "aws-credentials-invalid"),
        ("InvalidParameterException", "aws-refused"),
    ],
)
async def test_what_aws_refuses_has_a_code(aws_code: str, code: str) -> None:
    aws = Aws("us-west-2")
    assert code_of(aws_code) == code
    with Stubber(aws.client("eks")) as stub:
        stub.add_client_error("describe_cluster", service_error_code=aws_code, service_message="because.")
        with pytest.raises(ClusterError) as caught:
            await aws.call("eks", "describe_cluster", name="jark")
    error = caught.value
    assert error.code == code
    assert error.exit_code is ExitCode.CLUSTER
    assert error.message.startswith("eks DescribeCluster in us-west-2: ")
    assert error.hint
    assert error.details["awsCode"] == aws_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.NoCredentialsError(), "aws-credentials-missing"),
        (
            exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            "aws-credentials-missing",
        ),
        (exceptions.ProfileNotFound(profile="nope"), "aws-credentials-missing"),
        (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="x"), "aws-credentials-missing"),
        (exceptions.UnauthorizedSSOTokenError(), "aws-credentials-expired"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), "aws-credentials-expired"),
        (exceptions.EndpointConnectionError(endpoint_url="https://eks"), "aws-unreachable"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://eks"), "aws-unreachable"),
        (exceptions.ReadTimeoutError(endpoint_url="https://eks"), "aws-unreachable"),
        (exceptions.SSLError(endpoint_url="https://eks", error="x"), "aws-unreachable"),
        (exceptions.InvalidRegionError(region_name="a b"), "aws-region-unknown"),
        (ResponseParserError("not XML"), "aws-refused"),
        (FileNotFoundError(2, "No such file: AWS_CA_BUNDLE"), "aws-unreachable"),
    ],
)
def test_what_boto3_raises_has_a_code(error: Exception, code: str) -> None:
    found = aws_error(error, "eks", "describe_cluster", "us-west-2", "work")
    assert found.code == code
    assert found.hint
    if "credentials" in code:
        assert "profile work" in found.message


def test_a_denied_call_names_the_permission() -> None:
    error = exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetServiceQuota")
    assert "servicequotas:GetServiceQuota" in (
        aws_error(error, "service-quotas", "get_service_quota", "r", None).hint or ""
    )


def test_a_version_that_eks_does_not_have() -> None:
    refused = {"Error": {"Code": "InvalidParameterException", "Message": "unsupported Kubernetes version"}}
    found = aws_error(exceptions.ClientError(refused, "CreateCluster"), "eks", "create_cluster", "us-west-2", None)
    assert found.code == "aws-version-unsupported"


def test_an_address_that_aws_still_holds_is_in_use() -> None:
    """EC2 has the code of bad credentials for it."""
    words = "You do not have permission to access the specified resource."
    error = refused("AuthFailure", words, service="ec2", operation="ReleaseAddress", region="us-west-2")
    assert error.code == "aws-in-use"


def test_no_secret_is_told() -> None:
    said = (
        "The request signature we calculated does not match. The canonical string was 'GET\n/\n"
        "x-amz-security-token:FwoGZXIvYXdzEXAMPLETOKEN\n'"
    )
    error = exceptions.ClientError({"Error": {"Code": "SignatureDoesNotMatch", "Message": said}}, "X")
    found = aws_error(error, "sts", "get_caller_identity", "us-west-2", None)
    assert "EXAMPLETOKEN" not in found.message + str(found.details)
    assert "EXAMPLETOKEN" not in quoted(said)
    process = exceptions.CredentialRetrievalError(provider="custom-process", error_msg="a-very-secret-key")
    assert "a-very-secret-key" not in aws_error(process, "sts", "get_caller_identity", "r", None).message
    assert quoted("no. Encoded authorization failure message: AbCdEf") == "no."
    assert len(quoted("x" * 5000)) < 400


async def test_no_credentials_is_an_error_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ClusterError) as caught:
        await Aws("us-west-2").identity()
    assert caught.value.code == "aws-credentials-missing"


async def test_a_profile_that_does_not_exist() -> None:
    with pytest.raises(ClusterError, match="nope") as caught:
        await Aws("us-west-2", "nope").identity()
    assert caught.value.code == "aws-credentials-missing"


async def test_a_region_that_is_no_host_name() -> None:
    with pytest.raises(ClusterError) as caught:
        await Aws("us-west-2.example.com").identity()
    assert caught.value.code == "aws-region-unknown"


async def test_a_wrong_parameter_is_a_bug_of_ours() -> None:
    with pytest.raises(exceptions.ParamValidationError):
        await Aws("us-west-2").call("eks", "describe_cluster", nme="jark")


async def test_the_endpoint_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    aws = Aws("us-west-2")
    assert aws.endpoint == "http://127.0.0.1:9"
    assert aws.client("eks").meta.endpoint_url == "http://127.0.0.1:9"
    assert aws.client("eks") is aws.client("eks", "us-west-2")


async def test_the_loop_goes_on_while_aws_thinks() -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        answer.wait(10)
        return "answer"

    waiting = asyncio.ensure_future(in_thread(slow))
    while not asked.is_set():
        await asyncio.sleep(0)
    assert not waiting.done()
    answer.set()
    assert await waiting == "answer"


async def test_a_call_that_was_given_up_disturbs_nobody() -> None:
    answer, done = threading.Event(), threading.Event()

    def slow() -> None:
        answer.wait(10)
        done.set()

    waiting = asyncio.ensure_future(in_thread(slow))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answer.set()
    while not done.is_set():
        await asyncio.sleep(0)


def test_a_thread_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    program = (
        "import asyncio, threading\nfrom drakit.aws.session import in_thread\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(in_thread(threading.Event().wait))\n"
        "    await asyncio.sleep(0.01)\n    task.cancel()\n"
        "asyncio.run(main())\nprint('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("ended", "")


async def test_all_pages_are_read() -> None:
    aws = Aws("us-west-2")
    with Stubber(aws.client("eks")) as stub:
        stub.add_response("list_nodegroups", {"nodegroups": ["a"], "nextToken": "t"}, {"clusterName": "jark"})
        stub.add_response("list_nodegroups", {"nodegroups": ["b"]}, {"clusterName": "jark", "nextToken": "t"})
        assert await aws.collect("eks", "list_nodegroups", "nodegroups", clusterName="jark") == ["a", "b"]


async def test_nothing_of_that_name_is_none() -> None:
    aws = Aws("us-west-2")
    with Stubber(aws.client("eks")) as stub:
        stub.add_client_error("describe_cluster", service_error_code="ResourceNotFoundException")
        assert await aws.call_if_any("eks", "describe_cluster", name="jark") is None
        stub.add_client_error("describe_cluster", service_error_code="AccessDeniedException")
        with pytest.raises(ClusterError):
            await aws.call_if_any("eks", "describe_cluster", name="jark")
