"""Studies, studies/<name>.yaml: experiments that belong together, run through DVC and compared in MLflow."""
