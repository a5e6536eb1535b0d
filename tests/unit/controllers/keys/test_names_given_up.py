"""Names that status gave up, or might have, while the key lives; and refusals in a row."""

from __future__ import annotations

from typing import Any

from amove_operator.amove import IssuedKey, NewKey
from amove_operator.errors import KubeUnavailable, Rejected, TransportFault
from amove_operator.models.refs import Kind, Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

RED_BUCKET = Ref(Kind.BUCKET, "red", "photos")


async def two_teams(cluster: BucketCluster) -> Ref:
    """A key of team red for its bucket, and one of team green."""
    for team, bucket in (("red", "photos"), ("green", "films")):
        cluster.apply(team, bucket)
        cluster.apply_key(team, "app", bucket)
    await cluster.passes(60)
    return Ref(Kind.KEY, "red", "app")


async def listed(cluster: BucketCluster, times: int) -> None:
    """So many lists, a minute apart."""
    for _ in range(times):
        await cluster.passes(60)
        await cluster.d.key_lists.fresh()


def buckets(cluster: BucketCluster, ref: Ref) -> list[str]:
    """Which buckets the current key reaches, by status."""
    return list(cluster.kube.crs[ref]["status"]["key"].get("buckets", ()))


async def given_up(cluster: BucketCluster) -> None:
    """Team red deletes its AmoveBucket, and the bucket goes."""
    cluster.delete(RED_BUCKET)
    await cluster.passes(30)
    cluster.service.buckets.pop("photos", None)


def test_who_accepts_another_user_frees_no_name_of_a_key_that_lives() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await two_teams(cluster)
        cluster.service.user = "user-2"
        await listed(cluster, 2)
        await given_up(cluster)
        cluster.annotate(key, accept_loss="mine")
        blue = cluster.apply("blue", "theirs", bucketName="photos")
        await listed(cluster, 3)
        assert buckets(cluster, key) == ["photos"]
        assert cluster.says(blue)["Ready"][0] == "False"
        cluster.service.user = "user-1"
        await listed(cluster, 3)
        assert [one.name.split("-")[0] for one in cluster.service.keys.values()] == ["green"]

    on_cluster(scenario)


def test_one_list_without_a_key_frees_no_name() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await two_teams(cluster)
        await given_up(cluster)
        lost = cluster.kube.crs[key]["status"]["key"]["id"]
        cluster.service.unlisted.add(lost)
        await listed(cluster, 1)
        await cluster.passes(10)
        assert buckets(cluster, key) == ["photos"]

    on_cluster(scenario)


def test_a_key_whose_name_was_given_up_is_revoked_when_a_list_shows_it_again() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await two_teams(cluster)
        await given_up(cluster)
        lost = cluster.kube.crs[key]["status"]["key"]["id"]
        cluster.service.unlisted.add(lost)
        await listed(cluster, 4)
        assert buckets(cluster, key) == []
        cluster.service.unlisted.clear()
        await listed(cluster, 2)
        assert lost not in cluster.service.keys

    on_cluster(scenario)


def test_a_revoked_key_whose_status_could_not_be_written_for_long_keeps_no_name() -> None:
    """The 200 is forgotten once a list lacks the key: two lists show then that it is gone."""

    async def scenario(cluster: BucketCluster) -> None:
        await two_teams(cluster)
        await given_up(cluster)
        write, deleted = cluster.kube.write_status, set[str]()
        cluster.service.deleting = lambda key: deleted.add(key.id)

        async def down(ref: Ref, *given: Any) -> Any:
            if deleted and ref.kind is Kind.KEY:
                raise KubeUnavailable("no answer")
            return await write(ref, *given)

        setattr(cluster.kube, "write_status", down)  # noqa: B010
        blue = cluster.apply("blue", "theirs", bucketName="photos")
        await listed(cluster, 3)
        assert len(deleted) == 1
        assert cluster.says(blue)["Ready"][0] == "False"
        delattr(cluster.kube, "write_status")
        await listed(cluster, 3)
        assert cluster.says(blue)["Ready"] == ("True", "Available")

    on_cluster(scenario)


def test_a_key_whose_revocation_was_done_and_not_answered_keeps_no_name() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await two_teams(cluster)
        await given_up(cluster)
        revoke = cluster.service.delete_storage_key

        async def unanswered(key_id: str) -> None:
            await revoke(key_id)
            raise TransportFault("delete_storage_key: dropped")

        setattr(cluster.service, "delete_storage_key", unanswered)  # noqa: B010
        blue = cluster.apply("blue", "theirs", bucketName="photos")
        await listed(cluster, 5)
        assert cluster.says(blue)["Ready"] == ("True", "Available")
        assert list(cluster.service.keys) == ["key-2"]

    on_cluster(scenario)


def test_a_key_that_status_never_named_keeps_its_name_though_one_list_lacks_it() -> None:
    """It is in the Secret, and pods use it; its status could not be written, and a list erred."""

    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("red", "photos")
        await cluster.passes(30)
        write, down = cluster.kube.write_status, True

        async def unavailable(ref: Ref, *given: Any) -> Any:
            if down and ref.kind is Kind.KEY and cluster.kube.secrets:
                raise KubeUnavailable("no answer")
            return await write(ref, *given)

        setattr(cluster.kube, "write_status", unavailable)  # noqa: B010
        cluster.apply_key("red", "app", "photos")
        await cluster.passes(60)
        assert list(cluster.service.keys) == ["key-1"]
        await given_up(cluster)
        cluster.service.unlisted.add("key-1")
        await listed(cluster, 1)
        down = False
        await cluster.passes(60)
        blue = cluster.apply("blue", "theirs", bucketName="photos")
        await cluster.passes(60)
        assert cluster.says(blue)["Ready"][0] == "False"
        cluster.service.unlisted.clear()
        await listed(cluster, 3)
        assert cluster.service.keys == {}
        assert cluster.says(blue)["Ready"] == ("True", "Available")

    on_cluster(scenario)


def test_who_edits_a_refused_spec_again_and_again_gets_no_more_keys_than_the_budget() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await two_teams(cluster)
        cluster.service.lag = 20.0
        create, asked = cluster.service.create_storage_key, []

        async def half_done(new: NewKey) -> IssuedKey:
            asked.append(new.name)
            await create(new)
            raise Rejected("DB_INSERT", "half-way", maybe_done=True)

        setattr(cluster.service, "create_storage_key", half_done)  # noqa: B010
        for number in range(20):
            body: dict[str, Any] = cluster.kube.crs[key]
            body["spec"]["permission"] = ("Write", "Read")[number % 2]
            body["metadata"]["generation"] += 1
            cluster.kube.touch(body)
            cluster.watch()
            await cluster.passes(2)
        assert len(asked) <= 3

    on_cluster(scenario)
