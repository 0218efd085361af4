# Groups, one of which fails for as long as `broken` is there, and what depends on all of them.
variable "groups" { type = set(string) }
resource "terraform_data" "group" {
  for_each = var.groups
  provisioner "local-exec" { command = "test ! -e broken" }
  lifecycle { create_before_destroy = true }
}
resource "terraform_data" "addon" { depends_on = [terraform_data.group] }
