"""What goes into a Secret (docs/formats.md): formats, templates, and the faults they can have."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.scope import Scope
from amove_operator.core.secrets.rendering import (
    MAX_BYTES,
    PLACEHOLDERS,
    RenderContext,
    TemplateFault,
    checksum,
    format_digest,
    render,
    template_fault,
)
from amove_operator.models import KeySpec, SecretSpec, spec_faults_key

ACCESS, SECRET = "AKIAEXAMPLE", "s3cr3t/+=%$#;half"


def place(*buckets: str) -> RenderContext:
    scope = (
        Scope.of("acc", "eu-west-1", "s3.example.com", "Read", buckets)
        if buckets
        else Scope.everything("acc", "eu-west-1", "s3.example.com", "Read")
    )
    return RenderContext(scope, "https://s3.example.com", "team-reader-1")


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


MANY = [f"{'b' * 58}{number:05}" for number in range(64)]
# What the first release took from any tenant: 16 MiB of a Secret at every look.
BOMB = SecretSpec.model_construct(
    template={f"key-{number}": "${buckets}" * 1638 for number in range(32)}
)


def test_a_result_over_64_kib_is_a_fault_that_says_how_much_it_would_be() -> None:
    spec = SecretSpec(template={"config": "${buckets}" * 400})
    fault = template_fault(spec, place(*MANY))
    assert fault is not None
    size = len("config") + 400 * len(",".join(MANY))
    assert f"{size} bytes" in fault
    assert "64 KiB" in fault
    assert template_fault(template(config="${buckets}"), place(*MANY)) is None


@pytest.mark.parametrize(
    "look", [template_fault, lambda spec, where: render(spec, where, ACCESS, SECRET)]
)
def test_the_size_is_known_before_anything_is_rendered(
    look: Callable[[SecretSpec, RenderContext], object],
) -> None:
    where = place(*MANY)
    tracemalloc.start()
    try:
        with suppress(TemplateFault):
            look(BOMB, where)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MAX_BYTES


def test_the_size_is_counted_in_bytes_with_the_names_and_to_the_byte() -> None:
    fits = {"config": "é" * (MAX_BYTES // 2 - 3)}
    assert template_fault(SecretSpec.model_construct(template=fits), place()) is None
    over = {"configs": "é" * (MAX_BYTES // 2 - 3)}
    assert template_fault(SecretSpec.model_construct(template=over), place()) is not None


@given(st.lists(st.sampled_from(["${region}", "$$", "é", "a", "${keyName}"]), max_size=30))
def test_the_size_that_is_told_is_the_size_that_is_rendered(parts: list[str]) -> None:
    text = "".join(parts)
    size = len("config") + len(rendered(template(config=text), "media")["config"].encode())
    padded = {"config": text, "pad": "p" * (MAX_BYTES - size - len("pad"))}
    assert template_fault(SecretSpec.model_construct(template=padded), place("media")) is None
    padded["pad"] += "p"
    assert template_fault(SecretSpec.model_construct(template=padded), place("media")) is not None


@given(st.text(st.sampled_from("${}secretKey x"), max_size=30))
def test_the_rule_finds_the_secret_key_in_a_template_where_rendering_puts_it_in(text: str) -> None:
    spec = template(config=text)
    if template_fault(spec, place("media")) is None:
        held = any("${secretKey}" in fault for fault in spec_faults_key("x", _key(spec)))
        assert held == (SECRET not in rendered(spec, "media")["config"])


@given(st.lists(st.sampled_from(["$", "{secretKey}", "${secretKey}", "a"]), max_size=8))
def test_dollars_before_the_placeholder_are_counted_as_rendering_counts_them(
    parts: list[str],
) -> None:
    spec = template(config="".join(parts))
    if template_fault(spec, place("media")) is None:
        held = any("${secretKey}" in fault for fault in spec_faults_key("x", _key(spec)))
        assert held == (SECRET not in rendered(spec, "media")["config"])


def _key(spec: SecretSpec) -> KeySpec:
    return KeySpec(all_buckets=True, permission="Read", secret=spec)


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
