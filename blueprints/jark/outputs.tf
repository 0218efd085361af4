output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}

output "cluster_version" {
  description = "Minor version of Kubernetes that the cluster runs."
  value       = aws_eks_cluster.this.version
}

output "cluster_support_type" {
  description = "STANDARD or EXTENDED: what EKS does when the version's standard support ends."
  value       = local.support_type
}

output "cluster_endpoint" {
  description = "URL of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_certificate_authority_data" {
  description = "Certificate authority of the Kubernetes API, base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "cluster_addons" {
  description = "Versions of the EKS add-ons, by name."
  value       = { for name, addon in merge(aws_eks_addon.before_nodes, aws_eks_addon.after_nodes) : name => addon.addon_version }
}

output "account_id" {
  description = "AWS account that the stack is in."
  value       = data.aws_caller_identity.current.account_id
}

output "region" {
  description = "AWS region that the stack is in."
  value       = var.region
}

output "vpc_id" {
  description = "ID of the VPC."
  value       = aws_vpc.this.id
}

output "availability_zones" {
  description = "Availability zones that the stack is in."
  value       = local.subnet_zones
}

output "oidc_provider_arn" {
  description = "ARN of the IAM OIDC provider of the cluster's service accounts."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "node_role_arn" {
  description = "ARN of the nodes' IAM role."
  value       = aws_iam_role.node.arn
}

output "node_groups" {
  description = "The node groups by name: what EKS and EC2 Auto Scaling call them."
  value = {
    for name, group in aws_eks_node_group.this : name => {
      name              = group.node_group_name
      autoscaling_group = try(group.resources[0].autoscaling_groups[0].name, null)
      launch_template   = aws_launch_template.node[name].id
    }
  }
}

output "node_group_placement" {
  description = "Where each node group's nodes run, known when planning: instance type, zones, and capacity reservation or null."
  value = {
    for name, group in var.node_groups : name => {
      instance_type      = group.instance_type
      availability_zones = local.node_group_zones[name]
      reservation        = try(local.reservation_ids[name], null)
    }
  }
}

output "charts" {
  description = "Which of NVIDIA's Helm charts are to be installed."
  value = {
    gpu_operator = var.enable_nvidia_gpu_operator
    dra_driver   = var.enable_nvidia_dra_driver
  }
}

output "configure_kubectl" {
  description = "Command that writes a kubeconfig with the AWS CLI."
  value       = "aws eks --region ${var.region} update-kubeconfig --name ${aws_eks_cluster.this.name}"
}
