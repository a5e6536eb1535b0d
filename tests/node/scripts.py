"""What runs in pods: of applications, Python with boto3 and a Secret's values, nothing else."""

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

REREADING = """
import json, os, signal, sys, time
from pathlib import Path
import boto3
from botocore.exceptions import ClientError
keys, lost, n = [], 0, 0

def client():
    values = {f.name: f.read_text() for f in Path("/key").iterdir() if f.is_file()}
    if values["AWS_ACCESS_KEY_ID"] not in keys:
        keys.append(values["AWS_ACCESS_KEY_ID"])
        print("working with", keys[-1])
    os.environ.update(values)
    return boto3.session.Session().client("s3"), values["BUCKET_NAME"]

def end(*_):
    print(json.dumps({"lost": lost, "keys": keys, "requests": n}))
    sys.exit(0)

s3, bucket = client()
signal.signal(signal.SIGTERM, end)
while True:
    n += 1
    try:
        s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    except ClientError:
        s3, bucket = client()
        try:
            s3.put_object(Bucket=bucket, Key="a", Body=b"1")
        except ClientError as refusal:
            lost += 1
            print("lost", refusal)
    time.sleep(0.2)
"""

UNTIL_REFUSED = """
import json, os, time
import boto3
from botocore.exceptions import ClientError
s3, bucket, begun = boto3.client("s3"), os.environ["BUCKET_NAME"], time.monotonic()
s3.put_object(Bucket=bucket, Key="b", Body=b"1")
print("working")
while True:
    try:
        s3.put_object(Bucket=bucket, Key="b", Body=b"1")
    except ClientError as refusal:
        seconds = time.monotonic() - begun
        print(json.dumps({"error": refusal.response["Error"]["Code"], "seconds": seconds}))
        break
    time.sleep(0.2)
"""

LOADED_UNCOMPILED = """
import importlib, os, pkgutil, sys
import amove_operator
for found in pkgutil.walk_packages(amove_operator.__path__, "amove_operator."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
loaded = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
missing = [name for name, file in loaded.items() if file and not os.path.exists(file)]
print(len(loaded) > 500, missing)
"""
"""In the operator's pod: whether it loads much, and what of it is there as source only."""
