"""Pictures of terminals for the documents."""
