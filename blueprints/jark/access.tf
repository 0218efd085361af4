# Who may use the Kubernetes API, and how pods get AWS credentials through OIDC.

# The role behind the caller's session.
data "aws_iam_session_context" "caller" {
  arn = data.aws_caller_identity.current.arn
}

resource "aws_eks_access_entry" "creator" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = data.aws_iam_session_context.caller.issuer_arn

  lifecycle {
    # Whoever runs Terraform next does not take the creator's access away.
    ignore_changes = [principal_arn]
  }
}

resource "aws_eks_access_entry" "admin" {
  for_each = setsubtract(var.cluster_admin_arns, [aws_eks_access_entry.creator.principal_arn])

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
}

resource "aws_eks_access_policy_association" "admin" {
  for_each = merge({ creator = aws_eks_access_entry.creator }, aws_eks_access_entry.admin)

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:${data.aws_partition.current.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}
