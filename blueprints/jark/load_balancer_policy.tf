# What the AWS Load Balancer Controller may do: docs/install/iam_policy.json of its release 3.5.0, which AWS does not
# manage, narrowed to the stack's VPC where its documentation advises that.

locals {
  arn_ec2 = "arn:${data.aws_partition.current.partition}:ec2:*:*"
  arn_elb = "arn:${data.aws_partition.current.partition}:elasticloadbalancing:*:*"

  balancers_and_target_groups = [
    "${local.arn_elb}:targetgroup/*/*",
    "${local.arn_elb}:loadbalancer/net/*/*",
    "${local.arn_elb}:loadbalancer/app/*/*",
  ]

  # "false": there is such a tag. The controller puts it on everything that it makes.
  is_its_own      = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = "false" }
  becomes_its_own = { "aws:RequestTag/elbv2.k8s.aws/cluster" = "false" }
  stays_its_own   = merge(local.is_its_own, { "aws:RequestTag/elbv2.k8s.aws/cluster" = "true" })

  load_balancer_statements = [
    {
      Effect    = "Allow"
      Action    = ["iam:CreateServiceLinkedRole"]
      Resource  = ["*"]
      Condition = { StringEquals = { "iam:AWSServiceName" = "elasticloadbalancing.amazonaws.com" } }
    },
    {
      Effect = "Allow"
      Action = [
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeCoipPools",
        "ec2:DescribeInstances",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeIpamPools",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeTags",
        "ec2:DescribeVpcPeeringConnections",
        "ec2:DescribeVpcs",
        "ec2:GetCoipPoolUsage",
        "ec2:GetSecurityGroupsForVpc",
        "elasticloadbalancing:DescribeCapacityReservation",
        "elasticloadbalancing:DescribeListenerAttributes",
        "elasticloadbalancing:DescribeListenerCertificates",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancerAttributes",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeSSLPolicies",
        "elasticloadbalancing:DescribeTags",
        "elasticloadbalancing:DescribeTargetGroupAttributes",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeTrustStores",
      ]
      Resource = ["*"]
    },
    # Certificates, sign-in, web ACLs and Shield, which annotations of Ingresses ask for.
    {
      Effect = "Allow"
      Action = [
        "acm:DescribeCertificate",
        "acm:ListCertificates",
        "cognito-idp:DescribeUserPoolClient",
        "iam:GetServerCertificate",
        "iam:ListServerCertificates",
        "shield:CreateProtection",
        "shield:DeleteProtection",
        "shield:DescribeProtection",
        "shield:GetSubscriptionState",
        "waf-regional:AssociateWebACL",
        "waf-regional:DisassociateWebACL",
        "waf-regional:GetWebACL",
        "waf-regional:GetWebACLForResource",
        "wafv2:AssociateWebACL",
        "wafv2:DisassociateWebACL",
        "wafv2:GetWebACL",
        "wafv2:GetWebACLForResource",
      ]
      Resource = ["*"]
    },
    # The nodes' security group is EKS's and without the controller's tag: any of this VPC, then. A rule has no VPC.
    {
      Effect    = "Allow"
      Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
      Resource  = ["*"]
      Condition = { ArnEqualsIfExists = { "ec2:Vpc" = aws_vpc.this.arn } }
    },
    {
      Effect   = "Allow"
      Action   = ["ec2:CreateSecurityGroup"]
      Resource = ["*"]
    },
    {
      Effect    = "Allow"
      Action    = ["ec2:CreateTags"]
      Resource  = ["${local.arn_ec2}:security-group/*"]
      Condition = { StringEquals = { "ec2:CreateAction" = "CreateSecurityGroup" }, Null = local.becomes_its_own }
    },
    {
      Effect    = "Allow"
      Action    = ["ec2:CreateTags", "ec2:DeleteTags"]
      Resource  = ["${local.arn_ec2}:security-group/*"]
      Condition = { Null = local.stays_its_own }
    },
    {
      Effect    = "Allow"
      Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupIngress"]
      Resource  = ["*"]
      Condition = { Null = local.is_its_own }
    },
    {
      Effect    = "Allow"
      Action    = ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
      Resource  = ["*"]
      Condition = { Null = local.becomes_its_own }
    },
    {
      Effect   = "Allow"
      Action   = ["elasticloadbalancing:AddTags"]
      Resource = local.balancers_and_target_groups
      Condition = {
        StringEquals = { "elasticloadbalancing:CreateAction" = ["CreateLoadBalancer", "CreateTargetGroup"] }
        Null         = local.becomes_its_own
      }
    },
    {
      Effect    = "Allow"
      Action    = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"]
      Resource  = local.balancers_and_target_groups
      Condition = { Null = local.stays_its_own }
    },
    {
      Effect = "Allow"
      Action = [
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:ModifyCapacityReservation",
        "elasticloadbalancing:ModifyIpPools",
        "elasticloadbalancing:ModifyListenerAttributes",
        "elasticloadbalancing:ModifyLoadBalancerAttributes",
        "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing:ModifyTargetGroupAttributes",
        "elasticloadbalancing:SetIpAddressType",
        "elasticloadbalancing:SetSecurityGroups",
        "elasticloadbalancing:SetSubnets",
      ]
      Resource  = ["*"]
      Condition = { Null = local.is_its_own }
    },
    {
      Effect = "Allow"
      Action = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"]
      Resource = [
        "${local.arn_elb}:listener/net/*/*/*",
        "${local.arn_elb}:listener/app/*/*/*",
        "${local.arn_elb}:listener-rule/net/*/*/*",
        "${local.arn_elb}:listener-rule/app/*/*/*",
      ]
    },
    {
      Effect   = "Allow"
      Action   = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"]
      Resource = ["${local.arn_elb}:targetgroup/*/*"]
    },
    {
      Effect = "Allow"
      Action = [
        "elasticloadbalancing:AddListenerCertificates",
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:CreateRule",
        "elasticloadbalancing:DeleteListener",
        "elasticloadbalancing:DeleteRule",
        "elasticloadbalancing:ModifyListener",
        "elasticloadbalancing:ModifyRule",
        "elasticloadbalancing:RemoveListenerCertificates",
        "elasticloadbalancing:SetRulePriorities",
        "elasticloadbalancing:SetWebAcl",
      ]
      Resource = ["*"]
    },
  ]
}
