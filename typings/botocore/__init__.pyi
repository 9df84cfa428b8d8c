# What images/fetch/s3 uses of botocore, which the image of downloads from S3 has, and whose own code has no types.

UNSIGNED: object
