"""Write, read and list Parquet files of one bucket with DuckDB.

AMOVE names the folder in which the Secret is mounted. The extension httpfs comes with the package
duckdb-extension-httpfs; where DuckDB may download, INSTALL httpfs does it too.
"""

import os
from pathlib import Path

import duckdb
import duckdb_extension_httpfs

mounted = Path(os.environ["AMOVE"])
bucket = (mounted / "bucket").read_text()
(extension,) = Path(duckdb_extension_httpfs.__path__[0]).rglob("httpfs.duckdb_extension")

db = duckdb.connect()
db.load_extension(str(extension))
db.execute((mounted / "secret.sql").read_text())

db.execute(f"COPY (SELECT 'hello from DuckDB' AS text) TO 's3://{bucket}/hello/duckdb.parquet'")

text = db.execute(f"SELECT text FROM 's3://{bucket}/hello/duckdb.parquet'").fetchone()
print(f"read: {text[0]}")

for (file,) in db.execute(f"SELECT file FROM glob('s3://{bucket}/hello/*')").fetchall():
    print(f"listed: {file}")
