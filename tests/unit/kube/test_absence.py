"""Only a 404 of the API server that names the very object says that there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator.errors import KubeUnavailable
from amove_operator.kube import Kube
from amove_operator.kube.failures import Gone
from amove_operator.models.refs import Kind, Ref

MEDIA = Ref(Kind.BUCKET, "team", "media")


def answering(error: Gone) -> Kube:
    async def call(*_: Any, **__: Any) -> Any:
        raise error

    return Kube(cast("Any", SimpleNamespace(call=call)), namespace="operator")


async def test_a_404_that_names_the_object_is_its_absence() -> None:
    kube = answering(Gone("not found", status=404, named="media"))
    assert await kube.get_object(MEDIA) is None
    assert await answering(Gone("no", status=404, named="app")).read_secret("team", "app") is None


@pytest.mark.parametrize(("status", "named"), [(404, "team"), (404, "other"), (410, "media")])
async def test_one_that_names_another_object_or_is_another_code_is_no_word_of_it(
    status: int, named: str
) -> None:
    kube = answering(Gone("not found", status=status, named=named))
    with pytest.raises(KubeUnavailable):
        await kube.get_object(MEDIA)
    with pytest.raises(KubeUnavailable):
        await kube.read_secret("team", "media" if named != "media" else "app")
