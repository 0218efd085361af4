# The IAM roles of controllers that Helm installs: only for those that are asked for, and no more than they need.

mock_provider "aws" {
  source = "./mocks"

  override_data {
    target = data.aws_ec2_instance_type.known["m5.xlarge"]
    values = { gpus = [], supported_architectures = ["x86_64"], instance_storage_supported = false }
  }
}

variables {
  name                = "jark"
  region              = "us-west-2"
  deletion_protection = false # or this test could not clean up after itself
  node_groups = {
    core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
  }
}

run "none_by_default" {
  command = plan

  assert {
    condition = (
      length(aws_iam_role.controller) == 0 && length(aws_eks_pod_identity_association.controller) == 0 &&
      length(aws_iam_role_policy.load_balancer_controller) == 0 && length(aws_iam_role_policy_attachment.efs_csi_driver) == 0
    )
    error_message = "A role that nobody asked for."
  }
}

run "the_efs_driver_alone" {
  command = plan

  variables {
    enable_aws_efs_csi_driver = true
  }

  assert {
    condition = jsonencode({ for name, each in aws_eks_pod_identity_association.controller : name => "${each.namespace}/${each.service_account}" }) == jsonencode({
      efs-csi = "kube-system/efs-csi-controller-sa"
    })
    error_message = "The service account is the chart's."
  }

  assert {
    condition     = aws_iam_role_policy_attachment.efs_csi_driver[0].policy_arn == "arn:aws:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy"
    error_message = "AWS manages this driver's policy."
  }

  assert {
    condition     = length(aws_iam_role_policy.load_balancer_controller) == 0
    error_message = "Nobody asked for the load balancer controller."
  }
}

run "the_load_balancer_controller_alone" {
  variables {
    enable_aws_load_balancer_controller = true
  }

  assert {
    condition = jsonencode({ for name, each in aws_eks_pod_identity_association.controller : name => "${each.namespace}/${each.service_account}" }) == jsonencode({
      lb = "kube-system/aws-load-balancer-controller"
    })
    error_message = "The service account is the chart's."
  }

  assert {
    condition     = jsondecode(aws_iam_role.controller["lb"].assume_role_policy).Statement[0].Principal.Service == "pods.eks.amazonaws.com"
    error_message = "Pod Identity assumes the role."
  }

  assert {
    condition     = length(replace(aws_iam_role_policy.load_balancer_controller[0].policy, "/\\s/", "")) < 10240
    error_message = "IAM takes 10240 characters in a role."
  }

  # What the controller changes is its own, or in the stack's VPC.
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.load_balancer_controller[0].policy).Statement : try(statement.Condition, null) != null
      if length(setintersection(statement.Action, [
        "ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:CreateTags", "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteTargetGroup", "iam:CreateServiceLinkedRole",
      ])) > 0
    ])
    error_message = "A permission without its condition."
  }

  assert {
    condition     = !anytrue(flatten([for statement in jsondecode(aws_iam_role_policy.load_balancer_controller[0].policy).Statement : [for action in statement.Action : strcontains(action, "*")]]))
    error_message = "No wildcard."
  }
}
