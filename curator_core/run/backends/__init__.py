"""One engine per module, imported when it is used."""
