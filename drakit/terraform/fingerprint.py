"""What `terraform init` depends on, in one line of text: when it is as it was, init need not run again."""

import hashlib
import itertools
from pathlib import Path

_CONFIGURATION = ("*.tf", "*.tf.json", "*.tofu", "*.tofu.json", ".terraform.lock.hcl")


def fingerprint(executable: Path, folder: Path, data: Path, plugin_dir: Path | None) -> str:
    """A hash of the configuration below `folder` but not in `data`, the executable, and the plugin folder's names."""
    digest = hashlib.sha256()
    found = itertools.chain.from_iterable(folder.rglob(pattern) for pattern in _CONFIGURATION)
    for path in sorted(path for path in found if not path.is_relative_to(data)):
        digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    status = executable.stat()
    digest.update(f"{executable}\0{status.st_size}\0{status.st_mtime_ns}\0{plugin_dir}\0".encode())
    if plugin_dir:
        digest.update("\0".join(sorted(str(path) for path in plugin_dir.rglob("*"))).encode())
    return digest.hexdigest()
