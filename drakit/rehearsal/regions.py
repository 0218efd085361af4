"""The regions of AWS, as botocore's own list of endpoints has them."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

import botocore.loaders


@functools.cache
def regions() -> Mapping[str, str]:
    """The name of each region of the commercial partition, by its code: "US West (Oregon)"."""
    partitions = botocore.loaders.Loader().load_data("endpoints")["partitions"]
    commercial = next(p for p in partitions if p["partition"] == "aws")
    return MappingProxyType({code: region["description"] for code, region in commercial["regions"].items()})
