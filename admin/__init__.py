"""The control plane: what admins and operations do to models, over REST, in pages and from a shell."""
