"""One module per operator; a class is a question, its parameter the name of a layer (layers.py)."""
