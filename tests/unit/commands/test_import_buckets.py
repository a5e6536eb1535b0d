"""``amove-operator import``: which buckets, what is left out and why, and only read calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_emulator import Emulator
from amove_operator.commands.import_buckets import Choice, run_import
from amove_operator.errors import SettingsError
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings
from tests.unit.commands.conftest import StandInCluster

MakeSettings = Callable[..., Settings]
Capture = pytest.CaptureFixture[str]
READS = {"get_all", "list_buckets", "bucket_status"}


@pytest.fixture
def three(emulator: Emulator) -> Emulator:
    """An account with three buckets."""
    emulator.control.add_bucket("team-a-photos", versioningEnabled=True)
    emulator.control.add_bucket("team-a-logs", isPublic=True)
    emulator.control.add_bucket("team-b-photos")
    return emulator


def documents(text: str) -> dict[str, Any]:
    """Object name → spec."""
    return {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(text)}


def test_all_buckets_are_printed_with_their_flags_by_read_calls_only(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    assert run_import(make_settings(), Choice()) == 0
    out, err = capsys.readouterr()
    found = documents(out)
    assert list(found) == ["team-a-logs", "team-a-photos", "team-b-photos"]
    assert found["team-a-photos"]["versioningEnabled"] is True
    assert found["team-a-logs"]["public"] is True
    assert "3 imported" in err
    assert "AMOVE_TRUSTED_NAMESPACES" in err
    assert set(three.control.counts()) == READS
    assert three.control.count("bucket_status") == 3


def test_only_what_a_glob_names_is_asked_for(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    assert run_import(make_settings(), Choice(globs=["team-a-*"])) == 0
    assert list(documents(capsys.readouterr().out)) == ["team-a-logs", "team-a-photos"]
    assert three.control.count("bucket_status") == 2


def test_a_name_that_an_object_claims_is_named_and_left_out_and_not_asked_for(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    stand_in.holds(Kind.BUCKET, "blue", "photos", spec={"bucketName": "team-a-photos"})
    assert run_import(make_settings(), Choice()) == 0
    out, err = capsys.readouterr()
    assert "team-a-photos" not in documents(out)
    assert "left out team-a-photos: AmoveBucket blue/photos has it" in err
    assert "2 imported, 1 claimed already" in err
    assert three.control.count("bucket_status") == 2


def test_an_object_that_stalls_because_the_bucket_exists_claims_nothing(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "BucketExists",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = {"conditions": [stalled]}
    stand_in.holds(Kind.BUCKET, "blue", "team-a-photos", spec={}, status=status)
    assert run_import(make_settings(), Choice()) == 0
    assert "team-a-photos" in documents(capsys.readouterr().out)


def test_before_the_definitions_are_installed_nothing_is_claimed(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    stand_in.installed = False
    assert run_import(make_settings(), Choice()) == 0
    out, err = capsys.readouterr()
    assert len(documents(out)) == 3
    assert "not installed" in err


def test_claims_are_looked_for_where_the_operator_serves(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings
) -> None:
    run_import(make_settings(watch_namespaces="blue,red"), Choice())
    assert stand_in.asked == ["blue", "red"]


def test_a_bucket_that_cannot_be_asked_for_is_left_out_and_the_rest_is_imported(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    refused = {"status": 499, "code": "ACCESS", "message": "Not yours."}
    three.control.fault("bucket_status", contains="team-a-photos", times=None, **refused)
    three.control.fault("bucket_status", contains="team-b-photos", odd="bucket_absent", times=None)
    assert run_import(make_settings(), Choice()) == 1
    out, err = capsys.readouterr()
    assert list(documents(out)) == ["team-a-logs"]
    assert "left out team-a-photos: ACCESS: Not yours." in err
    assert "left out team-b-photos: it is listed, and not found" in err


@pytest.mark.parametrize("call", ["list_buckets", "bucket_status"])
def test_refused_credentials_end_it_at_once_and_nothing_is_written(
    three: Emulator,
    stand_in: StandInCluster,
    make_settings: MakeSettings,
    capsys: Capture,
    call: str,
) -> None:
    three.control.fault(call, status=401, times=None)
    three.control.fault("get_storage_key", status=401, times=None)
    assert run_import(make_settings(concurrency="1"), Choice()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing was written" in err
    assert three.control.count(call) == 1


def test_credentials_that_are_refused_for_the_accounts_are_not_sent_once_more(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    three.control.fault("get_all", status=401, times=None)
    settings = make_settings(cloud_account_id=three.cloud_account_id)
    assert run_import(settings, Choice()) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert three.control.count("list_buckets") == 0


def test_a_service_that_is_down_ends_it_and_nothing_is_written(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, capsys: Capture
) -> None:
    three.control.fault("bucket_status", odd="cut_json_not_done", times=None)
    assert run_import(make_settings(concurrency="1"), Choice(globs=["team-b-photos"])) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("nothing was written")) == ("", 1)
    assert three.control.count("bucket_status") == 3, "tried thrice, as any call, and no more"


def test_one_file_each_and_one_that_a_person_has_changed_is_left_alone(
    three: Emulator,
    stand_in: StandInCluster,
    make_settings: MakeSettings,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    folder = tmp_path / "new" / "buckets"
    choice = Choice(namespace="blue", observe=True, output=folder)
    assert run_import(make_settings(), choice) == 0
    names = ["team-a-logs.yaml", "team-a-photos.yaml", "team-b-photos.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert capsys.readouterr().out.split() == [str(folder / name) for name in names]
    found = yaml.safe_load((folder / names[0]).read_text())
    assert found["metadata"]["namespace"] == "blue"
    assert found["spec"]["managementPolicy"] == "Observe"
    assert run_import(make_settings(), choice) == 0, "what is there as it should be is no failure"

    (folder / names[0]).write_text("mine\n")
    assert run_import(make_settings(), choice) == 1
    assert (folder / names[0]).read_text() == "mine\n"
    assert "move it away first" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(
    three: Emulator, stand_in: StandInCluster, make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"--output: .*file"):
        run_import(make_settings(), Choice(output=tmp_path / "file"))


def test_a_namespace_that_cannot_be_is_refused_before_any_call(
    emulator: Emulator, make_settings: MakeSettings
) -> None:
    with pytest.raises(SettingsError, match="--namespace: 'Team A'"):
        run_import(make_settings(), Choice(namespace="Team A"))
    assert emulator.control.counts() == {}


def test_without_a_default_account_the_setting_is_named(
    emulator: Emulator, stand_in: StandInCluster, make_settings: MakeSettings
) -> None:
    emulator.control.add_account()
    with pytest.raises(SettingsError, match="AMOVE_CLOUD_ACCOUNT_ID: There are 2 active"):
        run_import(make_settings(), Choice())
