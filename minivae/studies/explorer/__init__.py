"""The explorer: a trained model in one HTML file."""

from minivae.studies.explorer.page import Trained, explorer_page

__all__ = ["Trained", "explorer_page"]
