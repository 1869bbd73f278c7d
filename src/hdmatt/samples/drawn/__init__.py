"""Foregrounds drawn without any file: hair, plants, nets, see-through and solid things. Knows nothing about files."""
