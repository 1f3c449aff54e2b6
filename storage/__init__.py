if __name__ == "storage":
    raise ImportError("import decreed.storage, not storage")
