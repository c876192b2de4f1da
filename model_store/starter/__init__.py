"""The small bundled models and the recipe that trained them."""
