"""The operations, one file each, found by `samovar.operation.discover`. None imports torch at its top."""
