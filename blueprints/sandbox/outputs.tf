output "cluster_name" {
  description = "Name of the cluster."
  value       = var.name
}

output "kubeconfig" {
  description = "Path of the kubeconfig."
  value       = var.kubeconfig
}

output "node_groups" {
  description = "Names of the node groups."
  value       = keys(var.node_groups)
  depends_on  = [terraform_data.node_group]
}
