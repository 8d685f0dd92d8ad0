"""Which files and folders a stage may still use."""

import os

import yaml
from filelock import FileLock

from pipeline.gc import files, references
from pipeline.gc.references import References
from pipeline.schema import schema


def find(project, **known):
    found = files.find(schema.load(), References(**known))
    return {(item.kind, item.path.absolute().relative_to(project.path).as_posix()) for item in found}


def test_seeds_and_checkpoints_that_a_stopped_stage_needs_stay(project):
    project.seed("finished", seed=1)
    project.seed("begun", place="checkpoints")
    both = {("seeds", ".melisma/seeds/finished"), ("checkpoints", ".melisma/checkpoints/begun")}
    assert find(project) == both
    assert find(project, fingerprints={"finished"}) == both - {("seeds", ".melisma/seeds/finished")}
    assert find(project, lacking={"mel_conv"}) == both - {("seeds", ".melisma/seeds/finished")}
    assert find(project, waits=True) == set()  # an experiment that is queued or has failed may use them
    os.utime(project.path / ".melisma" / "checkpoints" / "begun" / "weights")  # maybe of another branch's params
    assert find(project) == both - {("checkpoints", ".melisma/checkpoints/begun")}
    os.utime(project.path / ".melisma" / "checkpoints" / "begun" / "weights", (0, 0))
    (project.path / ".melisma" / "locks").mkdir()
    with FileLock(project.path / ".melisma" / "locks" / "begun"):
        assert find(project) == both - {("checkpoints", ".melisma/checkpoints/begun")}
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("seeds:\n- 0\n", "seeds: [0, 1]\n"))
    assert find(project) == both - {("seeds", ".melisma/seeds/finished")}  # seed 1 has still to be put in place


def test_results_of_what_params_have_not(project):
    made = ("models/.pca.partial", "evaluation/wave_fc", "evaluation/pca", "cache/mel64", "cache/mel128", "windows")
    for name in made:
        (project.path / "data" / name).mkdir(parents=True)
    for name in ("mel128-aa", "wave3k-bb", "mel64-cc"):
        (project.path / ".melisma" / "cache" / name).mkdir(parents=True)
    assert find(project) == {
        ("data", "data/models/.pca.partial"),
        ("data", "data/evaluation/wave_fc"),
        ("data", "data/cache/mel64"),
        ("cache", ".melisma/cache/mel128-aa"),  # wave3k has no cache yet: its stage goes on there
        ("cache", ".melisma/cache/mel64-cc"),
    }


def test_downloads_stay_while_a_commit_names_their_source(project):
    downloads = project.path / ".melisma" / "downloads"
    downloads.mkdir(parents=True)
    for name in ("24347e02-genres.tar.gz", "84476491-musicnet.tar.gz.part"):
        (downloads / name).touch()
    raw = yaml.safe_load((project.path / "params.yaml").read_text())
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw | {"source": {"name": "gtzan"}}))
    project.commit("gtzan", None)
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw))
    known = references.collect(project.path / ".dvc" / "cache" / "files" / "md5")
    assert find(project, sources=known.sources) == {("downloads", ".melisma/downloads/84476491-musicnet.tar.gz.part")}
