#!/bin/sh
# S3CFG names the mounted file; BUCKET is the bucket's name; arguments go to s3cmd.
set -eu
echo "hello from s3cmd" | s3cmd --config "$S3CFG" "$@" --quiet put - "s3://$BUCKET/hello/s3cmd.txt"
echo "read: $(s3cmd --config "$S3CFG" "$@" --quiet get "s3://$BUCKET/hello/s3cmd.txt" -)"
s3cmd --config "$S3CFG" "$@" ls "s3://$BUCKET/hello/"
