#!/bin/sh
# RCLONE_CONFIG names the mounted file; BUCKET is the bucket's name.
set -eu
echo "hello from rclone" | rclone rcat "amove:$BUCKET/hello/rclone.txt"
echo "read: $(rclone cat "amove:$BUCKET/hello/rclone.txt")"
rclone lsf "amove:$BUCKET/hello/"
