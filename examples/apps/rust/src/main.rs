//! Writes, reads and lists objects of one bucket. The SDK finds the key, the endpoint and the region
//! in the environment, where `envFrom` puts the Secret's values; BUCKET_NAME is ours to read.

use aws_config::BehaviorVersion;
use aws_sdk_s3::{primitives::ByteStream, Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bucket = std::env::var("BUCKET_NAME")?;
    let settings = aws_config::load_defaults(BehaviorVersion::latest()).await;
    // The bucket's name goes into the path, as the endpoint has one host for all buckets.
    let config = aws_sdk_s3::config::Builder::from(&settings).force_path_style(true).build();
    let s3 = Client::from_conf(config);

    let body = ByteStream::from_static(b"hello from Rust");
    s3.put_object().bucket(&bucket).key("hello/rust.txt").body(body).send().await.map_err(Error::from)?;

    let object = s3.get_object().bucket(&bucket).key("hello/rust.txt").send().await.map_err(Error::from)?;
    let text = object.body.collect().await?.into_bytes();
    println!("read: {}", String::from_utf8_lossy(&text));

    let listed = s3.list_objects_v2().bucket(&bucket).prefix("hello/").send().await.map_err(Error::from)?;
    for each in listed.contents() {
        println!("listed: {}", each.key().unwrap_or_default());
    }
    Ok(())
}
