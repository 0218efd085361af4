# A ConfigMap in the cluster, which the node simulator watches. Its sizes are `drakit`'s to change, in place: what
# is replaced loses its nodes.
resource "terraform_data" "node_group" {
  for_each = var.node_groups

  input = {
    python = var.python
    environment = merge(local.environment, {
      DRAKIT_SANDBOX_NODE_GROUP = jsonencode(merge(
        { name = each.key },
        { for field, value in each.value : field => value if field != "desired" },
      ))
    })
  }

  triggers_replace = [{ for field, value in each.value : field => value if !contains(["desired", "min", "max"], field) }]
  depends_on       = [terraform_data.control_plane]

  provisioner "local-exec" {
    interpreter = [self.output.python, "-m", "drakit.sandbox"]
    command     = "node-group"
    environment = merge(self.output.environment, { DRAKIT_SANDBOX_DESIRED = each.value.desired })
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = [self.output.python, "-m", "drakit.sandbox"]
    command     = "delete-node-group"
    environment = self.output.environment
  }
}
