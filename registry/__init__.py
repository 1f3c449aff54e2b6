if __name__ == "registry":
    raise ImportError("import decreed.registry, not registry")
