"""What goes into a Secret (design.md §2): formats, templates, and the faults they can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.rendering import (
    MAX_BYTES,
    PLACEHOLDERS,
    Place,
    TemplateFault,
    checksum,
    format_digest,
    render,
    template_fault,
)
from amove_operator.core.scope import Scope
from amove_operator.models.key import SecretSpec

ACCESS, SECRET = "AKIAEXAMPLE", "s3cr3t/+=%$#;half"


def place(*buckets: str) -> Place:
    scope = (
        Scope.of("acc", "eu-west-1", "s3.example.com", "Read", buckets)
        if buckets
        else Scope.everything("acc", "eu-west-1", "s3.example.com", "Read")
    )
    return Place(scope, "https://s3.example.com", "team-reader-1")


def rendered(spec: SecretSpec, *buckets: str) -> dict[str, str]:
    return render(spec, place(*buckets), ACCESS, SECRET)


def template(**texts: str) -> SecretSpec:
    return SecretSpec(template=texts)


# ---------------------------------------------------------------- AWS

AWS_ALWAYS = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@pytest.mark.parametrize(
    ("buckets", "added"),
    [
        (["media"], {"BUCKET_NAME": "media"}),
        (["b", "a", "b"], {"BUCKET_NAMES": "a,b"}),
        ([], {}),
    ],
    ids=["one bucket", "several buckets", "all buckets"],
)
def test_the_aws_format_holds_what_an_sdk_reads_from_its_environment(
    buckets: list[str], added: dict[str, str]
) -> None:
    assert rendered(SecretSpec(), *buckets) == {**AWS_ALWAYS, **added}
    assert rendered(SecretSpec(format="AWS"), *buckets) == {**AWS_ALWAYS, **added}


# ---------------------------------------------------------------- CredentialsFile


@pytest.mark.parametrize("secret", [SECRET, "plain", "%(boom)s", "= leading", "a#b;c"])
def test_the_credentials_file_is_read_by_an_sdk_as_it_was_written(
    tmp_path: Path, secret: str
) -> None:
    written = render(SecretSpec(format="CredentialsFile"), place("media"), ACCESS, secret)
    assert set(written) == {"credentials"}
    path = tmp_path / "credentials"
    path.write_text(written["credentials"])
    assert raw_config_parse(str(path)) == {
        "default": {
            "aws_access_key_id": ACCESS,
            "aws_secret_access_key": secret,
            "region": "eu-west-1",
            "endpoint_url": "https://s3.example.com",
        }
    }


# ---------------------------------------------------------------- templates

VALUES = {
    "accessKey": ACCESS,
    "secretKey": SECRET,
    "endpoint": "https://s3.example.com",
    "storageDn": "s3.example.com",
    "region": "eu-west-1",
    "bucket": "media",
    "buckets": "media",
    "keyName": "team-reader-1",
}


def test_the_documented_placeholders_are_all_of_them() -> None:
    assert set(PLACEHOLDERS) == set(VALUES)


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_every_placeholder_is_filled_in(name: str, value: str) -> None:
    spec = template(config=f"<${{{name}}}|${{{name}}}>")
    assert rendered(spec, "media") == {"config": f"<{value}|{value}>"}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("$$", "$"),
        ("$${accessKey}", "${accessKey}"),
        ("$$$$", "$$"),
        ("$$${region}", "$eu-west-1"),
        ("{region}", "{region}"),
        ("", ""),
        ("line\nline\n", "line\nline\n"),
    ],
)
def test_two_dollars_are_one_and_everything_else_stays(text: str, becomes: str) -> None:
    assert rendered(template(config=text), "media") == {"config": becomes}


def test_several_buckets_are_joined_by_commas() -> None:
    assert rendered(template(config="${buckets}"), "b", "a") == {"config": "a,b"}
    assert rendered(template(config="${buckets}")) == {"config": ""}


@pytest.mark.parametrize("buckets", [(), ("a", "b")], ids=["all", "two"])
def test_bucket_without_exactly_one_bucket_is_a_fault(buckets: tuple[str, ...]) -> None:
    fault = template_fault(template(config="${bucket}"), place(*buckets))
    assert fault is not None
    assert fault.startswith("spec.secret.template[config]: ${bucket} needs ")
    assert "${buckets}" in fault


@pytest.mark.parametrize("name", ["secret_key", "SecretKey", "", " region", "region "])
def test_an_unknown_placeholder_is_named_beside_the_known_ones(name: str) -> None:
    fault = template_fault(template(config=f"${{{name}}}"), place("media"))
    assert fault is not None
    assert f"${{{name}}}" in fault
    for known in PLACEHOLDERS:
        assert known in fault


@pytest.mark.parametrize("text", ["$", "a $ b", "$region", "${region", "${a{b}}", "$ {region}"])
def test_a_lone_dollar_is_a_fault_that_says_how_to_write_one(text: str) -> None:
    fault = template_fault(template(config=text), place("media"))
    assert fault is not None
    assert "write $$ for a dollar sign" in fault


def test_values_are_not_templates_themselves() -> None:
    spec = template(config="${secretKey}")
    assert render(spec, place("media"), ACCESS, "${accessKey}$$") == {"config": "${accessKey}$$"}


def test_a_secret_that_kubernetes_would_refuse_for_its_size_is_a_fault() -> None:
    many = [f"{'b' * 58}{number:05}" for number in range(64)]
    spec = SecretSpec(template={"config": "${buckets}" * 1400})
    fault = template_fault(spec, place(*many))
    assert fault is not None
    assert "1 MB" in fault
    assert template_fault(template(config="${buckets}"), place(*many)) is None


def test_the_size_is_counted_in_bytes() -> None:
    fits = {"config": "é" * (MAX_BYTES // 2 - 6)}
    assert template_fault(SecretSpec.model_construct(template=fits), place()) is None
    over = {"config": "é" * (MAX_BYTES // 2)}
    assert template_fault(SecretSpec.model_construct(template=over), place()) is not None


texts = st.text(st.sampled_from("${}abcdeyKsr ceg\n"), max_size=40)


@given(texts)
def test_any_template_is_filled_in_or_is_a_fault_without_the_pair_in_it(text: str) -> None:
    spec = template(config=f"${{secretKey}}${{accessKey}}{text}")
    fault = template_fault(spec, place("media"))
    if fault is None:
        assert rendered(spec, "media")["config"].startswith(f"{SECRET}{ACCESS}")
        return
    with pytest.raises(TemplateFault) as raised:
        rendered(spec, "media")
    assert str(raised.value) == fault
    assert SECRET not in fault
    assert ACCESS not in fault


# ---------------------------------------------------------------- digests


def test_the_format_digest_changes_with_format_and_template_and_nothing_else() -> None:
    shapes = [
        SecretSpec(),
        SecretSpec(format="CredentialsFile"),
        template(a="1"),
        template(a="2"),
        template(b="1"),
        template(a="1", b="1"),
    ]
    digests = [format_digest(shape) for shape in shapes]
    assert len(set(digests)) == len(shapes)
    assert format_digest(SecretSpec(format="AWS")) == digests[0]
    assert format_digest(template(b="1", a="1")) == digests[-1]
    assert format_digest(SecretSpec(labels={"a": "b"}, name="x")) == digests[0]


DATA = {"a": b"1", "b": b"2"}


@pytest.mark.parametrize(
    "other",
    [
        checksum("another", "key", DATA),
        checksum("owner", "another", DATA),
        checksum("owner", "key", {"a": b"1", "b": b"3"}),
        checksum("owner", "key", {"a": b"2", "b": b"1"}),
        checksum("owner", "key", {"a": b"1"}),
        checksum("owner", "key", {"a": b"1", "c": b"2"}),
        checksum("ownerkey", "", DATA),
    ],
)
def test_the_checksum_is_bound_to_owner_key_names_and_values(other: str) -> None:
    assert checksum("owner", "key", dict(reversed(DATA.items()))) != other
    assert checksum("owner", "key", dict(reversed(DATA.items()))) == checksum("owner", "key", DATA)
