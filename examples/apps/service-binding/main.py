"""Write, read and list objects of the bucket that a Service Binding of type s3 tells of."""

import os
from pathlib import Path

import boto3


def binding(wanted: str) -> dict[str, str]:
    """The entries of the first binding of that type."""
    for folder in sorted(Path(os.environ["SERVICE_BINDING_ROOT"]).iterdir()):
        if (folder / "type").is_file() and (folder / "type").read_text() == wanted:
            # The mount has links of its own beside the entries, with names that begin with a dot.
            files = [file for file in folder.iterdir() if not file.name.startswith(".")]
            return {file.name: file.read_text() for file in files}
    raise SystemExit(f"no binding of type {wanted}")


storage = binding("s3")
s3 = boto3.client(
    "s3",
    aws_access_key_id=storage["access-key-id"],
    aws_secret_access_key=storage["secret-access-key"],
    endpoint_url=storage["endpoint"],
    region_name=storage["region"],
)
s3.put_object(Bucket=storage["bucket"], Key="hello/binding.txt", Body=b"hello from a binding")

text = s3.get_object(Bucket=storage["bucket"], Key="hello/binding.txt")["Body"].read().decode()
print(f"read: {text}")

for each in s3.list_objects_v2(Bucket=storage["bucket"], Prefix="hello/").get("Contents", []):
    print(f"listed: {each['Key']}")
