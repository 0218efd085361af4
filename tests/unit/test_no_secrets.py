"""No secret is in the repository: every file that git tracks, or would, is looked through."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*(?:\\n)?[A-Za-z0-9+/=]{20}"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE)[A-Z2-7]{16}\b"),
    "an AWS secret key": re.compile(
        r"(?i)secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"'](?!wJalrXUtnFEMI)[A-Za-z0-9/+]{40}[\"']"
    ),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})\b"),
    "a token of a chat, model or package service": re.compile(
        r"\b(?:xox[abprs]-[A-Za-z0-9-]{20,}|sk-[A-Za-z0-9_-]{32,}|hf_[A-Za-z0-9]{34}|pypi-[A-Za-z0-9_-]{60,}|nvapi-[\w-]{40,})"
    ),
    "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}"),
    "a password in a URL": re.compile(r"\bhttps?://[^/\s:@\"'{}<>$]+:[^/\s:@\"'{}<>$]{3,}@"),
}
"""What each looks like; AWS's own example keys are no secrets."""
STAND_INS = ("AKIAQ2W3E4R5T6Y7U2I3", "AKIAQ7WERTYUIOPASDFG", "https://me:s3cret@charts.example")
"""What tests use because it looks real."""


def found_in(text: str) -> list[str]:
    for each in STAND_INS:
        text = text.replace(each, "")
    return [kind for kind, pattern in SECRETS.items() if pattern.search(text)]


def test_the_repository_holds_none() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout, and so there is no list of the files")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert ROOT / "pyproject.toml" in paths
    found = {
        str(path.relative_to(ROOT)): kinds
        for path in paths
        if path.is_file() and path != Path(__file__) and (kinds := found_in(path.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow" * 8, "a private key"),
        ('"-----BEGIN PRIVATE KEY-----\\n' + "MIIEow" * 8, "a private key"),
        ("key=AKIA" + "Q3EGTVZ2ABCDEFGH"[:16], "an AWS access key"),
        ('aws_secret_access_key = "' + "aB3/" * 10 + '"', "an AWS secret key"),
        ("ghp_" + "a1" * 18, "a token of GitHub"),
        ("hf_" + "aB" * 17, "a token of a chat, model or package service"),
        ("eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 30, "a JSON web token"),
        ("https://user:hunter2@example.com/", "a password in a URL"),
    ],
)
def test_each_kind_is_known(text: str, kind: str) -> None:
    assert found_in(text) == [kind]


@pytest.mark.parametrize("text", ["AKIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----", "https://host:8443/a@b"])
def test_what_is_none(text: str) -> None:
    assert found_in(text) == []
