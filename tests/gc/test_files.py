"""Files and folders that no stage can use any more."""

import os

import yaml
from filelock import FileLock

from pipeline.gc import files
from pipeline.gc.references import References, collect_references
from pipeline.schema import schema


def find(project, **references):
    params, references = schema.load(), References(**references)
    unused = files.find_unused(params, references, files.resumable_trainings(params, references))
    return {(item.kind, item.path.absolute().relative_to(project.path).as_posix()) for item in unused}


def test_a_training_stays_if_a_result_refers_to_it_or_a_stage_may_resume_it(project):
    project.store_training("finished", seed=1)
    project.store_training("begun", kind="checkpoints")
    seed, checkpoint = ("seeds", ".melisma/seeds/finished"), ("checkpoints", ".melisma/checkpoints/begun")
    assert find(project) == {seed, checkpoint}
    assert find(project, fingerprints={"finished"}) == {checkpoint}
    assert find(project, incomplete_variants={"mel_conv"}) == {checkpoint}
    assert find(project, has_queued=True) == set()  # a queued or failed experiment may resume both
    weights = project.path / checkpoint[1] / "weights"
    os.utime(weights)  # another branch may need a new checkpoint
    assert find(project) == {seed}
    os.utime(weights, (0, 0))
    (project.path / ".melisma" / "locks").mkdir()
    with FileLock(project.path / ".melisma" / "locks" / "begun"):
        assert find(project) == {seed}
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("seeds:\n- 0\n", "seeds: [0, 1]\n"))
    assert find(project) == set()  # data/ lacks seed 1, and the checkpoint may belong to it
    project.record_run("begun")
    assert find(project) == {checkpoint}


def test_the_training_of_a_vocoder_stays_while_its_result_is_missing(project):
    project.store_training("finished", variant="vocoder-mel128")
    assert find(project) == {("seeds", ".melisma/seeds/finished")}
    (project.path / "data" / "vocoders" / "mel128" / "training").rmdir()
    assert find(project) == set()


def test_results_of_variants_that_params_lack_and_partial_ones_are_unused(project):
    folders = (
        "models/.pca.partial",
        "models/.mel_fc.partial",
        "evaluation/wave_fc",
        "evaluation/pca",
        "cache/mel64",
        "cache/mel128",
        "windows",
    )
    for name in folders:
        (project.path / "data" / name).mkdir(parents=True)
    for name in ("mel128-aa", "wave3k-bb", "mel64-cc"):
        (project.path / ".melisma" / "cache" / name).mkdir(parents=True)
    assert find(project) == {
        ("data", "data/models/.mel_fc.partial"),  # the next build of pca replaces its own
        ("data", "data/evaluation/wave_fc"),
        ("data", "data/cache/mel64"),
        ("cache", ".melisma/cache/mel128-aa"),  # not that of wave3k, whose stage resumes there
        ("cache", ".melisma/cache/mel64-cc"),
    }


def test_a_file_counts_only_if_its_removal_frees_space(tmp_path):
    (tmp_path / "file").write_bytes(b"w" * 10)
    assert files.size(tmp_path) == 10
    os.link(tmp_path / "file", tmp_path / "link")
    assert files.size(tmp_path / "link") == 0


def test_a_download_stays_if_a_commit_names_its_source(project):
    downloads = project.path / ".melisma" / "downloads"
    downloads.mkdir(parents=True)
    for name in ("24347e02-genres.tar.gz", "84476491-musicnet.tar.gz.part"):
        (downloads / name).touch()
    raw = yaml.safe_load((project.path / "params.yaml").read_text())
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw | {"source": {"name": "gtzan"}}))
    project.commit("gtzan")
    (project.path / "params.yaml").write_text(yaml.safe_dump(raw))
    references = collect_references(project.path / ".dvc" / "cache" / "files" / "md5")
    assert find(project, sources=references.sources) == {
        ("downloads", ".melisma/downloads/84476491-musicnet.tar.gz.part")
    }
