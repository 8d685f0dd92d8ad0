"""The blocks of docs/variants.md and docs/blocks.md are valid in params.yaml."""

import re

import yaml
from pydantic import TypeAdapter

from pipeline.core.imports import ROOT
from pipeline.models.config import NetworkConfig
from pipeline.schema import schema
from tests.schema.test_params import changed

TITLE = "## Networks of other projects as blocks\n"
PAGE = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("variants.md", "blocks.md"))


def yaml_blocks(text: str) -> list[dict]:
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)]


def test_the_networks_on_the_page_are_valid():
    networks = [block["network"] for block in yaml_blocks(PAGE) if "network" in block]
    assert {network["type"] for network in networks} == {"istft", "conv1d"}
    for network in networks:
        TypeAdapter(NetworkConfig).validate_python(network)


def test_the_networks_of_other_projects_are_valid():
    section = re.split(r"^##", PAGE.split(TITLE)[1], maxsplit=1, flags=re.M)[0]
    blocks = yaml_blocks(section)
    raw = changed("seeds", [0])
    for block in blocks:
        for key, entries in block.items():
            raw[key] |= entries
    models = schema.load(raw).models
    assert {"rave", "oobleck", "dac", "encodec", "vocos"} <= models.keys()
