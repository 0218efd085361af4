terraform {
  # 1.10: state in S3 with a lock of its own; 1.9: validations that read other variables.
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}
