locals {
  addons = merge(
    {
      coredns                = true
      kube-proxy             = true
      vpc-cni                = true
      eks-pod-identity-agent = true
      aws-ebs-csi-driver     = true
      metrics-server         = true
    },
    var.enable_cluster_addons,
  )
  enabled_addons = toset([for name, enabled in local.addons : name if enabled])

  # A node is ready once these run on it; the others need a node to run on.
  addons_before_nodes = setintersection(local.enabled_addons, ["eks-pod-identity-agent", "kube-proxy", "vpc-cni"])
  addons_after_nodes  = setsubtract(local.enabled_addons, local.addons_before_nodes)

  addon_configuration = {
    aws-ebs-csi-driver = {
      defaultStorageClass = { enabled = true } # EKS makes none since 1.30
      # By these tags the volumes of this cluster are told from others. The driver does not start with keys of its own.
      controller = {
        extraVolumeTags = merge(
          { for key, value in local.tags : key => value if !startswith(key, "kubernetes.io") && !startswith(key, "ebs.csi.aws.com/") },
          { KubernetesCluster = var.name },
        )
      }
    }
  }

  addon_roles = {
    for name, role in {
      vpc-cni            = { service_account = "aws-node", policy = "AmazonEKS_CNI_Policy" }
      aws-ebs-csi-driver = { service_account = "ebs-csi-controller-sa", policy = "service-role/AmazonEBSCSIDriverPolicy" }
    } : name => role if contains(local.enabled_addons, name)
  }
}

data "aws_eks_addon_version" "default" {
  for_each = setsubtract(local.enabled_addons, keys(var.cluster_addon_versions))

  addon_name         = each.key
  kubernetes_version = var.eks_cluster_version
}

resource "aws_iam_role" "addon" {
  for_each = local.addon_roles

  name = "${var.name}-${var.region}-${trimsuffix(trimprefix(each.key, "aws-"), "-driver")}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "addon" {
  for_each = local.addon_roles

  role       = aws_iam_role.addon[each.key].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value.policy}"
}

resource "aws_eks_addon" "before_nodes" {
  for_each = local.addons_before_nodes

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = try(var.cluster_addon_versions[each.key], data.aws_eks_addon_version.default[each.key].version)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_roles), each.key) ? [local.addon_roles[each.key]] : []

    content {
      role_arn        = aws_iam_role.addon[each.key].arn
      service_account = pod_identity_association.value.service_account
    }
  }

  depends_on = [aws_iam_role_policy_attachment.addon]
}

resource "aws_eks_addon" "after_nodes" {
  for_each = local.addons_after_nodes

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = try(var.cluster_addon_versions[each.key], data.aws_eks_addon_version.default[each.key].version)
  configuration_values        = try(jsonencode(local.addon_configuration[each.key]), null)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_roles), each.key) ? [local.addon_roles[each.key]] : []

    content {
      role_arn        = aws_iam_role.addon[each.key].arn
      service_account = pod_identity_association.value.service_account
    }
  }

  depends_on = [
    aws_eks_node_group.this,
    aws_iam_role_policy_attachment.addon,
  ]
}
