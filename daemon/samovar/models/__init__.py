"""Model cards, one file a family; each module lists its cards as `CARDS`."""
