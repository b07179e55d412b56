"""How the embedded model was trained and packed; nothing that users import."""
