"""What talks to AWS beyond S3: clusters and what they are made of."""
