"""Sources of recordings.

A source is a module with a function that lists its audio files. To add the source "mine":

    # config.py: its settings; then add the name and a field `mine: MineConfig` to SourceConfig
    class MineConfig(Section):
        path: str = Field("/data/mine", description="a folder, read in place")

    # mine.py: a file's path is relative to that folder; without `path` in the config, write the files to `audio`
    def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
        return [AudioFile(path, label="jazz", group=path) for path in find_audio(Path(source.mine.path))]

    # collect.py; then add source.mine to the params of stage download in dvc.yaml
    SOURCES["mine"] = mine.list_files

All windows of a group are in one split: a group holds recordings that share an artist, a composition or the like.
"""
