if __name__ == "cli":
    raise ImportError("import decreed.cli, not cli")
