import re
from datetime import UTC, date, datetime
from pathlib import Path

from drakit.aws.versions import EXTENDED_HOURLY, STANDARD_HOURLY, Support, eks_versions, table

TODAY = date(2026, 11, 23)


async def test_what_eks_says(fake_aws) -> None:
    def version(name: str, status: str) -> dict[str, object]:
        return {
            "clusterVersion": name,
            "versionStatus": status,
            "endOfStandardSupportDate": datetime(2027, 3, 27, tzinfo=UTC),
        }

    answer = {
        "clusterVersions": [
            version("1.9", "UNSUPPORTED"),
            version("1.35", "STANDARD_SUPPORT"),
            version("1.33", "EXTENDED_SUPPORT"),
        ]
    }
    found = await eks_versions(fake_aws({("eks", "describe_cluster_versions"): answer}), TODAY)
    assert [(each.version, each.support) for each in found.versions] == [
        ("1.35", Support.STANDARD), ("1.33", Support.EXTENDED), ("1.9", Support.ENDED)
    ]  # fmt: skip
    assert found.source == "EKS DescribeClusterVersions"
    assert found.as_of == TODAY
    old = found.find("1.33")
    assert old is not None
    assert (old.hourly, found.versions[0].hourly) == (EXTENDED_HOURLY, STANDARD_HOURLY)
    assert found.versions[0].standard_until == date(2027, 3, 27)


async def test_the_table_when_eks_does_not_say(fake_aws) -> None:
    found = await eks_versions(fake_aws({("eks", "describe_cluster_versions"): ("AccessDeniedException", "no")}), TODAY)
    assert "access denied" in found.problem
    assert "eks:DescribeClusterVersions" in found.remedy
    assert found.as_of == date(2026, 11, 23)
    assert {each.version: each.support for each in found.versions} == {
        "1.36": Support.STANDARD, "1.35": Support.STANDARD, "1.34": Support.STANDARD,
        "1.33": Support.EXTENDED, "1.32": Support.EXTENDED, "1.31": Support.EXTENDED,
    }  # fmt: skip


async def test_the_table_when_eks_names_none(fake_aws) -> None:
    found = await eks_versions(fake_aws({("eks", "describe_cluster_versions"): {"clusterVersions": []}}), TODAY)
    assert found.problem
    assert found.versions


def test_the_table_goes_with_the_day() -> None:
    late = table(date(2027, 8, 1))
    assert [each.version for each in late.versions if each.support is Support.ENDED] == ["1.33", "1.32", "1.31"]
    assert [each.version for each in table(date(2026, 7, 29)).versions if each.support is Support.STANDARD][
        -1
    ] == "1.33"


def test_the_cheaper_version_stays_in_standard_support_for_a_while() -> None:
    # 1.34's standard support ends on 2026-12-02.
    assert (better := table(TODAY).cheaper("1.33", TODAY)) is not None
    assert better.version == "1.35"
    october = date(2026, 8, 1)
    assert (better := table(october).cheaper("1.33", october)) is not None
    assert better.version == "1.34"
    assert table(TODAY).cheaper("1.36", TODAY) is None
    # With none that lasts, the newest.
    late = date(2027, 8, 1)
    assert (better := table(late).cheaper("1.34", late)) is not None
    assert better.version == "1.36"


def test_the_table_has_every_version_of_the_target() -> None:
    from drakit.stack.targets import TARGETS

    assert set(TARGETS["eks"].kubernetes_versions) <= {each.version for each in table(TODAY).versions}


def test_the_tags_are_the_blueprints() -> None:
    from drakit.aws.clusters import NODE_GROUP_TAG, STACK_TAG
    from drakit.packaged import packaged

    text = "\n".join(path.read_text() for path in Path(packaged("blueprints", "jark")).glob("*.tf"))
    assert re.search(rf'"{re.escape(STACK_TAG)}"\s*=\s*var\.name', text)
    assert re.search(rf'"{re.escape(NODE_GROUP_TAG)}"\s*=\s*each\.key', text)
