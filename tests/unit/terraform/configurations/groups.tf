variable "groups" { type = set(string) }
resource "terraform_data" "node_group" {
  for_each = var.groups
  input    = each.key
}
output "names" { value = keys(terraform_data.node_group) }
output "token" {
  value     = "hunter2"
  sensitive = true
}
