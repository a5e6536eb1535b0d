// Writes, reads and lists objects of one bucket. The SDK finds the key, the endpoint and the region
// in the environment, where envFrom puts the Secret's values; BUCKET_NAME is ours to read.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	if err := run(context.Background(), os.Getenv("BUCKET_NAME")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, bucket string) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		// The bucket's name goes into the path, as the endpoint has one host for all buckets.
		o.UsePathStyle = true
	})

	_, err = client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("hello/go.txt"), Body: strings.NewReader("hello from Go"),
	})
	if err != nil {
		return err
	}

	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("hello/go.txt")})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	text, err := io.ReadAll(object.Body)
	if err != nil {
		return err
	}
	fmt.Printf("read: %s\n", text)

	listed, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("hello/")})
	if err != nil {
		return err
	}
	for _, each := range listed.Contents {
		fmt.Println("listed:", *each.Key)
	}
	return nil
}
