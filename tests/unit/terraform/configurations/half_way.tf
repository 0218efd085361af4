# Fails for as long as `broken` is there.
resource "terraform_data" "first" {}
resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "echo trying; test ! -e broken" }
}
