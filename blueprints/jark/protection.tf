# Refuses every plan that destroys or replaces the cluster, before anything is touched. To lift it, once:
#   terraform state rm 'terraform_data.deletion_protection[0]'
# EKS's own protection is an attribute of the cluster only from provider 6, and stops a destroy when the nodes are gone.
resource "terraform_data" "deletion_protection" {
  count = var.deletion_protection ? 1 : 0

  lifecycle {
    prevent_destroy      = true
    replace_triggered_by = [aws_eks_cluster.this.id]
  }
}
