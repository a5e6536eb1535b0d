"""The next step for one AmoveStorageKey: the marker protocol (docs/key-protocol.md). Pure.

The reconciler performs the step, gathers a new snapshot, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable

from amove_operator.core.keys import checks, deletion, issue, revoke, steps
from amove_operator.core.keys.snapshot import KeySnapshot

# Asked in this order; the first that answers decides.
CHECKS: tuple[Callable[[KeySnapshot], steps.KeyStep | None], ...] = (
    revoke.revoke_displaced_key,  # another team takes its bucket's name: no pause keeps it
    revoke.revoke_resurfaced_key,  # status freed its names, and yet it lives: at once as well
    checks.report_paused,  # nothing below is done to a paused object
    checks.report_spec_error,  # what we refuse ourselves; but a key whose time has come is revoked
    checks.await_new_bucket,  # it is ready in a moment, and nothing need be said till then
    checks.add_finalizer,  # before the first call for the object
    checks.read_secret,  # once a pass, unless the watch shows that it is as it was
    checks.wait_for_recent_key_to_show,  # the held key is too new to be missed in our list
    issue.write_or_revoke_pending_key,  # a key was issued that no Secret holds yet
    revoke.revoke_dangling_key,  # a crash left it: nobody knows its secret
    revoke.revoke_expired_key,  # its grace has ended
    checks.report_secret_conflict,  # a stranger has the Secret's name, or ours is being deleted
    issue.issue_if_needed,  # the first key, or another than the Secret holds: see issue.GATES
    checks.repair_secret_metadata,  # labels, annotations, owner; the key stays
    checks.wait_for_accepted_loss,  # it is acted on by a list of now, and at once
    checks.wait_for_lost_call,  # all seems well, but what a call without answer left must be found
)


def plan_key(snapshot: KeySnapshot) -> steps.KeyStep:
    """Choose the next step towards the spec."""
    if snapshot.deleting:
        return _paused_deletion(snapshot) or deletion.plan_deletion(snapshot)
    for check in CHECKS:
        if (step := check(snapshot)) is not None:
            return step
    return checks.report_in_sync(snapshot)


def _paused_deletion(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A deletion that a pause holds up keeps no more from another team than the pause alone."""
    if not snapshot.paused or not snapshot.finalizer:
        return None
    going = revoke.revoke_displaced_key(snapshot) or revoke.revoke_resurfaced_key(snapshot)
    return going or checks.report_paused(snapshot)
