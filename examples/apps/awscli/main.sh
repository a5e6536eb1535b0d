#!/bin/sh
# AWS_SHARED_CREDENTIALS_FILE names the mounted file; BUCKET is the bucket's name.
set -eu
echo "hello from the AWS CLI" | aws s3 cp - "s3://$BUCKET/hello/awscli.txt"
echo "read: $(aws s3 cp "s3://$BUCKET/hello/awscli.txt" -)"
aws s3 ls "s3://$BUCKET/hello/"
