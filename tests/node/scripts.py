"""What runs in the applications' pods: Python with boto3 and a Secret's values, nothing else."""

from __future__ import annotations

ONCE = """
import os, boto3
s3, bucket = boto3.client("s3"), os.environ["BUCKET_NAME"]
s3.put_object(Bucket=bucket, Key="a", Body=b"hello")
print(s3.get_object(Bucket=bucket, Key="a")["Body"].read().decode(), os.getuid())
s3.delete_object(Bucket=bucket, Key="a")
"""

FROM_FILES = """
import os
from pathlib import Path
for file in Path("/key").iterdir():
    if file.is_file():
        os.environ[file.name] = file.read_text()
"""
"""To be put before ONCE: the Secret's files, as the variables that they are named after."""
