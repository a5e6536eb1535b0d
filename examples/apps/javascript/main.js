// Writes, reads and lists objects of one bucket. The SDK finds the key, the endpoint and the region in
// the environment, where envFrom puts the Secret's values; BUCKET_NAME is ours to read.
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";

const Bucket = process.env.BUCKET_NAME;
// The bucket's name goes into the path, as the endpoint has one host for all buckets.
const s3 = new S3Client({ forcePathStyle: true });

await s3.send(
  new PutObjectCommand({ Bucket, Key: "hello/javascript.txt", Body: "hello from JavaScript" }),
);

const object = await s3.send(new GetObjectCommand({ Bucket, Key: "hello/javascript.txt" }));
console.log(`read: ${await object.Body.transformToString()}`);

const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "hello/" }));
for (const each of listed.Contents ?? []) console.log(`listed: ${each.Key}`);
