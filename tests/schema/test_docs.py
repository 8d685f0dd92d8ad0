"""The networks of other projects in docs/variants.md are valid blocks of params.yaml."""

import re

import yaml

from pipeline.core.imports import ROOT
from pipeline.schema import schema
from tests.schema.test_params import changed

TITLE = "### Networks of other projects as blocks\n"


def test_the_networks_of_other_projects_are_valid():
    page = (ROOT / "docs/variants.md").read_text(encoding="utf-8")
    section = re.split(r"^##", page.split(TITLE)[1], maxsplit=1, flags=re.M)[0]
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", section, re.M | re.S)]
    raw = changed("seeds", [0])
    for block in blocks:
        for key, entries in block.items():
            raw[key] |= entries
    models = schema.load(raw).models
    assert {"rave", "oobleck", "dac", "encodec", "vocos"} <= models.keys()
