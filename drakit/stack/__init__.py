"""The stack file, drakit.yaml: its model, reading, writing and JSON schema. Nothing is imported here."""
