"""Draws pictures, animations and audio of a variant from its artefacts, without a model."""
