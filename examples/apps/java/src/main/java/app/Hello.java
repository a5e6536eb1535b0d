package app;

import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * Writes, reads and lists objects of one bucket. The SDK finds the key, the endpoint and the region
 * in the environment, where envFrom puts the Secret's values; BUCKET_NAME is ours to read.
 */
public final class Hello {
    public static void main(String[] args) {
        String bucket = System.getenv("BUCKET_NAME");
        // The bucket's name goes into the path, as the endpoint has one host for all buckets.
        try (S3Client s3 = S3Client.builder().forcePathStyle(true).build()) {
            s3.putObject(put -> put.bucket(bucket).key("hello/java.txt"),
                    RequestBody.fromString("hello from Java"));

            String text = s3.getObjectAsBytes(get -> get.bucket(bucket).key("hello/java.txt"))
                    .asUtf8String();
            System.out.println("read: " + text);

            s3.listObjectsV2(list -> list.bucket(bucket).prefix("hello/")).contents()
                    .forEach(each -> System.out.println("listed: " + each.key()));
        }
    }
}
