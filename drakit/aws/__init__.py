"""Adapter for AWS, through boto3, which is imported at the first call and by nothing else."""
