# Goes on until it is told to, or killed.
resource "terraform_data" "quick" {}
resource "terraform_data" "long" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" { command = "echo started; while [ ! -e go ]; do sleep 0.05; done" }
}
