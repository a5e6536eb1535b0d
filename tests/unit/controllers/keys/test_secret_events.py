"""Whether a change of a Secret has its key served again: somebody else's does, our own does not."""

from __future__ import annotations

import asyncio
from typing import Any

from amove_operator.kube.views import SecretView
from tests.unit.bucket_cluster import BucketCluster, on_cluster

WHERE = ("team-a", "app")


def watched_before_it_is_answered(cluster: BucketCluster, meddle: bool) -> list[str]:
    """Have the watch show each new Secret before the answer to its write; the passes from then."""
    create = cluster.kube.create_secret
    served: list[str] = []
    handle = cluster.dispatcher._guarded

    async def created(*given: Any, **named: Any) -> SecretView:
        answer = await create(*given, **named)
        if WHERE in cluster.kube.secrets and not named.get("dry_run"):
            cluster.show_secrets()
            if meddle:
                cluster.edit_secret(WHERE, key_id="mine")
            await asyncio.sleep(0.1)
        return answer

    async def counted(item: Any) -> Any:
        if WHERE in cluster.kube.secrets:
            served.append(item.ref.name)
        return await handle(item)

    cluster.kube.create_secret = created  # type: ignore[method-assign]
    cluster.dispatcher._guarded = counted  # type: ignore[method-assign]
    return served


def test_the_echo_of_its_own_write_has_no_key_served_again() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team-a", "photos")
        await cluster.passes()
        served = watched_before_it_is_answered(cluster, meddle=False)
        key = cluster.apply_key("team-a", "app", "photos")
        await cluster.passes()
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert served == []

    on_cluster(scenario)


def test_what_somebody_changes_during_the_write_is_seen_after_it() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team-a", "photos")
        await cluster.passes()
        served = watched_before_it_is_answered(cluster, meddle=True)
        key = cluster.apply_key("team-a", "app", "photos")
        await cluster.passes()
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert "app" in served
        notes = cluster.kube.secrets[WHERE]["metadata"]["annotations"]
        assert notes["storage.amove.io/key-id"] != "mine"

    on_cluster(scenario)
