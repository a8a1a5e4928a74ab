"""Django's SQLite, made fair among several writers: see base.py."""
