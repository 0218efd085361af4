"""drakit: Amazon EKS with Dynamic Resource Allocation for NVIDIA GPUs."""

__version__ = "0.1.0"
