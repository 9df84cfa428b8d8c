"""Reads what a repository's own files say of its size: config.json and the headers of its safetensors files."""
