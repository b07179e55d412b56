"""How the embedded model was trained and its corpora were packed, kept to be done again; nothing imports it."""
