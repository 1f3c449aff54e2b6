"""From a folder or a settings file to keys and values: everything is checked before anything is frozen.

This room knows formats, names and plans. It does not know the options of `decreed import`.
"""
