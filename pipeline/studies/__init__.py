"""Studies, studies/<name>.yaml: sets of experiments that DVC's queue runs and one table compares."""
