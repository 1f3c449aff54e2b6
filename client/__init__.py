if __name__ == "client":
    raise ImportError("import decreed.client, not client")
