"""An application as it would run in a pod: an S3 client that knows only its environment.

Run as a script with a Secret's values as environment variables. Arguments: ``put``, ``get``,
``delete``, each for one object, in the bucket of the variable BUCKET or else BUCKET_NAME. Standard
output: a JSON list with one ``{"did", "answer"}`` for each argument; the answer is the object's
text, "done", or the code of the S3 error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

OBJECT = "hello.txt"
TEXT = "put with the keys of a Kubernetes Secret"


def main() -> None:
    """Do what the arguments say, in their order."""
    # Here, since whoever only wants to know OBJECT and TEXT should not wait for it.
    import boto3  # noqa: PLC0415

    bucket = os.environ.get("BUCKET") or os.environ["BUCKET_NAME"]
    s3 = boto3.client("s3")
    answers = [{"did": action, "answer": _answer(s3, action, bucket)} for action in sys.argv[1:]]
    print(json.dumps(answers))


def _answer(s3: Any, action: str, bucket: str) -> str:
    try:
        return _do(s3, action, bucket)
    except s3.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])


def _do(s3: Any, action: str, bucket: str) -> str:
    match action:
        case "put":
            s3.put_object(Bucket=bucket, Key=OBJECT, Body=TEXT.encode())
        case "get":
            body: bytes = s3.get_object(Bucket=bucket, Key=OBJECT)["Body"].read()
            return body.decode()
        case "delete":
            # A versioned bucket is empty only when every version is gone.
            versions = s3.list_object_versions(Bucket=bucket, Prefix=OBJECT)
            for each in [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        case _:
            sys.exit(f"unknown action {action!r}: put, get or delete")
    return "done"


if __name__ == "__main__":
    main()
