"""Write, read and list objects of one bucket.

boto3 finds the key, the endpoint and the region in the environment, where envFrom puts the Secret's
values; BUCKET_NAME is ours to read.
"""

import os

import boto3

bucket = os.environ["BUCKET_NAME"]
s3 = boto3.client("s3")

s3.put_object(Bucket=bucket, Key="hello/python.txt", Body=b"hello from Python")

text = s3.get_object(Bucket=bucket, Key="hello/python.txt")["Body"].read().decode()
print(f"read: {text}")

for each in s3.list_objects_v2(Bucket=bucket, Prefix="hello/").get("Contents", []):
    print(f"listed: {each['Key']}")
